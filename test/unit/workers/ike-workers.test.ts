import { afterEach, describe, expect, it } from 'vitest';
import { Secret } from '../../../src/crypto/secret.js';
import type { Effect, Environment, Event, IkeSaView, IkeSpi } from '../../../src/ike/event.js';
import { silentLog } from '../../../src/log.js';
import { MemoryNetwork } from '../../../src/net/memory.js';
import type { Datagram } from '../../../src/net/transport.js';
import type { Connection } from '../../../src/policy/connection.js';
import { parseIdentity } from '../../../src/policy/identity.js';
import type { ChildSa, EspSpi, Sad } from '../../../src/sad/sad.js';
import { encodeMessage, type HeaderToSend, ZERO_IKE_SPI } from '../../../src/wire/index.js';
import { GatewayEvents } from '../../../src/workers/gateway-event.js';
import type { ProtocolCore } from '../../../src/workers/ike-shard.js';
import { IkeWorkers } from '../../../src/workers/ike-workers.js';
import { inlineLinks, type LinkHandlers, type OpenLink } from '../../../src/workers/link.js';
import { shardOfSpi } from '../../../src/workers/shard-map.js';
import { keyOf, sharedKey } from '../../shared-key.js';

const cleanUp: (() => unknown)[] = [];
afterEach(async () => {
  for (const action of cleanUp.splice(0).reverse()) await action();
});

/** Lets messages in flight arrive. */
const settle = () => new Promise((resolve) => setTimeout(resolve, 5));

/** A core whose answers a test chooses. */
class ScriptedCore implements ProtocolCore {
  readonly events: Event[] = [];
  readonly environment: Environment;
  connections: readonly Connection[] = [];
  sas: IkeSaView[] = [];
  dropped: Readonly<Record<string, number>> = {};
  answer: (event: Event) => Effect[] = () => [];

  constructor(environment: Environment) {
    this.environment = environment;
  }

  setConnections(connections: readonly Connection[]): void {
    this.connections = connections;
  }

  handle(event: Event): Effect[] {
    this.events.push(event);
    return this.answer(event);
  }

  eachIkeSa(): Iterator<IkeSaView> {
    return this.sas[Symbol.iterator]();
  }

  drops(): Readonly<Record<string, number>> {
    return this.dropped;
  }

  get isEmpty(): boolean {
    return this.sas.length === 0;
  }

  types(): string[] {
    return this.events.map(({ type }) => type);
  }
}

class RecordingSad implements Sad {
  readonly calls: string[] = [];
  #next = 0x1000;

  allocateSpi(): EspSpi {
    return this.#next++ as EspSpi;
  }
  releaseSpi(spi: EspSpi): void {
    this.calls.push(`release ${spi.toString(16)}`);
  }
  install(sa: ChildSa): void {
    this.calls.push(`install ${sa.inboundSpi.toString(16)}`);
  }
  prefer(spi: EspSpi): void {
    this.calls.push(`prefer ${spi.toString(16)}`);
  }
  retire(spi: EspSpi): void {
    this.calls.push(`retire ${spi.toString(16)}`);
  }
  move(): boolean {
    return true;
  }
  remove(spi: EspSpi): void {
    this.calls.push(`remove ${spi.toString(16)}`);
  }
  counters(): undefined {
    return undefined;
  }
}

const connection = {
  name: 'office',
  children: [{ name: 'net', start: 'wait' }],
  local: { address: '192.0.2.1', identity: parseIdentity('a.example') },
  remote: { address: '192.0.2.2', identity: parseIdentity('b.example') },
} as unknown as Connection;

/** Another connection between the same two identities, and one with a third. */
const warehouse = { ...connection, name: 'warehouse' };
const branch = {
  ...connection,
  name: 'branch',
  remote: { ...connection.remote, identity: parseIdentity('c.example') },
};

/** Each test wipes what it has made. */
function withKey({ local, remote, ...rest }: Connection): Connection {
  const authentication = sharedKey('a key of the test');
  return { ...rest, local: { ...local, authentication }, remote: { ...remote, authentication } };
}

