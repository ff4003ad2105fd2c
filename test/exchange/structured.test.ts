/**
 * Payloads of every kind and in every place, well-formed and not asked for, inside the encrypted
 * payload of a peer that has the keys: each request is answered once or ends the IKE SA, nothing is
 * thrown past the core, and in the end nothing is left.
 *
 * ESPLANE_STRUCTURED says how many such peers there are.
 */
import { isDeepStrictEqual } from 'node:util';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { find, notify } from '../../src/ike/messages/payloads.js';
import { EXCHANGE, NOTIFY, type Payload } from '../../src/wire/index.js';
import { clearPayload } from '../unit/wire/arbitrary.js';
import { Dialogue } from './harness/dialogue.js';
import { ScriptedPeer } from './harness/scripted-peer.js';

const PEERS = Number(process.env.ESPLANE_STRUCTURED ?? 200);
const NONCE: Payload = { kind: 'Nonce', data: new Uint8Array(32).fill(7) };

/** What a proper request of each exchange has, beside what a peer's own SPIs and keys make. */
function proper(peer: ScriptedPeer): Readonly<Record<number, readonly Payload[]>> {
  const [, , sa, tsi, tsr] = peer.authPayloads();
  return {
    [EXCHANGE.IKE_AUTH]: peer.authPayloads(),
    [EXCHANGE.CREATE_CHILD_SA]: [sa!, NONCE, tsi!, tsr!],
    [EXCHANGE.INFORMATIONAL]: [notify(NOTIFY.INITIAL_CONTACT)],
  };
}

/** Of a request: its exchange, and payloads that take the place of others, or come between them. */
const request = fc.record({
  exchange: fc.constantFrom(
    EXCHANGE.IKE_AUTH,
    ...Array.from({ length: 4 }, () => EXCHANGE.CREATE_CHILD_SA),
    EXCHANGE.INFORMATIONAL,
    EXCHANGE.IKE_INTERMEDIATE,
  ),
  changes: fc.array(fc.record({ at: fc.nat(6), replaces: fc.boolean(), payload: clearPayload }), {
    minLength: 1,
    maxLength: 4,
  }),
});

type Request = typeof request extends fc.Arbitrary<infer R> ? R : never;

function changed(base: readonly Payload[], { changes }: Request): Payload[] {
  const payloads = [...base];
  for (const { at, replaces, payload } of changes) payloads.splice(at, replaces ? 1 : 0, payload);
  return payloads;
}

/** Says all of it, each request under the next message ID. */
function converse(both: Dialogue, peer: ScriptedPeer, requests: readonly Request[]): void {
  requests.forEach((one, i) => {
    const payloads = changed(proper(peer)[one.exchange] ?? [], one);
    // Its own Delete may go with the answer.
    expect(peer.request(one.exchange, 2 + i, payloads).length).toBeLessThanOrEqual(2);
  });
  expect(both.b.log.filter((line) => line.startsWith('error'))).toEqual([]);
}

function expectNothingLeft(both: Dialogue): void {
  both.b.handle({ type: 'terminate', connection: 'site' });
  both.wait(400_000);
  expect(both.b.isClean).toBe(true);
}

describe(`${PEERS} peers that have keys and no manners`, { timeout: 600_000 }, () => {
  it('are answered once for each request, or lose their IKE SA', () => {
    fc.assert(
      fc.property(fc.array(request, { minLength: 1, maxLength: 6 }), (requests) => {
        const both = new Dialogue();
        const peer = new ScriptedPeer(both.b);
        peer.establish();
        converse(both, peer, requests);
        expectNothingLeft(both);
      }),
      { numRuns: PEERS },
    );
  });

  it('establish nothing by an IKE_AUTH without the identity and the AUTH that prove it', () => {
    fc.assert(
      fc.property(request, (one) => {
        const both = new Dialogue();
        const peer = new ScriptedPeer(both.b);
        peer.init();
        const good = peer.authPayloads();
        const payloads = changed(good, one);
        expect(peer.request(EXCHANGE.IKE_AUTH, 1, payloads)).toHaveLength(1);
        const proved = (['IDi', 'AUTH'] as const).every((kind) => {
          return isDeepStrictEqual(find(payloads, kind), find(good, kind));
        });
        if (!proved) expect(both.b.established).toEqual([]);
        expectNothingLeft(both);
      }),
      { numRuns: PEERS },
    );
  });
});
