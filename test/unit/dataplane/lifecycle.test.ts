import { once } from 'node:events';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { afterEach, describe, expect, it } from 'vitest';
import { Secret } from '../../../src/crypto/secret.js';
import type { DataplaneOptions, PortOptions } from '../../../src/dataplane/dataplane.js';
import { NativeDataplane } from '../../../src/dataplane/native.js';
import { type ChildSa, type EspSpi, SadFullError } from '../../../src/sad/sad.js';
import { A, B, childSa, collect, Lone, OPTIONS, Pair, protectBothWays, until } from './gateways.js';
import { forwarded, frame, hex, ipOf, ipPacket, pattern } from './packets.js';

const packet = (i: number) =>
  ipPacket({ source: '10.1.0.5', destination: '10.2.0.7', payload: pattern(40, i) });

const addonPath = join(import.meta.dirname, '../../../build/Release/esplane.node');

/** Runs a script in a worker thread that has the addon's class as `Dataplane`. */
async function inThread(script: string, workerData: unknown): Promise<unknown> {
  const source = `const { workerData, parentPort } = require('node:worker_threads');
    const { Dataplane } = require(${JSON.stringify(addonPath)});
    ${script}`;
  const worker = new Worker(source, { eval: true, workerData });
  const exited = once(worker, 'exit');
  const [answer] = await once(worker, 'message');
  await exited;
  return answer;
}

describe('a dataplane across threads', () => {
  it('takes SAs from any thread that attaches to it', async () => {
    const pair = new Pair();
    const a = pair.a.dataplane.allocateSpi();
    const b = pair.b.dataplane.allocateSpi();
    pair.b.dataplane.install(childSa(B, A, { inbound: b, outbound: a }));
    const sa = childSa(A, B, { inbound: a, outbound: b });
    const installed = await inThread(
      `const dataplane = new Dataplane(workerData.id);
       dataplane.install(workerData.sa);
       parentPort.postMessage(dataplane.counters(workerData.sa.inboundSpi).outSequence);`,
      {
        id: pair.a.dataplane.id,
        sa: { ...sa, inboundKey: sa.inboundKey.bytes, outboundKey: sa.outboundKey.bytes },
      },
    );
    expect(installed).toBe(1n);
    pair.a.host.send([frame(packet(1))]);
    const [arrived] = await collect(pair.b.host, 1);
    expect(hex(ipOf(arrived!))).toBe(hex(forwarded(packet(1))));
    pair.stop();
  });

  it('outlives a thread that had attached, and ends with the one that made it', async () => {
    const id = await inThread(
      `const dataplane = new Dataplane(${JSON.stringify(OPTIONS)});
       dataplane.addPort({ name: 'lan', role: 'lan', kind: 'memory', device: '', queues: 1,
                           link: 'orphan-lan', networks: ['10.1.0.0/16'] });
       dataplane.start();
       parentPort.postMessage(dataplane.id);`,
      undefined,
    );
    expect(() => NativeDataplane.attach(id as number)).toThrow('no such dataplane');
    const mine = NativeDataplane.create(OPTIONS);
    expect(await inThread(`parentPort.postMessage(new Dataplane(workerData).id);`, mine.id)).toBe(
      mine.id,
    );
    expect(mine.allocateSpi()).toBeGreaterThan(255);
    mine.stop();
  });

  it('tells one listener, in the thread that asked', async () => {
    const lone = new Lone();
    lone.gateway.host.send([frame(packet(1))]);
    await until(() => lone.gateway.events.length === 1, 'the acquire');
    const later: unknown[] = [];
    lone.gateway.dataplane.onEvent((event) => later.push(event));
    await new Promise((resolve) => setTimeout(resolve, 1100)); // an acquire a second and policy
    lone.gateway.host.send([frame(packet(2)), frame(packet(3))]);
    await until(() => later.length === 1, 'the second acquire');
    expect(later).toEqual([{ type: 'acquire', policy: 'tunnel' }]);
    expect(lone.gateway.events).toHaveLength(1);
    lone.stop();
  });
});

