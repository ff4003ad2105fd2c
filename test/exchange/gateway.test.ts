/**
 * Two whole gateways in one process: control plane, IKE over a network in memory, and the native
 * dataplane over memory ports. What a daemon adds to this is UDP, the API and the guard.
 */
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { GatewayConfig } from '../../src/config/gateway-config.js';
import type { SpdEntry } from '../../src/dataplane/dataplane.js';
import { MemoryHost } from '../../src/dataplane/memory-host.js';
import { Ike } from '../../src/ike/ike.js';
import { type DaemonLog, silentLog } from '../../src/log.js';
import { type Gateway, type GatewayParts, memoryParts, runGateway } from '../../src/main.js';
import { MemoryNetwork, type MemoryTap } from '../../src/net/memory.js';
import type { OwnCertificate, Trust } from '../../src/policy/authentication.js';
import { DEFAULT_FRAGMENT_BYTES, NO_LIFETIME, type Start } from '../../src/policy/connection.js';
import { parseIdentity } from '../../src/policy/identity.js';
import { parseProposal } from '../../src/policy/proposal.js';
import { parseSelector, peekHeader, ZERO_IKE_SPI } from '../../src/wire/index.js';
import { inlineLinks, threadLinks, type WorkerLink } from '../../src/workers/link.js';
import { Authorities } from '../authorities.js';
import { compileIfStale } from '../compiled.js';
import { keyOf, sharedKey } from '../shared-key.js';
import { forwarded, frame, hex, ipOf, ipPacket, pattern } from '../unit/dataplane/packets.js';

const cleanUp: (() => unknown)[] = [];
afterEach(async () => {
  for (const action of cleanUp.splice(0).reverse()) await action();
});

// IKE workers and the pool are threads, which run what is compiled.
beforeAll(() => compileIfStale(), 60_000);

interface Wanted {
  readonly start: Start;
  readonly ike: string;
  readonly psk: string;
  /** In place of the pre-shared key, both of a kind. */
  readonly certificate?: { readonly own: OwnCertificate; readonly trust: Trust };
  /** Our own identity. */
  readonly id: string | undefined;
  readonly ikeWorkers: number;
  readonly halfOpenPerAddress: number;
  readonly openLink?: GatewayParts['openLink'];
  readonly log?: DaemonLog;
}

const usual: Wanted = {
  start: 'wait',
  ike: 'aes128gcm16-prfsha256-x25519',
  psk: 'one key for both of them',
  id: undefined,
  ikeWorkers: 2,
  halfOpenPerAddress: 16,
};

let wires = 0;

/** host a - gateway a - wire - gateway b - host b; the hosts are in the test's hands. */
class Pair {
  readonly network: MemoryNetwork;
  readonly #wire = `gateways-${process.pid}-${++wires}`;

  constructor(tap?: MemoryTap) {
    this.network = new MemoryNetwork(tap);
  }

