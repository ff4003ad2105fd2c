/**
 * IKE messages from forged addresses at a gateway, fifty thousand a second: requests for a new IKE
 * SA, some with a made-up COOKIE (RFC 7296 §2.6), and messages for IKE SAs that there are not. The
 * tunnel loses nothing, the daemon stays as small as it was, a peer connects, and what goes no
 * further is counted by name.
 *
 * ESPLANE_FLOOD says how many a second and ESPLANE_FLOOD_SECONDS for how long; by default as many as
 * two cores carry beside two gateways, their hosts and the attacker, and other work.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { notify } from '../../src/ike/messages/payloads.js';
import { NamespaceLab } from '../../src/lab/namespace-lab.js';
import { execute, whyNoNamespaces } from '../../src/lab/namespaces.js';
import { Program, waitFor } from '../../src/lab/program.js';
import { makeTopology, type Site, type Topology, WAN } from '../../src/lab/topology.js';
import { ping } from '../../src/lab/traffic.js';
import { parseProposal } from '../../src/policy/proposal.js';
import { toWireProposals } from '../../src/policy/suite.js';
import {
  EXCHANGE,
  encodeMessage,
  type HeaderToSend,
  type IkeSpi,
  NOTIFY,
  type Payload,
  ZERO_IKE_SPI,
} from '../../src/wire/index.js';
import { compileIfStale } from '../compiled.js';

const reason = whyNoNamespaces();
if (reason !== undefined) console.warn(`skipped: ${reason}`);

const PER_SECOND = Number(process.env.ESPLANE_FLOOD ?? 20_000);
const SECONDS = Number(process.env.ESPLANE_FLOOD_SECONDS ?? 6);
const CONNECT_SECONDS = 2;
/** The heaps of two threads find their size. */
const RSS_SLACK_OCTETS = 96 * 2 ** 20;
/** RFC 2544: where nobody is, and the forged messages say that they come from. */
const NOWHERE = '198.18.0.0/15';

const script = fileURLToPath(new URL('./flood.py', import.meta.url));

const REQUEST: HeaderToSend = {
  initiatorSpi: '1111111111111111' as IkeSpi,
  responderSpi: ZERO_IKE_SPI,
  exchangeType: EXCHANGE.IKE_SA_INIT,
  initiator: true,
  response: false,
  messageId: 0,
};

/** A request that could succeed, the same with a COOKIE, and one for another IKE SA. */
function messages(): string[] {
  const ike = [parseProposal('ike', 'aes256gcm16-prfsha384-x25519')];
  const payloads: Payload[] = [
    {
      kind: 'SA',
      proposals: toWireProposals(ike, new Uint8Array(0), { protocol: 'ike', keyExchange: true }),
    },
    { kind: 'KE', method: 31, data: new Uint8Array(32).fill(9) },
    { kind: 'Nonce', data: new Uint8Array(32).fill(7) },
  ];
  const auth = {
    ...REQUEST,
    responderSpi: '2222222222222222' as IkeSpi,
    exchangeType: EXCHANGE.IKE_AUTH,
    messageId: 1,
  };
  return [
    encodeMessage({ header: REQUEST, payloads }),
    encodeMessage({
      header: REQUEST,
      payloads: [notify(NOTIFY.COOKIE, new Uint8Array(33)), ...payloads],
    }),
    encodeMessage({ header: auth, payloads: [{ kind: 'V', data: new Uint8Array(200) }] }),
  ].map((message) => Buffer.from(message).toString('hex'));
}

function macOf({ gatewayNamespace }: Site): string {
  const [device] = JSON.parse(
    execute(['ip', '-n', gatewayNamespace, '-json', 'link', 'show', WAN]),
  );
  return (device as { address: string }).address.replaceAll(':', '');
}

describe.skipIf(reason !== undefined)('a flood of forged messages', () => {
  let topology: Topology;
  let folder: string;
  let lab: NamespaceLab;

  beforeAll(async () => {
    compileIfStale();
    topology = makeTopology();
    folder = mkdtempSync(join(tmpdir(), 'esplane-flood-'));
    lab = await NamespaceLab.start(topology, folder, false);
  }, 60_000);

  afterAll(async () => {
    await lab?.stop();
    topology?.remove();
    rmSync(folder, { recursive: true, force: true });
  });

  const rss = (): number => {
    const status = readFileSync(`/proc/${lab.b.program.pid}/status`, 'utf8');
    return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) * 1024;
  };

  it(`${PER_SECOND} a second: no ping is lost, memory is bounded, and a peer connects`, {
    timeout: 120_000,
  }, async () => {
    const { a, b, wireNamespace, wirePorts } = topology;
    // What is answered goes over the wire, and ends there.
    execute(['ip', '-n', b.gatewayNamespace, 'route', 'add', NOWHERE, 'via', a.wan.ipv4]);
    execute(['ip', '-n', a.gatewayNamespace, 'route', 'add', 'blackhole', NOWHERE]);
    const ethernet = `${macOf(b)}${macOf(a)}0800`;
    const flood = new Program({
      namespace: wireNamespace,
      command: [
        ...['python3', script, wirePorts[1], ethernet, b.wan.ipv4],
        ...[String(PER_SECOND), String(SECONDS), ...messages()],
      ],
      logFile: join(folder, 'flood'),
    });
    await waitFor('the attacker', 10, () => flood.log().includes('ready') || undefined);
    const before = rss();
    const pings = ping(a.hostNamespace, b.host.ipv4, { count: 40, intervalSeconds: 0.05 });
    const { sent, received } = await pings;
    await lab.a.down();
    const began = performance.now();
    await lab.a.up();
    await lab.a.waitForTunnel(30);
    const connected = (performance.now() - began) / 1000;
    const stillFlooding = flood.running;
    await flood.exited;
    const [growth, { drops }] = [rss() - before, await lab.b.status()];
    const attack = JSON.parse(flood.lastLines(1)) as { sent: number; seconds: number };
    console.log(JSON.stringify({ attack, connected, growthMiB: growth / 2 ** 20, drops }));
    expect(attack.sent / attack.seconds).toBeGreaterThan(PER_SECOND / 2);
    expect(stillFlooding).toBe(true);
    expect(received).toBe(sent);
    expect(connected).toBeLessThan(CONNECT_SECONDS);
    expect(growth).toBeLessThan(RSS_SLACK_OCTETS);
    expect(drops['ike-cookie-demanded']).toBeGreaterThan(0);
  });
});