describe('changes while traffic flows', () => {
  let pair: Pair;
  afterEach(() => pair.stop());

  /** Sends one packet after the other, a few at a time, until told to end. */
  function stream(): { end: () => Promise<number> } {
    let sent = 0;
    let on = true;
    const done = (async () => {
      while (on) {
        sent += pair.a.host.send(Array.from({ length: 32 }, (_, i) => frame(packet(sent + i))));
        pair.b.host.receive();
        await new Promise((resolve) => setImmediate(resolve));
      }
    })();
    return {
      end: async () => {
        on = false;
        await done;
        return sent;
      },
    };
  }

  /** The names that packets ended under. A wire that is full for a while is nobody's fault here. */
  const names = (verdicts: Record<string, number>) =>
    Object.keys(verdicts)
      .filter((name) => name !== 'tx_ring_full')
      .sort();

  const total = (verdicts: Record<string, number>) =>
    Object.entries(verdicts)
      .filter(([name]) => name !== 'held')
      .reduce((sum, [, n]) => sum + n, 0);

  it('SAs come and go, and every packet ends under one name', async () => {
    pair = new Pair();
    const traffic = stream();
    for (let i = 0; i < 40; i++) {
      const spis = pair.connect({ esn: i % 2 === 0, keyBits: i % 3 === 0 ? 256 : 128 });
      await new Promise((resolve) => setTimeout(resolve, 2));
      pair.a.dataplane.remove(spis.a);
      pair.b.dataplane.remove(spis.b);
      expect(pair.a.dataplane.counters(spis.a)).toBeUndefined();
      // Once for as long as it takes that a packet finds none.
      if (i === 20) await expect.poll(() => pair.a.verdicts.no_sa ?? 0).toBeGreaterThan(0);
    }
    const sent = await traffic.end();
    await expect.poll(() => total(pair.a.verdicts)).toBe(sent);
    const { a, b } = pair;
    expect(names(a.verdicts)).toEqual(['no_sa', 'sent']);
    await expect.poll(() => total(b.verdicts)).toBe(Number(a.statistics.espOutPackets));
    // What was on its way when its SA went is unknown; nothing fails to authenticate.
    expect(b.verdicts.icv_bad).toBeUndefined();
    expect(b.verdicts.replay_duplicate).toBeUndefined();
  });

  it('the SPD is swapped back and forth, and nothing leaves but what it says', async () => {
    pair = new Pair();
    pair.connect();
    const traffic = stream();
    for (let i = 0; i < 100; i++) {
      pair.a.dataplane.setSpd(i % 2 ? protectBothWays(A, B) : []);
      pair.a.dataplane.setNetworks({
        localAddresses: [A.outer],
        localProtected: A.networks,
        remoteProtected: B.networks,
      });
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    const sent = await traffic.end();
    await expect.poll(() => total(pair.a.verdicts)).toBe(sent);
    expect(names(pair.a.verdicts)).toEqual(['policy_no_match', 'sent']);
  });

  it('several workers share one SA: no number is sent twice, none is refused', async () => {
    pair = new Pair({ workers: 2 });
    pair.connect({ replayWindow: 4096 });
    const perQueue = 300;
    for (const queue of [0, 1]) {
      for (let i = 0; i < perQueue; i += 50) {
        pair.a.host.send(
          Array.from({ length: 50 }, (_, k) => frame(packet(i + k))),
          queue,
        );
      }
    }
    const arrived = await collect(pair.b.host, 2 * perQueue, 2);
    expect(arrived).toHaveLength(2 * perQueue);
    await expect.poll(() => pair.b.verdicts).toEqual({ sent: 2 * perQueue });
    const busy = pair.a.statistics.workers.filter((w) => w.packets > 0n);
    expect(busy).toHaveLength(2);
  });
});

describe('starting and stopping', () => {
  it('stop may be called twice, and afterwards nothing is accepted', () => {
    const lone = new Lone();
    lone.connect();
    lone.stop();
    lone.gateway.dataplane.stop();
    expect(() => lone.gateway.dataplane.allocateSpi()).toThrow('stopped');
    expect(() => lone.gateway.dataplane.start()).toThrow('stopped');
    expect(lone.gateway.statistics.workers).toEqual([]);
  });

  it('keeps what it counted', async () => {
    const lone = new Lone();
    lone.connect();
    lone.gateway.host.send([frame(packet(1))]);
    await collect(lone.wire, 1);
    await expect.poll(() => lone.gateway.verdicts).toEqual({ sent: 1 });
    lone.stop();
    expect(lone.gateway.verdicts).toEqual({ sent: 1 });
    expect(lone.gateway.dataplane.ports().map((p) => [p.name, p.rxPackets, p.txPackets])).toEqual([
      ['lan', 1n, 0n],
      ['wan', 0n, 1n],
    ]);
  });

  it.each([
    {
      plainForwarding: false,
      started: 3,
      others: 'have queues of their own, the others help them',
    },
    { plainForwarding: true, started: 2, others: 'were started' },
  ])('says what workers without queues do ($others)', ({ plainForwarding, started, others }) => {
    const dataplane = NativeDataplane.create({ ...OPTIONS, workers: 3, plainForwarding });
    const port = (name: string, queues: number): PortOptions => ({
      name,
      role: 'lan',
      kind: 'memory',
      device: '',
      queues,
      link: `few-${name}`,
    });
    dataplane.addPort(port('wide', 3));
    dataplane.addPort(port('narrow', 2));
    dataplane.start();
    expect(dataplane.statistics().workers).toHaveLength(started);
    expect(dataplane.notes()).toEqual([
      `only 2 of 3 workers ${others}: port narrow has no more queues`,
    ]);
    dataplane.stop();
  });

  it('takes next to no CPU at rest', async () => {
    const pair = new Pair();
    pair.connect();
    pair.a.host.send([frame(packet(1))]);
    await collect(pair.b.host, 1);
    const before = process.cpuUsage();
    await new Promise((resolve) => setTimeout(resolve, 1000));
    const used = process.cpuUsage(before);
    expect((used.user + used.system) / 1e6).toBeLessThan(0.1);
    pair.stop();
  });
});

describe('arguments', () => {
  const make = (change: object) => () =>
    NativeDataplane.create({ ...OPTIONS, ...change } as DataplaneOptions);

  it('are refused with the name of the field', () => {
    expect(make({ workers: 0 })).toThrow(/^options\.workers: expected a whole number from 1/);
    expect(make({ frameBytes: 3000 })).toThrow('options.frameBytes: expected 2048 or 4096');
    expect(make({ cpus: [0, -1] })).toThrow('options.cpus[1]');
    expect(() => NativeDataplane.create(undefined as never)).toThrow('options: expected an object');
    expect(() => NativeDataplane.attach(4_000_000)).toThrow('no such dataplane');
  });

  it('of a port, of networks and of policies too', () => {
    const dataplane = NativeDataplane.create(OPTIONS);
    const port = { name: 'p', role: 'lan', kind: 'memory', device: '', queues: 1, link: 'x' };
    const add = (change: object) => () => dataplane.addPort({ ...port, ...change } as PortOptions);
    expect(add({ role: 'dmz' })).toThrow('options.role: expected "lan" or "wan"');
    expect(add({ kind: 'dpdk' })).toThrow('options.kind');
    // Neither as an XDP port nor as a packet port, for the same reason: it is said once.
    expect(add({ kind: 'auto', device: 'none0' })).toThrow(
      /^cannot read the index of interface none0: No such device$/,
    );
    expect(add({ link: undefined })).toThrow('options.link');
    expect(add({ networks: ['10.0.0.0/33'] })).toThrow('options.networks[0]');
    const networks = { localAddresses: [], localProtected: [], remoteProtected: [] };
    expect(() => dataplane.setNetworks({ ...networks, localProtected: ['ten'] })).toThrow(
      'networks.localProtected[0]',
    );
    expect(() => dataplane.setNetworks({ ...networks, localAddresses: ['10.0.0.0/8'] })).toThrow(
      'networks.localAddresses[0]: expected a single address',
    );
    const [entry] = protectBothWays(A, B);
    expect(() => dataplane.setSpd([entry!, { ...entry!, action: 'allow' as never }])).toThrow(
      'entries[1].action',
    );
    expect(() =>
      dataplane.setSpd([
        { ...entry!, localSelectors: [{ ...A.selectors[0]!, startAddress: new Uint8Array(3) }] },
      ]),
    ).toThrow('entries[0].localSelectors[0].startAddress: expected 4 bytes');
    dataplane.stop();
  });

  it('of a Child SA: what the dataplane has no transform for, and keys of another length', () => {
    const dataplane = NativeDataplane.create({ ...OPTIONS, maxChildSas: 1 });
    const spi = dataplane.allocateSpi();
    const good = childSa(A, B, { inbound: spi, outbound: 0x2000 as EspSpi });
    const install = (change: Partial<ChildSa>) => () => dataplane.install({ ...good, ...change });
    expect(install({ encryption: 12 })).toThrow('encryption 12');
    expect(install({ mode: 'beet' as 'tunnel' })).toThrow('sa.mode');
    expect(install({ protocol: 'ipcomp' as 'esp' })).toThrow('sa.protocol');
    expect(install({ protocol: 'ah' })).toThrow('is not for AH');
    expect(install({ outboundSpi: 255 as EspSpi })).toThrow('sa.outboundSpi');
    expect(install({ local: { address: 'gw.example', port: 1 } })).toThrow('sa.local.address');
    expect(install({ inboundKey: new Secret(new Uint8Array(19)) })).toThrow(TypeError);
    expect(install({ inboundSpi: (spi ^ 0x8000_0000) as EspSpi })).toThrow();
    expect(() => dataplane.allocateSpi()).toThrow(SadFullError);
    install({})();
    expect(dataplane.counters(spi)?.outSequence).toBe(1n);
    expect(install({})).toThrow();
    dataplane.stop();
  });
});