  async gateway(here: 1 | 2, wanted: Partial<Wanted> = {}) {
    const log = wanted.log ?? silentLog;
    const id = `${this.#wire}-${here}`;
    const config = gatewayConfig(here, id, this.#wire, { ...usual, ...wanted });
    const parts = memoryParts({
      log,
      transport: this.network.transport(),
      localAddresses: [`192.0.2.${here}`, `10.${here}.0.1`],
      reinjectLink: `${id}-kernel`,
      ...(wanted.openLink === undefined ? {} : { openLink: wanted.openLink }),
    });
    const gateway = await runGateway(config, parts);
    const host = new MemoryHost(`${id}-lan`);
    const stop = once(async () => {
      await gateway.stop();
      host.close();
    });
    cleanUp.push(stop);
    return { gateway, host, config, stop };
  }
}

function once(action: () => Promise<void>): () => Promise<void> {
  let done: Promise<void> | undefined;
  return () => {
    done ??= action();
    return done;
  };
}

/** Both sides prove themselves with certificates. */
function certified(here: 1 | 2, { own, trust }: { own: OwnCertificate; trust: Trust }) {
  const end = (n: number) => ({
    address: `192.0.2.${n}`,
    identity: parseIdentity(`gw${n}.example`),
  });
  return {
    local: { ...end(here), alternatives: [], authentication: own },
    remote: { ...end(3 - here), authentication: trust },
  };
}

function gatewayConfig(here: 1 | 2, id: string, wire: string, wanted: Wanted): GatewayConfig {
  const there = 3 - here;
  const [local, remote] = [`10.${here}.0.0/16`, `10.${there}.0.0/16`];
  const selectors = {
    localSelectors: [parseSelector(local)],
    remoteSelectors: [parseSelector(remote)],
  };
  const protect = (direction: SpdEntry['direction']): SpdEntry => ({
    action: 'protect',
    direction,
    policy: 'office/net',
    ...selectors,
  });
  const port = { kind: 'memory', device: '', queues: 1 } as const;
  const authentication = sharedKey(wanted.psk);
  const end = (n: number) => ({
    address: `192.0.2.${n}`,
    alternatives: [],
    identity: parseIdentity(`gw${n}.example`),
    authentication,
  });
  return {
    name: `gw${here}`,
    ports: [
      {
        ...port,
        name: 'lan',
        role: 'lan',
        link: `${id}-lan`,
        networks: [local],
        addresses: [`10.${here}.0.1`],
      },
      {
        ...port,
        name: 'wan',
        role: 'wan',
        link: wire,
        networks: ['192.0.2.0/24', remote],
        addresses: [`192.0.2.${here}`],
      },
    ],
    workers: 1,
    cpus: 'any',
    queueWorkers: undefined,
    framesPerQueue: 512,
    frameBytes: 2048,
    busyPollMicroseconds: 0,
    ikeWorkers: wanted.ikeWorkers,
    maxChildSas: 16,
    halfOpenPerAddress: wanted.halfOpenPerAddress,
    apiSocket: '',
    apiGroup: undefined,
    metricsListen: undefined,
    logLevel: 'info',
    routeTable: 0,
    guardOnStop: 'keep',
    espKeysFile: undefined,
    plainForwarding: false,
    connections: [
      {
        name: 'office',
        local: { ...end(here), identity: parseIdentity(wanted.id ?? `gw${here}.example`) },
        remote: end(there),
        ...(wanted.certificate === undefined ? {} : certified(here, wanted.certificate)),
        ikeProposals: [parseProposal('ike', wanted.ike)],
        livenessSeconds: 0,
        mobike: true,
        fragmentBytes: DEFAULT_FRAGMENT_BYTES,
        windowSize: 1,
        forceUdpEncapsulation: false,
        natTraversal: true,
        lifetime: NO_LIFETIME,
        reauthSeconds: 0,
        childless: false,
        children: [
          {
            name: 'net',
            start: wanted.start,
            mode: 'tunnel',
            ...selectors,
            proposals: [parseProposal('esp', 'aes128gcm16-esn')],
            replayWindow: 4096,
            lifetime: NO_LIFETIME,
          },
        ],
      },
    ],
    spd: [protect('outbound'), protect('inbound')],
  };
}

const ping = (from: 1 | 2, seed = 1) =>
  ipPacket({
    source: `10.${from}.0.5`,
    destination: `10.${3 - from}.0.7`,
    payload: pattern(100, seed),
  });

/** Waits for the first frame. */
async function receive(host: MemoryHost): Promise<Uint8Array> {
  let frames: Uint8Array[] = [];
  await expect
    .poll(
      () => {
        if (frames.length === 0) frames = host.receive();
        return frames.length;
      },
      { timeout: 5_000 },
    )
    .toBeGreaterThan(0);
  return frames[0]!;
}

async function office(gateway: Gateway) {
  return (await gateway.status()).connections[0]!;
}

describe('two gateways', () => {
  it('carry packets through the tunnel that they have negotiated', async () => {
    const pair = new Pair();
    const [a, b] = [await pair.gateway(1), await pair.gateway(2)];
    expect(await a.gateway.up('office')).toEqual({ connection: 'office', result: 'established' });
    a.host.send([frame(ping(1))]);
    expect(hex(ipOf(await receive(b.host)))).toBe(hex(forwarded(ping(1))));
    b.host.send([frame(ping(2))]);
    expect(hex(ipOf(await receive(a.host)))).toBe(hex(forwarded(ping(2))));

    const [here, there] = [await a.gateway.status(), await b.gateway.status()];
    const [ikeA, ikeB] = [here.connections[0]!.ikeSas[0]!, there.connections[0]!.ikeSas[0]!];
    expect(ikeA).toMatchObject({
      state: 'established',
      role: 'initiator',
      local: '192.0.2.1:4500', // both can move (RFC 4555 §3.3)
      remoteId: 'gw2.example',
      proposal: 'AES_GCM_16_128/PRF_HMAC_SHA2_256/CURVE25519',
      nat: 'none',
    });
    expect(ikeB.responderSpi).toBe(ikeA.responderSpi);
    const [childA, childB] = [ikeA.childSas[0]!, ikeB.childSas[0]!];
    expect([childA.inboundSpi, childA.outboundSpi]).toEqual([
      childB.outboundSpi,
      childB.inboundSpi,
    ]);
    expect(childA).toMatchObject({
      esn: true,
      inPackets: 1,
      outPackets: 1,
      localSelectors: ['10.1.0.0/16'],
    });
    expect([here.drops, there.drops]).toEqual([{}, {}]);
    expect([here.esp.outPackets, there.esp.inPackets]).toEqual([1, 1]);
  });

  it('raise the tunnel for the first packet that needs it', async () => {
    const pair = new Pair();
    const [a, b] = [await pair.gateway(1, { start: 'trap' }), await pair.gateway(2)];
    a.host.send([frame(ping(1))]);
    await expect.poll(async () => (await office(b.gateway)).ikeSas.length).toBe(1);
    await expect.poll(async () => (await office(a.gateway)).ikeSas[0]?.childSas.length).toBe(1);
    // That packet may not wait: it was dropped, by name.
    expect((await a.gateway.status()).drops).toEqual({ no_sa: 1 });
    a.host.send([frame(ping(1, 2))]);
    expect(hex(ipOf(await receive(b.host)))).toBe(hex(forwarded(ping(1, 2))));
  });

  it('run the dear key exchanges in the pool, the cores in threads or in this one', async () => {
    const inline: GatewayParts['openLink'] = (dataplane) =>
      inlineLinks({ sad: dataplane, makeCore: (environment) => new Ike(environment) });
    for (const group of ['modp2048', 'ecp384']) {
      const pair = new Pair();
      const ike = `aes256gcm16-prfsha384-${group}`;
      const a = await pair.gateway(1, { ike, openLink: inline });
      await pair.gateway(2, { ike });
      expect((await a.gateway.up('office')).result).toBe('established');
    }
  });

  it('prove themselves with certificates, whose keys the threads share', async () => {
    const pki = new Authorities();
    cleanUp.push(() => pki.remove());
    pki.make('root', { ca: true });
    // Signed with in the worker's thread, and in the pool.
    for (const key of ['ec:P-256', 'rsa:2560'] as const) {
      const pair = new Pair();
      for (const n of [1, 2]) {
        const extensions = [`subjectAltName = DNS:gw${n}.example`];
        pki.make(`gw${n}`, { key, issuer: 'root', extensions });
      }
      const side = (n: number) => ({ own: pki.own([`gw${n}`]), trust: pki.trust(['root']) });
      const a = await pair.gateway(1, { certificate: side(1) });
      await pair.gateway(2, { certificate: side(2), ikeWorkers: 2 });
      const { result, explanation } = await a.gateway.up('office');
      expect([result, explanation]).toEqual(['established', undefined]);
    }
  });

  it('tell why there is no tunnel, with both proposals', async () => {
    const pair = new Pair();
    const a = await pair.gateway(1);
    const b = await pair.gateway(2, { ike: 'aes256gcm16-prfsha384-ecp256' });
    const outcome = await a.gateway.up('office');
    expect(outcome.result).toBe('failed');
    expect(outcome.explanation).toMatch(/NO_PROPOSAL_CHOSEN/);
    const { lastError } = await office(b.gateway);
    expect(lastError).toMatch(/AES_GCM_16_128/);
    expect(lastError).toMatch(/AES_GCM_16_256/);
    expect((await office(a.gateway)).lastError).toBe(outcome.explanation);
  });

  it('explain each on its side what is wrong, in words that lead to the fix', async () => {
    const mistakes: [Partial<Wanted>, RegExp, RegExp, RegExp][] = [
      [
        { ike: 'aes256gcm16-prfsha384-ecp256' },
        /^both gateways need one algorithm of each kind in common/,
        /ours: +AES_GCM_16_256 .*\npeer's: AES_GCM_16_128 .*\nfirst difference: encryption/,
        /a line of \[connection\.office\] here: ike = \["aes128gcm16-prfsha256-x25519"\]$/,
      ],
      [
        { psk: 'another key of this one' },
        /^psk_file of \[connection\.office\] has to hold the same key on both gateways/,
        /^AUTH of gw1\.example does not verify: the pre-shared keys differ$/,
        /^psk_file of \[connection\.office\] has to hold the same key on both gateways/,
      ],
      [
        { id: 'gw9.example' },
        /^psk_file/,
        /the peer says: remote id gw1\.example, local id gw2\.example\noffice has: remote id gw1\.example, local id gw9\.example/,
        /^the identities have to mirror each other: ours is gw9\.example/,
      ],
    ];
    for (const [mistake, ourAdvice, theirWords, theirAdvice] of mistakes) {
      const pair = new Pair();
      const [a, b] = [await pair.gateway(1), await pair.gateway(2, mistake)];
      expect((await a.gateway.up('office')).result).toBe('failed');
      const [here, there] = [await a.gateway.explain('office'), await b.gateway.explain('office')];
      expect(here.state).toBe('down');
      expect(here.advice[0]).toMatch(ourAdvice);
      expect(there.failure).toMatchObject({ unproved: true });
      expect(there.failure!.explanation).toMatch(theirWords);
      expect(there.advice[0]).toMatch(theirAdvice);
      await a.stop();
      await b.stop();
    }
  });

  it('tell of what happens, and forget an error that is over', async () => {
    const pair = new Pair();
    const [a] = [await pair.gateway(1), await pair.gateway(2)];
    await a.gateway.up('office');
    await a.gateway.rekey('office', 'child');
    const types = () => a.gateway.events.recent().map(({ type }) => type);
    await expect.poll(types).toContain('rekeyed');
    expect(types().slice(0, 2)).toEqual(['ike-established', 'child-up']);
    expect(await a.gateway.explain('office')).toEqual({
      connection: 'office',
      state: 'up',
      summary: 'it is up',
      advice: [],
    });
    await a.gateway.down('office');
    await expect.poll(types).toContain('child-down');
    expect((await a.gateway.explain('office')).advice).toEqual([
      'to bring it up: esplane up office',
    ]);
  });

  it('want a COOKIE of an address that has half of its places taken, of how many there are', async () => {
    for (const [halfOpenPerAddress, asked] of [
      [1, true],
      [2, false],
    ] as const) {
      let withoutSpi = false;
      const pair = new Pair((_from, _to, data) => {
        const header = peekHeader(data);
        if (header?.response === true) withoutSpi ||= header.responderSpi === ZERO_IKE_SPI;
        return true;
      });
      const a = await pair.gateway(1);
      await pair.gateway(2, { halfOpenPerAddress });
      expect((await a.gateway.up('office')).result).toBe('established');
      expect(withoutSpi).toBe(asked);
    }
  });

  it('forget the tunnel on both sides when it is taken down', async () => {
    const pair = new Pair();
    const [a, b] = [await pair.gateway(1), await pair.gateway(2)];
    await a.gateway.up('office');
    expect(await b.gateway.down('office')).toEqual({ connection: 'office', deletedIkeSas: 1 });
    await expect.poll(async () => (await office(a.gateway)).ikeSas).toEqual([]);
    a.host.send([frame(ping(1))]);
    await expect.poll(async () => (await a.gateway.status()).drops).toEqual({ no_sa: 1 });
    await expect(a.gateway.up('home')).rejects.toThrow('no connection "home"');
  });

  it('say good-bye, wipe their keys, and start again in the same process', async () => {
    const pair = new Pair();
    const b = await pair.gateway(2);
    for (let i = 0; i < 3; i++) {
      const a = await pair.gateway(1);
      await a.gateway.up('office');
      const before = performance.now();
      await a.stop();
      expect(performance.now() - before).toBeLessThan(1_900);
      await expect.poll(async () => (await office(b.gateway)).ikeSas).toEqual([]);
      expect(keyOf(a.config.connections[0]!).byteLength).toBe(0);
    }
  });

  it('remove the SAs of an IKE worker that dies, and set the tunnel up anew', async () => {
    const pair = new Pair();
    const links: WorkerLink[] = [];
    const plain = {
      ...{ senderId: undefined, ikeOptions: {}, espKeysFile: undefined },
      spiKey: new Uint8Array(32),
    };
    const openLink: GatewayParts['openLink'] = (dataplane) => (shard, shards, handlers) => {
      const link = threadLinks({ dataplaneId: dataplane.id, ...plain })(shard, shards, handlers);
      links.push(link);
      return link;
    };
    const errors: string[] = [];
    const log = { ...silentLog, error: (message: string) => errors.push(message) };
    const a = await pair.gateway(1, { start: 'always', ikeWorkers: 1, openLink, log });
    const b = await pair.gateway(2);
    const spis = async () =>
      (await office(a.gateway)).ikeSas.flatMap((sa) => sa.childSas).map((sa) => sa.inboundSpi);
    await expect.poll(async () => (await spis()).length).toBe(1);
    const before = await spis();
    // No message of ours is like this one: the thread throws.
    links[0]!.post({ type: 'connections', names: [], connections: null as never });
    await expect.poll(() => errors.length).toBe(1);
    expect(errors[0]).toMatch(/^IKE worker 0 died, its SAs are removed: TypeError/);
    b.host.send([frame(ping(2))]);
    await expect.poll(async () => (await a.gateway.status()).drops.unknown_spi).toBe(1);
    await expect.poll(async () => (await spis()).length, { timeout: 10_000 }).toBe(1);
    expect(await spis()).not.toEqual(before);
    a.host.send([frame(ping(1))]);
    expect(hex(ipOf(await receive(b.host)))).toBe(hex(forwarded(ping(1))));
  });

  it('give everything back where a part cannot be had', async () => {
    const pair = new Pair();
    const a = await pair.gateway(1);
    // The address is taken in this network, which is found out after the dataplane has started.
    const closed: string[] = [];
    const config = gatewayConfig(1, 'gateways-spare', 'gateways-spare-wire', usual);
    const parts = memoryParts({
      log: silentLog,
      transport: pair.network.transport(),
      localAddresses: [],
      reinjectLink: 'gateways-spare-kernel',
    });
    const errors: string[] = [];
    const log = { ...silentLog, error: (message: string) => errors.push(message) };
    const jobs = { ...parts.jobs, close: async () => void closed.push('jobs') };
    const remove = () => {
      throw new Error('there is no ip(8)');
    };
    const hostRoutes = { ...parts.hostRoutes, remove };
    const started = runGateway(config, { ...parts, jobs, log, hostRoutes });
    await expect(started).rejects.toThrow('192.0.2.1 is taken');
    await parts.jobs.close();
    expect(errors).toEqual(['not given back: there is no ip(8)']);
    expect(closed).toEqual(['jobs']);
    expect(keyOf(config.connections[0]!).byteLength).toBe(0);
    // The links are free again.
    new MemoryHost('gateways-spare-lan').close();
    expect((await a.gateway.status()).name).toBe('gw1');
  });
});
