/**
 * Two gateways' IKE workers against each other, several shards on each side, over a network in
 * memory and with the real core: what has to work across shards.
 */
import { afterEach, describe, expect, it } from 'vitest';
import type { Secret } from '../../src/crypto/secret.js';
import { Ike } from '../../src/ike/ike.js';
import { silentLog } from '../../src/log.js';
import { MemoryNetwork } from '../../src/net/memory.js';
import {
  type Connection,
  DEFAULT_FRAGMENT_BYTES,
  NO_LIFETIME,
  type Start,
} from '../../src/policy/connection.js';
import { parseIdentity } from '../../src/policy/identity.js';
import { parseProposal } from '../../src/policy/proposal.js';
import type { ChildSa, EspSpi, Sad } from '../../src/sad/sad.js';
import { parseSelector } from '../../src/wire/index.js';
import { GatewayEvents } from '../../src/workers/gateway-event.js';
import { IkeWorkers } from '../../src/workers/ike-workers.js';
import { inlineLinks } from '../../src/workers/link.js';
import { sharedKey } from '../shared-key.js';

const cleanUp: (() => unknown)[] = [];
afterEach(async () => {
  for (const action of cleanUp.splice(0).reverse()) await action();
});

/** The SAs installed on one side, with copies of their keys, which are wiped after the install. */
class KeySad implements Sad {
  readonly sas = new Map<
    EspSpi,
    { outboundSpi: EspSpi; inboundKey: string; outboundKey: string }
  >();
  #next: number;

  constructor(first: number) {
    this.#next = first;
  }
  allocateSpi(): EspSpi {
    return this.#next++ as EspSpi;
  }
  releaseSpi(): void {}
  install({ inboundSpi, outboundSpi, inboundKey, outboundKey }: ChildSa): void {
    const hex = (key: Secret) => Buffer.from(key.bytes).toString('hex');
    const keys = { inboundKey: hex(inboundKey), outboundKey: hex(outboundKey) };
    this.sas.set(inboundSpi, { outboundSpi, ...keys });
  }
  prefer(): void {}
  retire(): void {}
  move(): boolean {
    return true;
  }
  remove(inboundSpi: EspSpi): void {
    this.sas.delete(inboundSpi);
  }
  counters(): undefined {
    return undefined;
  }
}

const KEY = 'one key for both of them';

function connection(here: 1 | 2, name: string, start: Start, key = KEY): Connection {
  const there = 3 - here;
  const authentication = sharedKey(key);
  const end = (n: number) => ({
    address: `192.0.2.${n}`,
    alternatives: [],
    identity: parseIdentity(`gw${n}.example`),
    authentication,
  });
  return {
    name,
    local: end(here),
    remote: end(there),
    ikeProposals: [parseProposal('ike', 'aes128gcm16-prfsha256-x25519')],
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
        start,
        mode: 'tunnel',
        localSelectors: [parseSelector(`10.${here}.0.0/16`)],
        remoteSelectors: [parseSelector(`10.${there}.0.0/16`)],
        proposals: [parseProposal('esp', 'aes128gcm16')],
        replayWindow: 4096,
        lifetime: NO_LIFETIME,
      },
    ],
  };
}

interface SideOptions {
  readonly start?: Start;
  readonly psk?: string;
  readonly shards?: number;
}

async function side(network: MemoryNetwork, n: 1 | 2, options: SideOptions = {}) {
  const sad = new KeySad(n * 0x1000);
  const transport = network.transport();
  const workers = new IkeWorkers({
    shards: options.shards ?? 4,
    connections: [connection(n, 'office', options.start ?? 'wait', options.psk)],
    openLink: inlineLinks({
      sad,
      makeCore: (environment) => new Ike(environment, { drainTime: 10 }),
    }),
    transport,
    jobs: { run: async () => ({ type: 'failed', reason: 'no pool here' }), close: async () => {} },
    sad,
    halfOpenPerAddress: 16,
    now: () => performance.now(),
    log: silentLog,
    events: new GatewayEvents(),
  });
  await transport.open([`192.0.2.${n}`]);
  workers.keeper.start();
  const stop = async (patience: number) => {
    await workers.stop(patience);
    await transport.close();
  };
  cleanUp.push(() => stop(0));
  return { workers, sad, stop };
}

const established = async ({ workers }: { workers: IkeWorkers }) =>
  (await workers.ikeSas()).filter(({ state }) => state === 'established');

