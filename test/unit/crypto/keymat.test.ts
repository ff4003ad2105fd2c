/**
 * Everything between the messages of four recorded strongSwan sessions and their keys: what we
 * derive has to be what both daemons logged.
 */
import { describe, expect, it } from 'vitest';
import { natDetectionHash, pskAuth } from '../../../src/crypto/auth.js';
import { skSuite } from '../../../src/crypto/encrypt.js';
import { cipherKey, integrityKeyLength } from '../../../src/crypto/key-length.js';
import { deriveChildKeys, deriveIkeKeys, skeyseed } from '../../../src/crypto/keymat.js';
import { prfById } from '../../../src/crypto/prf.js';
import { Secret } from '../../../src/crypto/secret.js';
import { decodeMessage, type IkeSpi, type Message } from '../../../src/wire/index.js';
import { hex, strongswanSessions, toHex } from './vectors.js';

function nonceOf(message: Message): Uint8Array {
  for (const payload of message.payloads) if (payload.kind === 'Nonce') return payload.data;
  throw new Error('no nonce');
}

const secret = (text: string) => new Secret(hex(text));

describe.each(strongswanSessions())('the session $name', (session) => {
  const prf = prfById(session.prf)!;
  const suite = skSuite(session.encryption, session.keyBits, session.integrity)!;
  const request = decodeMessage(hex(session.messages[0]));
  const response = decodeMessage(hex(session.messages[1]));
  const { initiatorSpi, responderSpi } = response.header;
  const [ni, nr] = [nonceOf(request), nonceOf(response)];

  it('has the SKEYSEED', () => {
    const seed = skeyseed(prf, ni, nr, secret(session.sharedSecret));
    expect(toHex(seed.bytes)).toBe(session.skeyseed);
  });

  it('has SK_d, SK_a, SK_e and SK_p', () => {
    const seed = { skeyseed: secret(session.skeyseed), ni, nr, initiatorSpi, responderSpi };
    const keys = deriveIkeKeys(prf, suite, seed);
    expect(toHex(keys.skD.bytes)).toBe(session.skD);
    expect(keys.initiator.integrity && toHex(keys.initiator.integrity.bytes)).toBe(session.skAi);
    expect(keys.responder.integrity && toHex(keys.responder.integrity.bytes)).toBe(session.skAr);
    expect(toHex(keys.initiator.encryption.bytes)).toBe(session.skEi);
    expect(toHex(keys.responder.encryption.bytes)).toBe(session.skEr);
    expect(toHex(keys.skPi.bytes)).toBe(session.skPi);
    expect(toHex(keys.skPr.bytes)).toBe(session.skPr);
  });

  it('has AUTH of both sides', () => {
    const psk = secret(session.psk);
    const i = { message: hex(session.messages[0]), peerNonce: nr, idBody: hex(session.idI) };
    const r = { message: hex(session.messages[1]), peerNonce: ni, idBody: hex(session.idR) };
    const authI = pskAuth(prf, psk, { ...i, skP: secret(session.skPi) });
    const authR = pskAuth(prf, psk, { ...r, skP: secret(session.skPr) });
    expect(toHex(authI)).toBe(session.authI);
    expect(toHex(authR)).toBe(session.authR);
  });

  it('has the keys of the Child SA, the salt after the encryption key', () => {
    const integrity = integrityKeyLength(session.integrity) ?? 0;
    const { keyLength, saltLength } = cipherKey(session.encryption, session.keyBits)!;
    const length = keyLength + saltLength + integrity;
    const keys = deriveChildKeys(prf, secret(session.skD), ni, nr, length);
    const { childEncryptionI, childIntegrityI = '' } = session;
    const { childEncryptionR, childIntegrityR = '' } = session;
    expect(toHex(keys.initiator.bytes)).toBe(childEncryptionI + childIntegrityI);
    expect(toHex(keys.responder.bytes)).toBe(childEncryptionR + childIntegrityR);
  });

  it('has the NAT detection hashes', () => {
    for (const { data, hash } of session.natDetection) {
      const spi = (at: number) => data.slice(at, at + 16) as IkeSpi;
      const address = hex(data.slice(32, -4));
      const port = Number.parseInt(data.slice(-4), 16);
      expect(toHex(natDetectionHash(spi(0), spi(16), address, port))).toBe(hash);
    }
  });
});
