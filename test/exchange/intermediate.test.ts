/** More than one key exchange before IKE_AUTH (RFC 9242, RFC 9370 §2.2), by ML-KEM and others. */
import { describe, expect, it } from 'vitest';
import { concat } from '../../src/crypto/concat.js';
import { prf, prfById } from '../../src/crypto/prf.js';
import { DEFAULT_IKE } from '../../src/policy/proposal.js';
import {
  type EncodedPayloads,
  EXCHANGE,
  encodePayloads,
  NOTIFY,
  PAYLOAD,
  type Payload,
} from '../../src/wire/index.js';
import { Dialogue } from './harness/dialogue.js';
import type { ConnectionOptions } from './harness/peer.js';
import { kinds, notify, ScriptedPeer } from './harness/scripted-peer.js';
import { ScriptedResponder } from './harness/scripted-responder.js';

const PRF_HMAC_SHA2_256 = prfById(5)!;
const BASE = 'aes128gcm16-prfsha256-x25519';

function both(a: ConnectionOptions, b: ConnectionOptions = a): Dialogue {
  return new Dialogue({ a, b });
}

function suites({ a, b }: Dialogue): string[] {
  return [a, b].flatMap(({ ike }) => ike.ikeSas().map(({ proposal }) => proposal));
}

describe('two gateways', () => {
  it('use ML-KEM-768 after X25519 where nothing is configured', () => {
    const dialogue = both({ ike: DEFAULT_IKE });
    dialogue.initiate();
    // a -> b  HDR, SAi1, KEi(0), Ni, N(INTERMEDIATE_EXCHANGE_SUPPORTED)
    expect(dialogue.deliver(dialogue.a)).toBe('IKE_SA_INIT request 0');
    expect(dialogue.deliver(dialogue.b)).toBe('IKE_SA_INIT response 0');
    // a -> b  HDR, SK {KEi(1)}
    const [first, ...more] = dialogue.a.outbox;
    expect([first, ...more].map((datagram) => datagram!.data[16])).toEqual([PAYLOAD.SK]);
    expect(dialogue.deliver(dialogue.a)).toBe('IKE_INTERMEDIATE request 1');
    expect(dialogue.deliver(dialogue.b)).toBe('IKE_INTERMEDIATE response 1');
    // a -> b  HDR, SK {IDi, AUTH, ...}, under keys that ML-KEM is in
    expect(dialogue.deliver(dialogue.a)).toBe('IKE_AUTH request 2');
    expect(dialogue.deliver(dialogue.b)).toBe('IKE_AUTH response 2');
    dialogue.expectTunnel();
    const suite = 'AES_GCM_16_256/PRF_HMAC_SHA2_384/CURVE25519/KE1_ML_KEM_768';
    expect(suites(dialogue)).toEqual([suite, suite]);
  });

  it.each([
    ['ke1_mlkem512'],
    ['ke1_mlkem1024'],
    ['ke1_ecp256'],
    ['ke1_mlkem768-ke2_ecp384'],
    ['ke1_mlkem512-ke2_mlkem768-ke3_mlkem1024-ke4_ecp256'],
    ['ke3_mlkem512-ke7_modp2048'],
  ])('agree on %s', (more) => {
    const dialogue = both({ ike: [`${BASE}-${more}`] });
    dialogue.establish();
    const names = more.split('-').length;
    const done = dialogue.a.log.filter((line) =>
      /IKE_INTERMEDIATE response .* <- .*: KE/.test(line),
    );
    expect(done).toHaveLength(names);
  });

  it('send KE payloads of ML-KEM-1024 in fragments', () => {
    const dialogue = both({ ike: [`${BASE}-ke1_mlkem1024`], fragmentBytes: 576 });
    dialogue.establish();
    const log = dialogue.b.log.join('\n');
    expect(log).toMatch(/IKE_INTERMEDIATE request 1 <- .*: KE, in 4 fragments/);
    expect(log).toMatch(/IKE_INTERMEDIATE response 1 -> .*: KE, in 4 fragments/);
  });

  it.each([
    ['the initiator', [`${BASE}-ke1_mlkem768`, BASE], [BASE]],
    ['the responder', [BASE], [`${BASE}-ke1_mlkem768`, BASE]],
  ])('do with one where only %s has more', (_, a, b) => {
    const dialogue = both({ ike: a }, { ike: b });
    dialogue.establish();
    expect(suites(dialogue)[0]).toBe('AES_GCM_16_128/PRF_HMAC_SHA2_256/CURVE25519');
  });

  it('leave one out that both may do without, and one does not have', () => {
    const dialogue = both(
      { ike: [`${BASE}-ke1_mlkem768-ke1_none-ke2_ecp256`] },
      { ike: [`${BASE}-ke1_mlkem512-ke1_none-ke2_ecp256`] },
    );
    dialogue.establish();
    expect(suites(dialogue)[0]).toMatch(/CURVE25519\/KE2_ECP_256$/);
  });

  it('do not use one method twice', () => {
    const dialogue = both({ ike: [`${BASE}-ke1_x25519-ke1_ecp256-ke2_ecp256-ke2_ecp384`] });
    dialogue.establish();
    expect(suites(dialogue)[0]).toMatch(/CURVE25519\/KE1_ECP_256\/KE2_ECP_384$/);
  });

  it.each([
    ['the initiator', [`${BASE}-ke1_mlkem768`], [BASE]],
    ['the responder', [BASE], [`${BASE}-ke1_mlkem768`]],
  ])('come to nothing where %s demands ML-KEM, and say why', (_, a, b) => {
    const dialogue = both({ ike: a }, { ike: b });
    dialogue.initiate();
    dialogue.settle();
    expect(dialogue.a.states).not.toContain('established');
    const explanations = dialogue.b.failures.map(({ explanation }) => explanation).join('\n');
    expect(explanations).toContain('additional key exchange 1: ours');
  });

  it('repeat what they have answered, also when its keys are gone and others have been used', () => {
    const dialogue = both({ ike: [`${BASE}-ke1_mlkem768`], windowSize: 4 });
    dialogue.initiate();
    dialogue.deliver(dialogue.a);
    dialogue.deliver(dialogue.b);
    const request = dialogue.take(dialogue.a);
    dialogue.give(request);
    const { data } = dialogue.b.outbox[0]!;
    dialogue.settle();
    dialogue.expectTunnel();
    // Later duplicates would be answered in smaller fragments, under the keys of before.
    for (let i = 0; i < 4; i++) {
      dialogue.give(request);
      expect(dialogue.b.outbox.splice(0).map((again) => again.data)).toEqual([data]);
    }
    dialogue.expectTunnel();
  });

  it('have other keys than without: what is lost on the way comes again', () => {
    const dialogue = both({ ike: [`${BASE}-ke1_mlkem768`] });
    dialogue.initiate();
    dialogue.deliver(dialogue.a);
    dialogue.deliver(dialogue.b);
    const request = dialogue.take(dialogue.a);
    dialogue.give(request);
    const lost = dialogue.take(dialogue.b);
    // b has new keys; the duplicate is answered under the old ones all the same.
    dialogue.give(request);
    expect(dialogue.take(dialogue.b).data).toEqual(lost.data);
    dialogue.give(lost);
    dialogue.give(lost);
    dialogue.settle();
    dialogue.expectTunnel();
  });

  it('make the fragments of IKE_INTERMEDIATE smaller when the response does not come', () => {
    const dialogue = both({ ike: [`${BASE}-ke1_mlkem1024`] });
    dialogue.initiate();
    dialogue.deliver(dialogue.a);
    dialogue.deliver(dialogue.b);
    for (let tries = 0; dialogue.a.states[0] !== 'established' && tries < 12; tries++) {
      for (const datagram of dialogue.a.outbox.splice(0)) dialogue.give(datagram);
      for (const datagram of dialogue.b.outbox.splice(0)) {
        if (datagram.data.length <= 548) dialogue.give(datagram);
      }
      if (dialogue.a.outbox.length === 0) dialogue.wait(1_000);
    }
    dialogue.expectTunnel();
  });
});

