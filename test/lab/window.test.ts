/**
 * Requests beside each other between two daemons with `ike_window` (RFC 7296 §2.3), where every fifth
 * datagram of IKE is lost: tshark reads on the wire how many of each gateway's requests are without a
 * response at once, and all of them come to their end.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { IkeSaStatus } from '../../src/api/status.js';
import type {
  EndSettings,
  GatewayProcess,
  GatewaySettings,
} from '../../src/lab/gateway-process.js';
import { NamespaceLab } from '../../src/lab/namespace-lab.js';
import { execute, inNamespace } from '../../src/lab/namespaces.js';
import { waitFor } from '../../src/lab/program.js';
import { makeTopology, type Topology } from '../../src/lab/topology.js';
import { ping } from '../../src/lab/traffic.js';
import { compileIfStale } from '../compiled.js';
import { Capture } from '../interop/support/capture.js';
import { whyNot } from '../interop/support/network.js';

const why = whyNot('ip', 'nft', 'ping', 'tcpdump', 'tshark');

const WINDOW = 4;
/** Child SAs: the first comes with IKE_AUTH, each other by a CREATE_CHILD_SA. */
const CHILDREN = 6;
const CREATE_CHILD_SA = '36';

const LOSS = `table bridge loss {
  counter lost { }
  chain forward {
    type filter hook forward priority 0;
    udp dport { 500, 4500 } numgen inc mod 5 == 0 counter name lost drop
  }
}
`;

const SIDES = ['a', 'b'] as const;
type Side = (typeof SIDES)[number];

describe.skipIf(why)(`a window of requests${why === undefined ? '' : ` (${why})`}`, () => {
  let topology: Topology;
  let folder: string;
  let lab: NamespaceLab;
  /** On the wire's ends of both cables: what a gateway sends is seen there before it may be lost. */
  let captures: Record<Side, Capture>;

  beforeEach(async () => {
    compileIfStale();
    topology = makeTopology();
    folder = mkdtempSync(join(tmpdir(), 'esplane-window-'));
    const wire = topology.wireNamespace;
    captures = {
      a: await Capture.start(wire, 'to-a', folder),
      b: await Capture.start(wire, 'to-b', folder),
    };
    execute(inNamespace(wire, ['nft', '-f', '-']), LOSS);
    lab = await NamespaceLab.start(topology, folder, false, withChildren);
  });

  afterEach(async () => {
    await lab?.stop();
    for (const side of SIDES) await captures?.[side].stop();
    topology?.remove();
    rmSync(folder, { recursive: true, force: true });
  });

  it('is in use both ways: as many Child SAs are made and rekeyed at once, and none is lost', async () => {
    const first = await whole(lab.a);
    await rekeyed(lab.a);
    const last = await rekeyed(lab.b);
    const theirs = await whole(lab.a);
    expect(theirs.initiatorSpi).toBe(first.initiatorSpi);
    expect(pairs(theirs, 'a')).toEqual(pairs(last, 'b'));
    const { a, b } = topology;
    const pings = { count: 5, intervalSeconds: 0.05 };
    expect(await ping(a.hostNamespace, b.host.ipv4, pings)).toMatchObject({ received: 5 });

    const lost = execute(inNamespace(topology.wireNamespace, ['nft', 'list', 'counters']));
    const seen = await Promise.all(
      SIDES.map(async (side) => requestsIn(await captures[side].stop(), topology[side].wan.ipv4)),
    );
    console.log(JSON.stringify({ lost: /packets (\d+)/.exec(lost)?.[1], seen }));
    for (const { mostAtOnce, creations, sentAgain, unanswered } of seen) {
      expect(mostAtOnce).toBe(WINDOW);
      expect(creations).toBeGreaterThanOrEqual(CHILDREN);
      expect(sentAgain).toBeGreaterThan(0);
      expect(unanswered).toBe(0);
    }
  });
});

/** Child SAs between the networks 10.1.n.0/24 and 10.2.n.0/24. */
function withChildren(settings: GatewaySettings): GatewaySettings {
  const { local, remote } = settings;
  const network = ({ networks }: EndSettings, n: number) =>
    JSON.stringify([networks[0]!.replace('.0.0/', `.${n}.0/`)]);
  const tables = Array.from({ length: CHILDREN }, (_, n) => [
    `[connection.lab.child.net-${n}]`,
    `local = ${network(local, n)}`,
    `remote = ${network(remote, n)}`,
  ]);
  return {
    ...settings,
    local: { ...local, networks: [] },
    remote: { ...remote, networks: [] },
    connectionLines: [`ike_window = ${WINDOW}`, ...tables.flat()],
  };
}

/** The IKE SA of a gateway, when all its Child SAs are there, each once. */
function whole(gateway: GatewayProcess, without: readonly string[] = []): Promise<IkeSaStatus> {
  return waitFor('all Child SAs', 30, async () => {
    const [ikeSa, ...more] = (await gateway.status()).connections[0]!.ikeSas;
    const children = ikeSa?.childSas ?? [];
    const isWhole =
      children.length === CHILDREN &&
      children.every(({ state, inboundSpi }) => {
        return state === 'installed' && !without.includes(inboundSpi);
      });
    return isWhole && more.length === 0 ? ikeSa : undefined;
  });
}

/** Rekeys all Child SAs at once; resolves when the old ones are gone. */
async function rekeyed(gateway: GatewayProcess): Promise<IkeSaStatus> {
  const { childSas } = await whole(gateway);
  expect(await gateway.rekey('child')).toMatchObject({ begun: CHILDREN });
  return whole(
    gateway,
    childSas.map(({ inboundSpi }) => inboundSpi),
  );
}

/** SPIs towards gateway a and from it, sorted. */
function pairs({ childSas }: IkeSaStatus, side: Side): string[] {
  return childSas
    .map(({ inboundSpi, outboundSpi }) =>
      (side === 'a' ? [inboundSpi, outboundSpi] : [outboundSpi, inboundSpi]).join(),
    )
    .sort();
}

interface Seen {
  /** Requests of a gateway that had no response yet when another one left, and that one. */
  readonly mostAtOnce: number;
  readonly creations: number;
  readonly sentAgain: number;
  readonly unanswered: number;
}

/** A gateway's requests in a capture at its own end of the wire, as tshark reads it. */
function requestsIn({ file }: Capture, address: string): Seen {
  const fields = ['ip.src', 'isakmp.flag_r', 'isakmp.messageid', 'isakmp.exchangetype'];
  const wanted = fields.flatMap((field) => ['-e', field]);
  const output = execute(['tshark', '-r', file, '-Y', 'isakmp', '-T', 'fields', ...wanted]);
  const open = new Set<string>();
  const sent = new Set<string>();
  let [mostAtOnce, creations, sentAgain] = [0, 0, 0];
  for (const line of output.split('\n').filter(Boolean)) {
    const [source, isResponse, messageId, exchange] = line.split('\t');
    if (isResponse !== '0' && source !== address) open.delete(messageId!);
    if (isResponse !== '0' || source !== address) continue;
    if (sent.has(messageId!)) sentAgain++;
    else if (exchange === CREATE_CHILD_SA) creations++;
    sent.add(messageId!);
    open.add(messageId!);
    mostAtOnce = Math.max(mostAtOnce, open.size);
  }
  return { mostAtOnce, creations, sentAgain, unanswered: open.size };
}