async function setup(shards: number, wrap: (open: OpenLink) => OpenLink = (open) => open) {
  const cores: ScriptedCore[] = [];
  const sad = new RecordingSad();
  const makeCore = (environment: Environment) => {
    const core = new ScriptedCore(environment);
    cores.push(core);
    return core;
  };
  const network = new MemoryNetwork();
  const [transport, peer] = [network.transport(), network.transport()];
  const jobs: string[] = [];
  const demands: boolean[] = [];
  transport.demandCookies = (on) => demands.push(on);
  let deliver: (datagram: Datagram) => void = () => {};
  const listen = transport.onDatagram.bind(transport);
  transport.onDatagram = (listener) => {
    deliver = listener;
    listen(listener);
  };
  const workers = new IkeWorkers({
    shards,
    connections: [connection, warehouse, branch].map(withKey),
    openLink: wrap(inlineLinks({ sad, makeCore })),
    transport,
    jobs: {
      async run(job) {
        jobs.push(`${job.type} ${'group' in job ? job.group : ''}`);
        return { type: 'failed', reason: 'scripted' };
      },
      async close() {},
    },
    sad,
    halfOpenPerAddress: 2,
    now: () => performance.now(),
    log: silentLog,
    events: new GatewayEvents(),
  });
  await transport.open(['192.0.2.1']);
  await peer.open(['192.0.2.2']);
  cleanUp.push(() => workers.stop(0));
  const send = (header: Partial<HeaderToSend>) => {
    const data = encodeMessage({ header: { ...firstRequest, ...header }, payloads: [] });
    peer.send(at('192.0.2.2'), at('192.0.2.1'), false, data);
  };
  await settle();
  return { workers, cores, sad, jobs, send, peer, deliver, demands };
}

const at = (address: string) => ({ address, port: 500 });

const firstRequest: HeaderToSend = {
  initiatorSpi: '00112233445566aa' as IkeSpi,
  responderSpi: ZERO_IKE_SPI,
  exchangeType: 34,
  initiator: true,
  response: false,
  messageId: 0,
};

const childSa = (inboundSpi: EspSpi): ChildSa =>
  ({
    policy: 'office/net',
    inboundSpi,
    inboundKey: new Secret(Uint8Array.of(1)),
    outboundKey: new Secret(Uint8Array.of(2)),
  }) as ChildSa;

function established(ikeSpi: string, initialContact: boolean): Effect {
  const peerIdentity = 'b.example';
  return {
    type: 'ike-established',
    connection: 'office',
    ikeSpi: ikeSpi as IkeSpi,
    peerIdentity,
    initialContact,
  };
}

