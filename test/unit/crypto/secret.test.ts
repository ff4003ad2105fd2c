import { inspect } from 'node:util';
import { expect, it } from 'vitest';
import { Secret } from '../../../src/crypto/secret.js';

it('a secret is outside the heap, where it stays in one place until it is wiped', () => {
  const octets = new Uint8Array(32).fill(7);
  const before = process.memoryUsage().arrayBuffers;
  const secrets = Array.from({ length: 100_000 }, () => new Secret(octets));
  expect(process.memoryUsage().arrayBuffers - before).toBeGreaterThan(50_000 * 32);
  const { bytes } = secrets[0]!;
  secrets[0]!.wipe();
  expect([...bytes].every((octet) => octet === 0)).toBe(true);
});

it('a secret prints as a redaction, and says when it is gone', () => {
  const secret = new Secret(Uint8Array.of(0x61, 0x62));
  expect(`${secret} ${JSON.stringify({ secret })} ${inspect({ secret })}`).not.toMatch(
    /ab|97|6162/,
  );
  secret.wipe();
  secret.wipe();
  expect(() => secret.bytes).toThrow('secret was wiped');
});

it('a secret is cut into others, each of which is wiped for itself', () => {
  const octets = Uint8Array.of(1, 2, 3, 4, 5);
  const whole = new Secret(octets, 'taken');
  const [first, second] = whole.cut([2, 2]) as [Secret, Secret];
  expect(() => whole.bytes).toThrow('secret was wiped');
  expect([...first.bytes, ...second.bytes]).toEqual([1, 2, 3, 4]);
  // What is left over belongs to nobody.
  expect(octets).toEqual(Uint8Array.of(1, 2, 3, 4, 0));
  expect(() => first.release()).toThrow('shares its memory');
  first.wipe();
  expect([...second.bytes]).toEqual([3, 4]);
  expect(octets).toEqual(Uint8Array.of(0, 0, 3, 4, 0));
});
