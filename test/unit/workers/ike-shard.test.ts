import { describe, expect, it } from 'vitest';
import { Secret } from '../../../src/crypto/secret.js';
import type { Effect, Event } from '../../../src/ike/event.js';
import { FakeSad } from '../../../src/sad/fake-sad.js';
import type { ChildSa, Endpoint, EspSpi } from '../../../src/sad/sad.js';
import {
  EXCHANGE,
  encodeMessage,
  type HeaderToSend,
  type IkeSpi,
  ZERO_IKE_SPI,
} from '../../../src/wire/index.js';
import { IkeShard, type ProtocolCore, type ShardOptions } from '../../../src/workers/ike-shard.js';
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

/** The only shard, with a core that has no IKE SAs and answers each event with these effects. */
function shardOf(
  handle: (event: Event) => Effect[],
  options: Pick<ShardOptions, 'post'> & Partial<ShardOptions>,
): IkeShard {
  const core: ProtocolCore = {
    setConnections: () => {},
    eachIkeSa: () => [][Symbol.iterator](),
    drops: () => ({}),
    isEmpty: true,
    handle,
  };
  const only = { shard: 0, shards: 1, makeCore: () => core };
  return new IkeShard({ ...only, sad: new FakeSad(), now: () => 0, ...options });
}

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
    const handle = (event: Event): Effect[] => {
      events.push(event);
      return event.type === 'initiate' ? [{ type: 'install-child', sa, standby: false }] : [];
    };
    const shard = shardOf(handle, { sad, post: (message) => posted.push(message) });
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

describe('a shard that sends by itself', () => {
  const [local, remote] = [1, 2].map((n) => ({ address: `192.0.2.${n}`, port: 500 })) as [
    Endpoint,
    Endpoint,
  ];
  const [initiatorSpi, responderSpi] = ['00112233445566aa', '11223344556677bb'] as IkeSpi[];
  const message = (header: Partial<HeaderToSend>) =>
    encodeMessage({
      header: {
        ...{ initiatorSpi: initiatorSpi!, responderSpi: ZERO_IKE_SPI, messageId: 0 },
        ...{ exchangeType: EXCHANGE.IKE_SA_INIT, initiator: false, response: true },
        ...header,
      },
      payloads: [],
    });

  function run(datagrams: readonly Uint8Array[]) {
    const [posted, sent]: [FromWorker[], Effect[]] = [[], []];
    const effects = datagrams.map(
      (data): Effect => ({ type: 'send', local, remote, marker: false, data }),
    );
    const shard = shardOf(() => effects, {
      post: (message) => posted.push(message),
      send: (datagram) => sent.push(datagram),
    });
    shard.receive({ type: 'terminate', connection: 'office' });
    expect(sent).toEqual(effects);
    return posted;
  }

  it('tells of the half-open IKE SAs that it begins and answers, and not of the datagrams', () => {
    const begun = { type: 'half-open', address: '192.0.2.2', initiatorSpi } as const;
    const request = message({ initiator: true, response: false });
    const response = message({ responderSpi: responderSpi! });
    expect(run([request, response])).toEqual([
      { ...begun, ourSpi: initiatorSpi },
      { ...begun, ourSpi: responderSpi },
    ]);
  });

  it('tells nothing of a COOKIE, of which nothing is left, and of later exchanges', () => {
    const later = message({ exchangeType: EXCHANGE.IKE_AUTH, responderSpi: responderSpi! });
    expect(run([message({}), later])).toEqual([]);
  });
});
