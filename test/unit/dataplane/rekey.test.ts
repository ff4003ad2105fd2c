/** A Child SA is replaced in the middle of traffic, made before broken (RFC 7296 §2.8). */
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { EspSpi } from '../../../src/sad/sad.js';
import { A, B, childSa, Pair, until } from './gateways.js';
import { frame, ipOf, ipPacket } from './packets.js';

const BURST = 25;

/** A host's packets to the other, numbered. */
class Numbered {
  sent = 0;
  readonly received: number[] = [];
  readonly #ends: { readonly source: string; readonly destination: string };

  constructor(source: string, destination: string) {
    this.#ends = { source, destination };
  }

  burst(): Uint8Array[] {
    return Array.from({ length: BURST }, () => {
      const payload = new Uint8Array(16);
      new DataView(payload.buffer).setUint32(0, this.sent++);
      return frame(ipPacket({ ...this.#ends, payload }));
    });
  }

  take(frames: readonly Uint8Array[]): void {
    for (const each of frames) {
      const packet = ipOf(each);
      this.received.push(new DataView(packet.buffer, packet.byteOffset).getUint32(20));
    }
  }
}

let pair: Pair;
const there = new Numbered('10.1.0.5', '10.2.0.7');
const back = new Numbered('10.2.0.7', '10.1.0.5');
beforeEach(() => {
  pair = new Pair();
});
afterEach(() => pair.stop());

/** Traffic both ways, which nobody waits for: some of it is always on its way. */
function traffic(): void {
  pair.a.host.send(there.burst());
  pair.b.host.send(back.burst());
  there.take(pair.b.host.receive());
  back.take(pair.a.host.receive());
}

it('a rekey in the middle of traffic loses nothing, and nothing is out of order', async () => {
  const { a, b } = pair;
  let old = pair.connect();
  const carried = { a: 0n, b: 0n };
  traffic();
  for (let generation = 0; generation < 20; generation++) {
    const spis: { a: EspSpi; b: EspSpi } = {
      a: a.dataplane.allocateSpi(),
      b: b.dataplane.allocateSpi(),
    };
    // The responder receives on the new SA, and still sends on the old one.
    b.dataplane.install(childSa(B, A, { inbound: spis.b, outbound: spis.a }), true);
    traffic();
    // The initiator has the response: it sends and receives on the new SA.
    a.dataplane.install(childSa(A, B, { inbound: spis.a, outbound: spis.b }), false);
    traffic();
    // A packet on it, or the Delete of the old one, shows the responder that it may do so too.
    await until(() => b.dataplane.counters(spis.b)!.inPackets > 0n, 'a packet on the new SA');
    traffic();
    b.dataplane.prefer(spis.b);
    traffic();
    a.dataplane.retire(old.a);
    b.dataplane.retire(old.b);
    traffic();
    // What was on its way on the old SA has arrived.
    const count = (end: typeof a, spi: EspSpi) => end.dataplane.counters(spi)!;
    const isDrained = () =>
      count(b, old.b).inPackets === count(a, old.a).outPackets &&
      count(a, old.a).inPackets === count(b, old.b).outPackets;
    await until(isDrained, 'the last packets on the old SA');
    expect(count(a, old.a)).toMatchObject({ inDrops: {}, inLost: 0n });
    expect(count(b, old.b)).toMatchObject({ inDrops: {}, inLost: 0n });
    carried.a += count(a, old.a).outPackets;
    carried.b += count(b, old.b).outPackets;
    a.dataplane.remove(old.a);
    b.dataplane.remove(old.b);
    traffic();
    old = spis;
  }
  const total = there.sent;
  await until(() => {
    there.take(b.host.receive());
    back.take(a.host.receive());
    return there.received.length === total && back.received.length === total;
  }, 'every packet');
  const inOrder = Array.from({ length: total }, (_, i) => i);
  expect(there.received).toEqual(inOrder);
  expect(back.received).toEqual(inOrder);
  expect(a.verdicts).toEqual({ sent: 2 * total });
  expect(b.verdicts).toEqual({ sent: 2 * total });
  expect(a.events).toEqual([]);
  expect(b.events).toEqual([]);
  const last = a.dataplane.counters(old.a)!;
  expect(carried.a + last.outPackets).toBe(BigInt(total));
});