describe('the rekeying of an IKE SA', () => {
  const TWO = [`${BASE}-ke1_mlkem768`];

  function established(ike: readonly string[] = TWO): Dialogue {
    const dialogue = new Dialogue({ a: { ike }, b: { ike }, fast: true });
    dialogue.establish();
    return dialogue;
  }

  /** The Child SAs come from the new SK_d: only with the same one both have the same keys. */
  function expectSameKeys(dialogue: Dialogue): void {
    dialogue.rekey(dialogue.a, 'child');
    dialogue.settle();
    dialogue.wait(5_000);
    dialogue.settle();
    dialogue.expectTunnel();
  }

  it('goes on with ML-KEM in IKE_FOLLOWUP_KE', () => {
    const options = { ike: DEFAULT_IKE, fragmentBytes: 1500 };
    const dialogue = new Dialogue({ a: options, b: options });
    dialogue.establish();
    dialogue.rekey(dialogue.b, 'ike');
    // b -> a  HDR, SK {SA, Ni, KEi(0)}
    expect(dialogue.deliver(dialogue.b)).toBe('CREATE_CHILD_SA request 0');
    // b <- a  HDR, SK {SA, Nr, KEr(0), N(ADDITIONAL_KEY_EXCHANGE)(link)}
    expect(dialogue.deliver(dialogue.a)).toBe('CREATE_CHILD_SA response 0');
    expect(dialogue.a.states).toEqual(['established']);
    // b -> a  HDR, SK {KEi(1), N(ADDITIONAL_KEY_EXCHANGE)(link)}; b <- a  HDR, SK {KEr(1)}
    expect(dialogue.deliver(dialogue.b)).toBe('IKE_FOLLOWUP_KE request 1');
    expect(dialogue.deliver(dialogue.a)).toBe('IKE_FOLLOWUP_KE response 1');
    dialogue.settle();
    dialogue.expectTunnel();
    expect(suites(dialogue)[0]).toMatch(/KE1_ML_KEM_768$/);
    expectSameKeys(dialogue);
  });

  it.each([['ke1_ecp256-ke2_mlkem512'], ['ke1_mlkem512-ke2_mlkem768-ke3_ecp384']])(
    'goes on with %s',
    (more) => {
      const dialogue = established([`${BASE}-${more}`]);
      dialogue.rekey(dialogue.a, 'ike');
      const story = [...new Set(dialogue.settle())];
      const count = more.split('-').length;
      expect(story.filter((line) => line.includes('FOLLOWUP_KE request'))).toHaveLength(count);
      dialogue.expectTunnel();
      expectSameKeys(dialogue);
    },
  );

  it('has one key exchange where the peer has no more', () => {
    const dialogue = new Dialogue({ a: { ike: [...TWO, BASE] }, b: { ike: [BASE] }, fast: true });
    dialogue.establish();
    dialogue.rekey(dialogue.a, 'ike');
    expect(dialogue.settle().join(' ')).not.toContain('FOLLOWUP');
    dialogue.expectTunnel();
  });

  it('from both sides at once ends with one IKE SA', () => {
    for (let rounds = 1; rounds < 8; rounds++) {
      const dialogue = established();
      dialogue.rekey(dialogue.a, 'ike');
      dialogue.cross(Math.floor(rounds / 2));
      dialogue.rekey(dialogue.b, 'ike');
      dialogue.cross(rounds);
      for (let second = 0; second < 30; second++) {
        dialogue.settle();
        dialogue.wait(1_000);
      }
      dialogue.expectTunnel();
      expect([dialogue.a.states, dialogue.b.states]).toEqual([['established'], ['established']]);
      expectSameKeys(dialogue);
    }
  });

  it('from both sides at once leaves no other, whichever message comes late', () => {
    for (let late = 0; late < 10; late++) {
      const dialogue = established();
      let number = 0;
      dialogue.rekey(dialogue.a, 'ike');
      dialogue.rekey(dialogue.b, 'ike');
      for (let second = 0; second < 40; second++) {
        for (;;) {
          const from = [dialogue.a, dialogue.b].find(({ outbox }) => outbox.length > 0);
          if (from === undefined) break;
          if (number++ === late) dialogue.take(from);
          else dialogue.deliver(from);
        }
        dialogue.wait(1_000);
      }
      dialogue.expectTunnel();
      expectSameKeys(dialogue);
    }
  });

  it('begins again where the peer has begun to rekey a Child SA meanwhile', () => {
    const dialogue = established();
    dialogue.rekey(dialogue.a, 'ike');
    dialogue.deliver(dialogue.a);
    dialogue.rekey(dialogue.b, 'child');
    dialogue.settle();
    for (let n = 0; n < 60; n++) {
      dialogue.wait(1_000);
      dialogue.settle();
    }
    dialogue.expectTunnel();
    expect(suites(dialogue)[0]).toMatch(/KE1_ML_KEM_768$/);
  });

  it('is given up in order when the connection is taken down in the middle', () => {
    for (const steps of [1, 2, 3]) {
      const dialogue = established();
      dialogue.rekey(dialogue.a, 'ike');
      for (let step = 0; step < steps; step++) {
        dialogue.deliver(step % 2 === 0 ? dialogue.a : dialogue.b);
      }
      dialogue.a.handle({ type: 'terminate', connection: 'site' });
      dialogue.settle();
      dialogue.wait(300_000);
      expect([dialogue.a.isClean, dialogue.b.isClean]).toEqual([true, true]);
    }
  });

  it('that nobody has begun has no next key exchange', () => {
    const { b } = new Dialogue();
    const peer = new ScriptedPeer(b);
    peer.establish();
    const ke: Payload = { kind: 'KE', method: 36, data: new Uint8Array(1184) };
    const link = notify(NOTIFY.ADDITIONAL_KEY_EXCHANGE, Uint8Array.of(1, 2, 3));
    const answer = peer.request(EXCHANGE.IKE_FOLLOWUP_KE, 2, [ke, link]);
    expect(answer.map(kinds)).toEqual([[NOTIFY.STATE_NOT_FOUND]]);
    expect(b.states).toEqual(['established']);
  });
});