describe('the IKE workers', () => {
  it('give every core its connections, each with a key of its own', async () => {
    const { cores } = await setup(3);
    expect(cores.length).toBe(3);
    const keys = cores.map(({ connections }) => keyOf(connections[0]!));
    for (const key of keys) expect(Buffer.from(key.bytes).toString()).toBe('a key of the test');
    keys[0]!.wipe();
    expect(keys[1]!.bytes.length).toBe(17);
  });

  it('bring a datagram to the shard of our SPI, whichever of the two it is', async () => {
    const { cores, send } = await setup(4);
    const ours = cores.map(({ environment }) => environment.allocateIkeSpi());
    ours.forEach((spi, shard) => {
      expect(shardOfSpi(spi, 4)).toBe(shard);
    });
    send({ exchangeType: 37, responderSpi: ours[1]! });
    send({
      exchangeType: 37,
      initiatorSpi: ours[2]!,
      responderSpi: 'ff00000000000000' as IkeSpi,
      initiator: false,
    });
    await settle();
    expect(cores.map(({ events }) => events.length)).toEqual([0, 1, 1, 0]);
    expect(cores[1]!.events[0]).toMatchObject({ type: 'datagram', remote: at('192.0.2.2') });
  });

  it('bring a retransmitted first request to the same core', async () => {
    const { cores, send } = await setup(4);
    for (let i = 0; i < 5; i++) send({});
    await settle();
    expect(cores.map(({ events }) => events.length).sort()).toEqual([0, 0, 0, 5]);
  });

  it('have an address that has its half-open SAs prove itself for more', async () => {
    const { cores, send, workers } = await setup(1);
    for (let i = 0; i < 5; i++) send({ initiatorSpi: `0${i}11223344556677` as IkeSpi });
    await settle();
    const asked = cores[0]!.events.map((event) => event.type === 'datagram' && event.proof);
    expect(asked).toEqual([undefined, undefined, 'demanded', 'demanded', 'demanded']);
    expect(workers.drops()).toEqual({});
  });

  it('drop by name what is no IKEv2 message', async () => {
    const { cores, peer, workers, send } = await setup(1);
    const whole = encodeMessage({ header: firstRequest, payloads: [] });
    for (const data of [whole.subarray(0, 27), new Uint8Array(0), Uint8Array.of(...whole, 0)]) {
      peer.send(at('192.0.2.2'), at('192.0.2.1'), false, data);
    }
    send({ majorVersion: 1, minorVersion: 0 });
    await settle();
    expect(workers.drops()).toEqual({ 'ike-malformed': 3, 'ike-version-1': 1 });
    expect(cores[0]!.events).toEqual([]);
    cores[0]!.dropped = { 'ike-malformed': 1, 'ike-invalid-syntax': 2 };
    await workers.ikeSas();
    expect(workers.drops()).toMatchObject({ 'ike-malformed': 4, 'ike-invalid-syntax': 2 });
  });

  it('that are behind take no first requests but those with a COOKIE, far behind none at all', async () => {
    let backlog = 500;
    const busy = (open: OpenLink): OpenLink => {
      return (shard, shards, handlers) => ({
        ...open(shard, shards, handlers),
        backlog: () => backlog,
      });
    };
    const { cores, workers, send, deliver, demands } = await setup(1, busy);
    const data = encodeMessage({ header: firstRequest, payloads: [] });
    const ends = { local: at('192.0.2.1'), remote: at('192.0.2.2') };
    const all = () => {
      send({});
      deliver({ ...ends, data, proved: true });
      send({ exchangeType: 37, responderSpi: 'ff00000000000000' as IkeSpi });
    };
    expect(demands).toEqual([]);
    all();
    await settle();
    expect(cores[0]!.events).toMatchObject([{ proof: 'given' }, { proof: undefined }]);
    expect(workers.drops()).toEqual({ 'ike-init-overload': 1 });
    expect(demands).toEqual([true]);
    backlog = 5000;
    all();
    await settle();
    expect(cores[0]!.events.length).toBe(2);
    expect(workers.drops()).toEqual({ 'ike-init-overload': 1, 'ike-overload': 3 });
  });

  it('hear of no first request that is longer than one has reason to be', async () => {
    const { cores, workers, deliver } = await setup(1);
    const ends = { local: at('192.0.2.1'), remote: at('192.0.2.2') };
    for (const octets of [8_000, 12_000]) {
      const payloads = [{ kind: 'V', data: new Uint8Array(octets) } as const];
      deliver({ ...ends, data: encodeMessage({ header: firstRequest, payloads }), proved: true });
    }
    await settle();
    expect(cores[0]!.events.length).toBe(1);
    expect(workers.drops()).toEqual({ 'ike-init-too-long': 1 });
  });

  it('fire the timers that a core starts, once, unless it cancels them', async () => {
    const { cores, workers } = await setup(1);
    cores[0]!.answer = ({ type }) =>
      type === 'initiate'
        ? [
            { type: 'start-timer', timer: 'a', delay: 1 },
            { type: 'start-timer', timer: 'b', delay: 1 },
            { type: 'cancel-timer', timer: 'b' },
          ]
        : [];
    void workers.keeper.up('office');
    await new Promise((resolve) => setTimeout(resolve, 30));
    const fired = cores[0]!.events.filter(({ type }) => type === 'timer');
    expect(fired).toEqual([{ type: 'timer', timer: 'a', at: expect.any(Number) }]);
  });

  it('run cheap jobs in place and dear ones in the pool', async () => {
    const { cores, workers, jobs } = await setup(1);
    cores[0]!.answer = ({ type }) =>
      type === 'initiate'
        ? [
            { type: 'compute', id: 'curve', job: { type: 'generate', group: 31 } },
            { type: 'compute', id: 'modp', job: { type: 'generate', group: 14 } },
          ]
        : [];
    void workers.keeper.up('office');
    await settle();
    expect(jobs).toEqual(['generate 14']);
    const results = cores[0]!.events.flatMap((event) =>
      event.type === 'computed' ? [[event.job, event.result.type]] : [],
    );
    expect(results.sort()).toEqual([
      ['curve', 'generated'],
      ['modp', 'failed'],
    ]);
  });

  it('install ESP SAs, wipe their keys, and tell who waits for the connection', async () => {
    const { cores, workers, sad } = await setup(1);
    const sa = childSa(0x1000 as EspSpi);
    cores[0]!.answer = ({ type }) =>
      type === 'initiate' ? [{ type: 'install-child', sa, standby: false }] : [];
    expect(await workers.keeper.up('office')).toEqual({ result: 'established' });
    expect(sad.calls).toEqual(['install 1000']);
    expect([sa.inboundKey.byteLength, sa.outboundKey.byteLength]).toEqual([0, 0]);
  });

  it('ask for the Child SA again where the peer has deleted it alone', async () => {
    const { cores, workers } = await setup(1);
    const sa = childSa(0x1000 as EspSpi);
    cores[0]!.answer = ({ type }) =>
      type === 'initiate'
        ? [
            { type: 'install-child', sa, standby: false },
            { type: 'start-timer', timer: 'delete', delay: 1 },
          ]
        : [{ type: 'remove-child', inboundSpi: sa.inboundSpi, reason: 'deleted by the peer' }];
    await workers.keeper.up('office');
    await new Promise((resolve) => setTimeout(resolve, 1_100));
    expect(cores[0]!.types().slice(0, 3)).toEqual(['initiate', 'timer', 'initiate']);
  });

  it('tell a full SAD as the reason of the failure, and wipe the keys all the same', async () => {
    const { cores, workers, sad } = await setup(1);
    const sa = childSa(0x1000 as EspSpi);
    sad.install = () => {
      throw new Error('gateway.max_child_sas is reached');
    };
    cores[0]!.answer = ({ type }) =>
      type === 'initiate' ? [{ type: 'install-child', sa, standby: false }] : [];
    expect(await workers.keeper.up('office')).toEqual({
      result: 'failed',
      explanation: 'cannot install the ESP SAs: gateway.max_child_sas is reached',
    });
    expect(sa.inboundKey.byteLength).toBe(0);
  });

  it('supersede an older SA in another shard on INITIAL_CONTACT', async () => {
    const { cores, send } = await setup(2);
    const [first, second] = cores;
    const old = first!.environment.allocateIkeSpi();
    first!.answer = ({ type }) => (type === 'datagram' ? [established(old, true)] : []);
    send({ exchangeType: 35, responderSpi: old });
    await settle();
    const young = second!.environment.allocateIkeSpi();
    second!.answer = ({ type }) => (type === 'datagram' ? [established(young, true)] : []);
    send({ exchangeType: 35, responderSpi: young });
    await settle();
    expect(first!.events.at(-1)).toMatchObject({ type: 'superseded', ikeSpi: old });
    expect(second!.types()).toEqual(['datagram']);
  });

  it('initiate where the connection already has an IKE SA', async () => {
    for (const shard of [0, 1, 2, 3]) {
      const { cores, send, workers } = await setup(4);
      const core = cores[shard]!;
      const spi = core.environment.allocateIkeSpi();
      core.answer = ({ type }) => (type === 'datagram' ? [established(spi, false)] : []);
      send({ exchangeType: 35, responderSpi: spi });
      await settle();
      workers.keeper.acquire('office/net');
      await settle();
      expect(core.events.at(-1)).toMatchObject({ type: 'initiate', child: 'net' });
    }
  });

  it('initiate all connections between the same identities in one worker', async () => {
    // RFC 7296 §2.4: only there is it known whether INITIAL_CONTACT would be true.
    for (const shard of [0, 1, 2, 3]) {
      const { cores, send, workers } = await setup(4);
      const core = cores[shard]!;
      const spi = core.environment.allocateIkeSpi();
      core.answer = ({ type }) => (type === 'datagram' ? [established(spi, false)] : []);
      send({ exchangeType: 35, responderSpi: spi });
      await settle();
      workers.keeper.acquire('warehouse/net');
      await settle();
      expect(core.events.at(-1)).toMatchObject({ type: 'initiate', connection: 'warehouse' });
    }
    const { cores, workers } = await setup(64);
    for (const name of ['warehouse', 'office']) workers.keeper.acquire(`${name}/net`);
    await settle();
    const initiated = cores.filter((core) => core.types().includes('initiate'));
    expect(initiated.map((core) => core.types())).toEqual([['initiate', 'initiate']]);
  });

  it('survive a core that throws, and go on with its other SAs', async () => {
    const { cores, send } = await setup(1);
    cores[0]!.answer = () => {
      throw new Error('a bug');
    };
    send({});
    await settle();
    cores[0]!.answer = () => [];
    send({});
    await settle();
    expect(cores[0]!.types()).toEqual(['datagram', 'datagram']);
  });

  it('replace a worker that died, and remove what it had', async () => {
    const handlers: LinkHandlers[] = [];
    const { cores, sad, workers } = await setup(1, (open) => (shard, shards, handler) => {
      handlers.push(handler);
      return open(shard, shards, handler);
    });
    const { environment } = cores[0]!;
    const sa = childSa(environment.allocateSpi());
    environment.allocateSpi();
    cores[0]!.answer = ({ type }) =>
      type === 'initiate' ? [{ type: 'install-child', sa, standby: false }] : [];
    await workers.keeper.up('office');
    cores[0]!.dropped = { 'ike-unknown-spi': 3 };
    await workers.ikeSas();
    handlers[0]!.died('out of memory');
    expect(sad.calls).toEqual(['install 1000', 'remove 1000', 'release 1001']);
    await new Promise((resolve) => setTimeout(resolve, 1_050));
    expect(cores.length).toBe(2);
    expect(cores[1]!.connections[0]!.name).toBe('office');
    expect(workers.drops()).toEqual({ 'ike-unknown-spi': 3 });
  });

  it('stop as soon as every core has no SA left, or when patience ends', async () => {
    const { cores, workers } = await setup(2);
    cores[0]!.sas = [{} as IkeSaView];
    cores[0]!.answer = ({ type }) => {
      if (type === 'timer') cores[0]!.sas = [];
      return type === 'stop' ? [{ type: 'start-timer', timer: 'answer', delay: 20 }] : [];
    };
    const before = performance.now();
    await workers.stop(10_000);
    expect(performance.now() - before).toBeGreaterThan(15);
    expect(performance.now() - before).toBeLessThan(2_000);

    const stuck = await setup(1);
    stuck.cores[0]!.sas = [{} as IkeSaView];
    await stuck.workers.stop(30);
    expect(stuck.cores[0]!.types()).toEqual(['stop']);
  });

  it('are stopped with patience as long as IKE SAs end', async () => {
    const { cores, workers } = await setup(1);
    const [core] = cores;
    core!.sas = Array.from({ length: 8 }, () => ({}) as IkeSaView);
    const tick: Effect = { type: 'start-timer', timer: 'tick', delay: 50 };
    core!.answer = ({ type }) => {
      if (type === 'stop') return [tick];
      core!.sas.pop();
      const ended = { connection: undefined, ikeSpi: ZERO_IKE_SPI, reason: 'deleted' };
      return [{ type: 'ike-closed', ...ended }, tick];
    };
    const before = performance.now();
    await workers.stop(250);
    expect(core!.sas).toEqual([]);
    expect(performance.now() - before).toBeGreaterThan(350);
  });
});

