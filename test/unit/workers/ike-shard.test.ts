import { describe, expect, it } from 'vitest';
import { Secret } from '../../../src/crypto/secret.js';
import type { Effect, Event } from '../../../src/ike/event.js';
import { FakeSad } from '../../../src/sad/fake-sad.js';
import type { ChildSa, EspSpi } from '../../../src/sad/sad.js';
import { IkeShard } from '../../../src/workers/ike-shard.js';
import type { FromWorker } from '../../../src/workers/messages.js';

const childSa = (inboundSpi: EspSpi): ChildSa => ({
  policy: 'office/net',
  protocol: 'esp',
  mode: 'tunnel',
  local: { address: '192.0.2.1', port: 500 },
  remote: { address: '192.0.2.2', port: 500 },
  udpEncapsulation: false,
  inboundSpi,
  outboundSpi: 0x2000 as EspSpi,
  encryption: 20,
  keyBits: 128,
  integrity: 0,
  inboundKey: new Secret(new Uint8Array(20)),
  outboundKey: new Secret(new Uint8Array(20)),
  esn: false,
  replayWindow: 64,
  localSelectors: [],
  remoteSelectors: [],
});

describe('a shard whose SAD refuses a Child SA', () => {
  it('gives the SPI back, wipes the keys and takes the connection down with Deletes', async () => {
    const sad = new FakeSad();
    sad.install = () => {
      throw new Error('no transform');
    };
    const spi = sad.allocateSpi();
    const released: EspSpi[] = [];
    sad.releaseSpi = (given) => released.push(given);
    const sa = childSa(spi);
    const events: Event[] = [];
    const posted: FromWorker[] = [];
    const shard = new IkeShard({
      shard: 0,
      shards: 1,
      makeCore: () => ({
        setConnections: () => {},
        eachIkeSa: () => [][Symbol.iterator](),
        drops: () => ({}),
        isEmpty: true,
        handle: (event): Effect[] => {
          events.push(event);
          return event.type === 'initiate' ? [{ type: 'install-child', sa, standby: false }] : [];
        },
      }),
      sad,
      now: () => 0,
      post: (message) => posted.push(message),
    });
    shard.receive({ type: 'initiate', connection: 'office' });
    await Promise.resolve();
    expect(released).toEqual([spi]);
    expect(sa.inboundKey.byteLength).toBe(0);
    expect(events.at(-1)).toEqual({ type: 'terminate', connection: 'office', at: 0 });
    expect(posted).toContainEqual(
      expect.objectContaining({ type: 'failed', connection: 'office' }),
    );
  });
});