/** RFC 9242 §3.3.2: the headers as they came, but for lengths that count the plaintext alone. */
function coveredBy(message: Uint8Array, plaintext: Uint8Array): Uint8Array {
  const covered = concat(message.subarray(0, 32), plaintext);
  const view = new DataView(covered.buffer);
  covered[16] = PAYLOAD.SK;
  view.setUint32(24, covered.length);
  view.setUint16(30, 4 + plaintext.length);
  return covered;
}

const VENDOR: Payload[] = [{ kind: 'V', data: new Uint8Array(100).fill(0x55) }];

describe('an initiator', () => {
  it('tells of the error that its peer answers in place of the next key exchange', () => {
    const more = `${BASE}-ke1_mlkem768`;
    const { a } = new Dialogue({ a: { ike: [more] } });
    a.handle({ type: 'initiate', connection: 'site' });
    const responder = new ScriptedResponder(a);
    const supported = notify(NOTIFY.INTERMEDIATE_EXCHANGE_SUPPORTED);
    responder.init([supported], more);
    // a <- b  HDR, SK {N(NO_PROPOSAL_CHOSEN)}
    responder.answer(responder.take(), [notify(NOTIFY.NO_PROPOSAL_CHOSEN)]);
    expect(a.states).toEqual([]);
    expect(a.failures).toMatchObject([
      {
        notify: 'NO_PROPOSAL_CHOSEN',
        explanation: 'the peer answers NO_PROPOSAL_CHOSEN to IKE_INTERMEDIATE',
      },
    ]);
  });
});