describe('messages to the workers', () => {
  it('carry the view of the IKE SAs back', async () => {
    const { cores, workers } = await setup(2);
    cores[0]!.sas = [{ connection: 'x' } as IkeSaView];
    cores[1]!.sas = [{ connection: 'y' } as IkeSaView];
    const views = await workers.ikeSas();
    expect(views.map(({ connection: name }) => name)).toEqual(['x', 'y']);
  });

  it('carry the view of thousands back in parts, and others in between', async () => {
    const { cores, workers } = await setup(1);
    const names = Array.from({ length: 3_000 }, (_, i) => `c${i}`);
    cores[0]!.sas = names.map((connection) => ({ connection }) as IkeSaView);
    let seen = 0;
    cores[0]!.eachIkeSa = function* () {
      for (const sa of this.sas) {
        seen++;
        yield sa;
      }
    };
    let isOver = false;
    const views = workers.ikeSas().finally(() => {
      isOver = true;
    });
    let turns = 0;
    const other = () => {
      turns++;
      if (!isOver) setImmediate(other);
    };
    setImmediate(other);
    await new Promise((resolve) => setImmediate(resolve));
    const soon = seen;
    const all = await views;
    expect(soon).toBeLessThan(1_000);
    expect(turns).toBeGreaterThan(8);
    expect(all.map(({ connection }) => connection)).toEqual(names);
  });
});