describe('the IKE workers of two gateways', () => {
  it('set a tunnel up, whichever shards the two sides have chosen', async () => {
    for (let i = 0; i < 8; i++) {
      const network = new MemoryNetwork();
      const [a, b] = [await side(network, 1), await side(network, 2)];
      expect(await a.workers.keeper.up('office')).toEqual({ result: 'established' });
      await expect.poll(() => b.sad.sas.size).toBe(1);
      const [[spiA, saA] = [], [spiB, saB] = []] = [[...a.sad.sas][0], [...b.sad.sas][0]];
      expect([saA!.outboundSpi, saB!.outboundSpi]).toEqual([spiB, spiA]);
      expect([saA!.inboundKey, saA!.outboundKey]).toEqual([saB!.outboundKey, saB!.inboundKey]);
      const [view] = await established(a);
      expect(view).toMatchObject({
        connection: 'office',
        role: 'initiator',
        localId: 'gw1.example',
      });
      expect((await established(b))[0]).toMatchObject({
        initiatorSpi: view!.initiatorSpi,
        responderSpi: view!.responderSpi,
        role: 'responder',
      });
    }
  });

  it('take it down on both sides', async () => {
    const network = new MemoryNetwork();
    const [a, b] = [await side(network, 1), await side(network, 2)];
    await a.workers.keeper.up('office');
    b.workers.keeper.down('office');
    await expect.poll(() => a.sad.sas.size + b.sad.sas.size).toBe(0);
    expect([...(await a.workers.ikeSas()), ...(await b.workers.ikeSas())]).toEqual([]);
  });

  it('explain why they do not agree', async () => {
    const network = new MemoryNetwork();
    const a = await side(network, 1);
    await side(network, 2, { psk: 'another key altogether' });
    const outcome = await a.workers.keeper.up('office');
    expect(outcome.result).toBe('failed');
    expect(outcome.explanation).toMatch(/AUTHENTICATION_FAILED/);
    expect(a.workers.keeper.state('office').lastError).toBe(outcome.explanation);
    expect(a.sad.sas.size).toBe(0);
  });

  it('bring back what is to be up after the peer took it down', async () => {
    const network = new MemoryNetwork();
    const a = await side(network, 1, { start: 'always' });
    const b = await side(network, 2);
    await expect.poll(() => b.sad.sas.size).toBe(1);
    const [spi] = b.sad.sas.keys();
    b.workers.keeper.down('office');
    await expect.poll(() => b.sad.sas.size, { timeout: 5_000 }).toBe(0);
    await expect.poll(() => b.sad.sas.size, { timeout: 5_000 }).toBe(1);
    expect([...b.sad.sas.keys()]).not.toEqual([spi]);
    await expect.poll(() => a.sad.sas.size, { timeout: 5_000 }).toBe(1);
  });

  it('drop the SAs of a peer that has started anew, in whatever shard they are', async () => {
    let quiet = false;
    const network = new MemoryNetwork(() => !quiet);
    const a = await side(network, 1);
    // The peer goes without a Delete each time, and comes back into some shard of ours.
    for (let i = 0; i < 6; i++) {
      const b = await side(network, 2);
      expect(await b.workers.keeper.up('office')).toEqual({ result: 'established' });
      await expect.poll(async () => (await established(a)).length).toBe(1);
      expect([...a.sad.sas.values()].map(({ outboundSpi }) => outboundSpi)).toEqual([
        ...b.sad.sas.keys(),
      ]);
      quiet = true;
      await b.stop(0);
      quiet = false;
    }
  });

  it('stay connected when both initiate at once', async () => {
    for (let i = 0; i < 4; i++) {
      const network = new MemoryNetwork();
      const [a, b] = [await side(network, 1), await side(network, 2)];
      const both = [a.workers.keeper.up('office'), b.workers.keeper.up('office')];
      expect(await Promise.all(both)).toEqual([
        { result: 'established' },
        { result: 'established' },
      ]);
      await new Promise((resolve) => setTimeout(resolve, 100));
      // Whatever SAs there are, both sides have the same.
      expect(a.sad.sas.size).toBeGreaterThan(0);
      const inbound = [...a.sad.sas.keys()].sort();
      const outbound = [...b.sad.sas.values()].map(({ outboundSpi }) => outboundSpi).sort();
      expect(inbound).toEqual(outbound);
    }
  });

  it('say good-bye when they stop', async () => {
    const network = new MemoryNetwork();
    const [a, b] = [await side(network, 1), await side(network, 2)];
    await a.workers.keeper.up('office');
    const before = performance.now();
    await a.workers.stop(2_000);
    expect(performance.now() - before).toBeLessThan(1_000);
    await expect.poll(() => b.sad.sas.size).toBe(0);
  });
});