describe('a responder', () => {
  const more = (peer: ScriptedPeer): Payload[] => [
    ...peer.initPayloads(),
    notify(NOTIFY.INTERMEDIATE_EXCHANGE_SUPPORTED),
  ];

  it('covers exchanges that it has no use for by AUTH', () => {
    const { b } = new Dialogue();
    const peer = new ScriptedPeer(b);
    peer.init(more(peer));
    expect(peer.request(EXCHANGE.IKE_INTERMEDIATE, 1, [])).toEqual([[]]);
    // Without IntAuth this AUTH proves nothing.
    const answer = peer.request(EXCHANGE.IKE_AUTH, 2, peer.authPayloads());
    expect(answer.map(kinds)).toEqual([[NOTIFY.AUTHENTICATION_FAILED]]);
  });

  it.each<[string, (peer: ScriptedPeer, inner: EncodedPayloads) => Uint8Array[]]>([
    [
      'whole, with every reserved bit, and of a minor version',
      (peer, { firstType, bytes }) => [
        peer.sealRaw(
          EXCHANGE.IKE_INTERMEDIATE,
          1,
          [],
          { firstType, padded: concat(bytes, Uint8Array.of(0)) },
          (message) => {
            message[17]! |= 0x0f;
            message[19]! |= 0b1101_0111;
            message[29]! = 0xff;
          },
        ),
      ],
    ],
    ['in fragments', (peer) => peer.sealInFragments(EXCHANGE.IKE_INTERMEDIATE, 1, VENDOR, 90)],
  ])('covers a message as it came: %s', (_, seal) => {
    const { b } = new Dialogue();
    const peer = new ScriptedPeer(b);
    peer.init([...more(peer), notify(NOTIFY.IKEV2_FRAGMENTATION_SUPPORTED)]);
    const inner = encodePayloads(VENDOR);
    const requests = seal(peer, inner);
    const [response] = requests.flatMap((request) => peer.send(request));
    // IntAuth_i1 = prf(SK_pi, IntAuth_i1A | IntAuth_i1P), the other likewise; IKE_AUTH has message ID 2.
    const intAuth = concat(
      prf(PRF_HMAC_SHA2_256, peer.keys.skPi.bytes, coveredBy(requests[0]!, inner.bytes)),
      prf(PRF_HMAC_SHA2_256, peer.keys.skPr.bytes, coveredBy(response!, new Uint8Array(0))),
      Uint8Array.of(0, 0, 0, 2),
    );
    const auth = peer.authPayloads(undefined, undefined, intAuth);
    expect(kinds(peer.request(EXCHANGE.IKE_AUTH, 2, auth)[0])).toContain('AUTH');
  });

  it('takes none where they were not negotiated', () => {
    const { b } = new Dialogue();
    const peer = new ScriptedPeer(b);
    peer.init();
    expect(peer.request(EXCHANGE.IKE_INTERMEDIATE, 1, [])).toEqual([]);
    expect(kinds(peer.request(EXCHANGE.IKE_AUTH, 1, peer.authPayloads())[0])).toContain('AUTH');
  });

  it('does not take so many that they have no end', () => {
    const { b } = new Dialogue();
    const peer = new ScriptedPeer(b);
    peer.init(more(peer));
    let messageId = 1;
    while (kinds(peer.request(EXCHANGE.IKE_INTERMEDIATE, messageId, [])[0]).length === 0) {
      expect(++messageId).toBeLessThan(30);
    }
    expect(b.log.join('\n')).toContain('too many');
  });

  it('takes as much as there can be in fragments of one, and covers it', () => {
    const { b } = new Dialogue();
    const peer = new ScriptedPeer(b);
    peer.init([...more(peer), notify(NOTIFY.IKEV2_FRAGMENTATION_SUPPORTED)]);
    const half: Payload = { kind: 'V', data: new Uint8Array(32_763) };
    const fragments = peer.sealInFragments(EXCHANGE.IKE_INTERMEDIATE, 1, [half, half], 1400);
    expect(fragments.flatMap((fragment) => peer.send(fragment))).toHaveLength(1);
  });

  it('refuses a key exchange that nobody has agreed upon', () => {
    const { b } = new Dialogue();
    const peer = new ScriptedPeer(b);
    peer.init(more(peer));
    const ke: Payload = { kind: 'KE', method: 36, data: new Uint8Array(1184) };
    const answer = peer.request(EXCHANGE.IKE_INTERMEDIATE, 1, [ke]);
    expect(answer.map(kinds)).toEqual([[NOTIFY.INVALID_SYNTAX]]);
  });

  it.each([
    ['IKE_AUTH before the key exchange that is due', EXCHANGE.IKE_AUTH, undefined],
    ['another method than the one that is due', EXCHANGE.IKE_INTERMEDIATE, 35],
    ['an encapsulation key that is none', EXCHANGE.IKE_INTERMEDIATE, 36],
  ])('refuses %s, and ends the IKE SA', (_, exchange, method) => {
    const ike = [`${BASE}-ke1_mlkem768`];
    const { b } = new Dialogue({ b: { ike } });
    const peer = new ScriptedPeer(b, ike[0]);
    peer.init(more(peer));
    const data = new Uint8Array(method === 35 ? 800 : 1184).fill(0xff);
    const payloads: Payload[] =
      method === undefined ? peer.authPayloads() : [{ kind: 'KE', method, data }];
    const answer = peer.request(exchange, 1, payloads);
    expect(answer.map(kinds)).toEqual([[NOTIFY.INVALID_SYNTAX]]);
    expect(peer.request(EXCHANGE.IKE_AUTH, 2, peer.authPayloads())).toEqual([]);
  });
});
