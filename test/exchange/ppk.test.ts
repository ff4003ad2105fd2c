/** Postquantum preshared keys (RFC 8784): in every case of its table 1. */
import { describe, expect, it, vi } from 'vitest';
import type { RootKeys } from '../../src/crypto/keymat.js';
import { NOTIFY, type Payload } from '../../src/wire/index.js';
import { Dialogue } from './harness/dialogue.js';
import { notify, PROPOSAL } from './harness/scripted-peer.js';
import { ScriptedResponder } from './harness/scripted-responder.js';

const PPK = { id: 'ppk.example', secret: 'a secret that both sides have', required: true };
const OPTIONAL = { ...PPK, required: false };
const ZEROS = new Uint8Array(32);
const UNKNOWN = { ...OPTIONAL, id: 'another.example' };

function both(a: typeof PPK | undefined, b: typeof PPK | undefined, fast = true): Dialogue {
  return new Dialogue({ a: { ...(a && { ppk: a }) }, b: { ...(b && { ppk: b }) }, fast });
}

function said({ a, b }: Dialogue): string {
  return [...a.log, ...b.log].join('\n');
}

/** Keys with a PPK in them, as they are made. */
const mixed = vi.hoisted((): RootKeys[] => []);
vi.mock('../../src/crypto/keymat.js', async (original) => {
  const keymat = await original<typeof import('../../src/crypto/keymat.js')>();
  const mixPpk: typeof keymat.mixPpk = (...args) => {
    const keys = keymat.mixPpk(...args);
    mixed.push(keys);
    return keys;
  };
  return { ...keymat, mixPpk };
});

describe('two gateways', () => {
  it.each([
    ['both demand it', PPK, PPK],
    ['only the initiator demands it', PPK, OPTIONAL],
    ['only the responder demands it', OPTIONAL, PPK],
    ['nobody demands it', OPTIONAL, OPTIONAL],
  ])('use their PPK where %s', (_, a, b) => {
    const dialogue = both(a, b);
    dialogue.establish();
    // a -> b  HDR, SK {IDi, ..., N(PPK_IDENTITY) [, N(NO_PPK_AUTH)]}; a <- b  ..., N(PPK_IDENTITY)
    expect(said(dialogue)).toMatch(/IKE_AUTH response 1 <-.*N\(PPK_IDENTITY\)/);
    expect(said(dialogue).includes('N(NO_PPK_AUTH)')).toBe(a === OPTIONAL);
    dialogue.rekey(dialogue.b, 'child');
    dialogue.settle();
    dialogue.wait(5_000);
    dialogue.expectTunnel();
    dialogue.rekey(dialogue.a, 'ike');
    dialogue.settle();
    dialogue.expectTunnel();
  });

  it.each([
    ['one has none', OPTIONAL, undefined],
    ['the other has none', undefined, OPTIONAL],
    ['each knows another', OPTIONAL, UNKNOWN],
  ])('go on without where nobody demands it and %s', (_, a, b) => {
    const dialogue = both(a, b);
    dialogue.establish();
    expect(said(dialogue)).not.toMatch(/IKE_AUTH response 1.*N\(PPK_IDENTITY\)/);
  });

  it.each([
    ['the initiator demands it and the responder has none', PPK, undefined],
    ['the responder demands it and the initiator has none', undefined, PPK],
    ['the initiator demands another than the responder knows', PPK, UNKNOWN],
    ['the responder demands another than the initiator knows', UNKNOWN, PPK],
  ])('have no IKE SA where %s, and say why', (_, a, b) => {
    const dialogue = both(a, b);
    dialogue.initiate();
    dialogue.settle();
    dialogue.wait(60_000);
    expect(dialogue.a.states).toEqual([]);
    expect(dialogue.b.states).toEqual([]);
    const explanations = [...dialogue.a.failures, ...dialogue.b.failures];
    expect(explanations.map(({ explanation }) => explanation).join('\n')).toContain('PPK');
  });

  it('have no IKE SA where one name stands for two secrets', () => {
    const dialogue = both(OPTIONAL, { ...OPTIONAL, secret: 'another secret of that name' });
    dialogue.initiate();
    dialogue.settle();
    expect(dialogue.a.states).toEqual([]);
    expect(dialogue.b.failures[0]!.notify).toBe('AUTHENTICATION_FAILED');
  });

  it('have other keys of the Child SA with it than without', () => {
    const keys = [both(PPK, PPK), both(undefined, undefined)].map((dialogue) => {
      dialogue.establish();
      return [...dialogue.a.installed.values()][0]!.inboundKey;
    });
    expect(keys[0]).not.toBe(keys[1]);
  });

  it.each([
    ['says nothing of it', (own: Payload[]) => own],
    ['does not say who it is', ([, auth]: Payload[]) => [auth!]],
    ['has another key', ([idr, auth]: Payload[]) => [idr!, { ...auth!, data: ZEROS } as Payload]],
  ])('keep nothing with it in it where the responder %s', (_, answer) => {
    const { a } = new Dialogue({ a: { ppk: PPK, ike: [PROPOSAL] } });
    a.handle({ type: 'initiate', connection: 'site' });
    const responder = new ScriptedResponder(a);
    mixed.length = 0;
    responder.init([notify(NOTIFY.USE_PPK)]);
    const request = responder.take();
    expect(mixed).toHaveLength(1);
    responder.answer(request, answer(responder.authPayloads(request)));
    expect(a.states).toEqual(['deleting']);
    expect(Object.values(mixed[0]!).map(({ byteLength }) => byteLength)).toEqual([0, 0, 0]);
  });

  it('write the secret into no log', () => {
    const dialogue = both(OPTIONAL, OPTIONAL, false);
    dialogue.establish();
    expect(said(dialogue)).not.toContain(PPK.secret);
    expect(NOTIFY.USE_PPK).toBe(16435);
  });
});
