import { expect, it } from 'vitest';
import { lowestNonce } from '../../../../src/ike/sa/nonce.js';

it('lowestNonce compares octet strings', () => {
  expect(lowestNonce(Uint8Array.of(2, 0), Uint8Array.of(16))).toBe('0200');
  expect(lowestNonce(Uint8Array.of(16), Uint8Array.of(2, 0))).toBe('0200');
});
