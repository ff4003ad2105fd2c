/**
 * Rekeyings of both kinds and from either side, while 20,000 numbered packets a second go each way
 * through the AF_XDP lab. No packet is lost to an SA, none comes twice, and each that is lost is in
 * a counter: rings overrun where gateways, hosts and the wire have too few cores. A control run
 * without rekeyings tells how many that are. Nor is one lost to a neighbour that the kernel gives
 * up and finds again.
 *
 * ESPLANE_REKEYINGS says how many Child SAs are rekeyed; one IKE SA for every six of them:
 * `npm run lab:rekey` has 60 and 10.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { RekeyWhat } from '../../src/ike/event.js';
import type { GatewayProcess } from '../../src/lab/gateway-process.js';
import { NamespaceLab } from '../../src/lab/namespace-lab.js';
import { ipBatch, whyNoNamespaces } from '../../src/lab/namespaces.js';
import { sleep, waitFor } from '../../src/lab/program.js';
import { LAN, makeTopology, type Topology, WAN } from '../../src/lab/topology.js';
import { compileIfStale } from '../compiled.js';
import {
  type Drops,
  difference,
  dropsOf,
  inAll,
  OF_SAS,
  type Outcome,
  sendNumbered,
  total,
} from './numbered.js';

const reason = whyNoNamespaces();
if (reason !== undefined) console.warn(`skipped: ${reason}`);

const CHILD_REKEYINGS = Number(process.env.ESPLANE_REKEYINGS ?? 6);
const IKE_REKEYINGS = Math.ceil(CHILD_REKEYINGS / 6);
const PACKETS_A_SECOND = 20_000;
/** For each rekeying, in which its SAs come and go; a machine with work to do takes longer. */
const SECONDS_EACH = 1.2;
const SECONDS = Math.ceil((CHILD_REKEYINGS + IKE_REKEYINGS) * SECONDS_EACH);
const PACKETS = SECONDS * PACKETS_A_SECOND;
/** For as long as a failure of the neighbour would be believed. */
const NEIGHBOUR_PACKETS = 1.5 * PACKETS_A_SECOND;

describe.skipIf(reason !== undefined)('rekeying under traffic', () => {
  let topology: Topology;
  let folder: string;
  let lab: NamespaceLab;

  beforeAll(async () => {
    compileIfStale();
    topology = makeTopology();
    folder = mkdtempSync(join(tmpdir(), 'esplane-rekey-'));
    lab = await NamespaceLab.start(topology, folder, false);
  }, 60_000);

  afterAll(async () => {
    await lab?.stop();
    topology?.remove();
    rmSync(folder, { recursive: true, force: true });
  });

  /** Numbered packets both ways, and meanwhile whatever `work` does. */
  async function run(
    packets: number,
    work: () => Promise<void>,
  ): Promise<Outcome & { drops: Drops }> {
    const { a, b } = topology;
    const before = await drops();
    const flows = [
      { from: a.hostNamespace, to: b.hostNamespace, address: b.host.ipv4 },
      { from: b.hostNamespace, to: a.hostNamespace, address: a.host.ipv4 },
    ];
    const settings = { packets, perSecond: PACKETS_A_SECOND };
    const outcomes = await sendNumbered(folder, flows, settings, work);
    return { ...inAll(outcomes), drops: difference(await drops(), before) };
  }

  async function drops(): Promise<Drops> {
    return dropsOf(await Promise.all([lab.a.status(), lab.b.status()]));
  }

  /** Rekeys, from either side in turns, and waits until the new SA is there and the old one gone. */
  async function rekeyAll(): Promise<void> {
    const every = Math.floor(CHILD_REKEYINGS / IKE_REKEYINGS);
    for (let i = 0; i < CHILD_REKEYINGS; i++) {
      await rekey(i % 2 === 0 ? lab.a : lab.b, 'child');
      if (i % every === every - 1 && i / every < IKE_REKEYINGS) {
        await rekey(i % 2 === 0 ? lab.b : lab.a, 'ike');
      }
    }
  }

  async function rekey(gateway: GatewayProcess, what: RekeyWhat): Promise<void> {
    const [before] = await spisOf(gateway, what);
    const { begun } = await gateway.rekey(what);
    expect(begun).toBe(1);
    await waitFor(`a rekeyed ${what} SA`, 20, async () => {
      const [spi, ...more] = await spisOf(gateway, what);
      return (spi !== undefined && spi !== before && more.length === 0) || undefined;
    });
  }

  async function spisOf(gateway: GatewayProcess, what: RekeyWhat): Promise<(string | number)[]> {
    const { connections } = await gateway.status();
    const ikeSas = connections.flatMap((connection) => connection.ikeSas);
    if (what === 'ike') return ikeSas.map(({ initiatorSpi }) => initiatorSpi);
    return ikeSas.flatMap(({ childSas }) => childSas.map(({ inboundSpi }) => inboundSpi));
  }

  it(`${CHILD_REKEYINGS} Child SAs and ${IKE_REKEYINGS} IKE SAs, ${PACKETS} packets each way`, {
    timeout: SECONDS * 8_000 + 60_000,
  }, async () => {
    const control = await run(PACKETS, async () => {});
    let workSeconds = 0;
    const rekeyed = await run(PACKETS, async () => {
      const began = performance.now();
      await rekeyAll();
      workSeconds = (performance.now() - began) / 1000;
    });
    console.log(JSON.stringify({ control, rekeyed, workSeconds }));
    // Packets went while each was under way.
    expect(workSeconds).toBeLessThan(rekeyed.seconds);
    expect(control.duplicates).toBe(0);
    expect(rekeyed.duplicates).toBe(0);
    for (const name of OF_SAS) expect(rekeyed.drops[name] ?? 0, name).toBe(0);
    for (const { lost, drops } of [control, rekeyed]) expect(lost).toBe(total(drops));
  });

  it('a neighbour that the kernel gives up for a moment is asked again before it costs a packet', {
    timeout: 60_000,
  }, async () => {
    const { a, b } = topology;
    const givenUp = await run(NEIGHBOUR_PACKETS, async () => {
      await sleep(300);
      ipBatch(a.gatewayNamespace, [
        `neigh change ${b.wan.ipv4} dev ${WAN} nud failed`,
        `neigh change ${a.host.ipv4} dev ${LAN} nud failed`,
      ]);
    });
    expect(givenUp.drops).not.toHaveProperty('neighbour_unresolved');
    expect(givenUp.lost).toBe(total(givenUp.drops));
  });
});
