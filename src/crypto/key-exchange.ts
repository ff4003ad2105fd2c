/**
 * Key exchange methods of IKEv2 (Transform Type 4) over node:crypto: MODP 2048 to 8192
 * (RFC 3526), P-256, P-384 and P-521 (RFC 5903), Brainpool of 256, 384 and 512 bits (RFC 6954),
 * X25519 and X448 (RFC 8031, RFC 7748) by libcrypto itself; ML-KEM from `ml-kem.ts`.
 *
 * A public value and a shared secret have one fixed length per group. OpenSSL strips the leading
 * zeros of MODP values, one key in 256 has some, and RFC 7296 §2.14, §3.4 want them: they are
 * padded here. A peer's value is checked as RFC 6989 §2 asks before it is used.
 *
 * Left out: MODP 1024 and 1536 (RFC 8247 §2.4: must not, should not), curves below 256 bits.
 */
import { createDiffieHellman, createECDH, getDiffieHellman, randomBytes } from 'node:crypto';
import { KEY_EXCHANGE } from '../wire/index.js';
import { CURVE, type Curve, libcrypto } from './libcrypto.js';
import { isMlKemNative, ML_KEM_512, ML_KEM_768, ML_KEM_1024, type MlKem } from './ml-kem.js';
import { Secret } from './secret.js';

/** A key exchange that did not take place; the reason is for the log and holds no secret. */
export class KeyExchangeError extends Error {
  override readonly name = 'KeyExchangeError';
}

export type RandomBytes = (bytes: number) => Uint8Array;

export interface KeyPair {
  readonly privateKey: Secret;
  readonly publicValue: Uint8Array;
}

/** What a responder has of a key exchange: what it answers, and the secret. */
export interface Response {
  readonly publicValue: Uint8Array;
  readonly sharedSecret: Secret;
}

/** What one kind of group does; lengths in octets. */
interface Method {
  readonly publicLength: number;
  /** Of what a responder answers, where that is something else. */
  readonly responseLength?: number;
  /** Rough cost of one operation: `cheap` is not worth the way to another thread. */
  readonly cost: 'cheap' | 'dear';
  /** `random` takes the place of strong randomness in simulations. */
  generate(random: RandomBytes | undefined): KeyPair;
  derive(privateKey: Secret, peerPublic: Uint8Array): Uint8Array;
  /** The responder's part, where it needs no key pair for it. */
  encapsulate?: MlKem['encapsulate'];
}

// --- X25519, X448 ---------------------------------------------------------------------------

/** Private keys are any octets (RFC 7748 §5); secrets of zeros are refused (RFC 8031 §3). */
function montgomery(curve: Curve, length: number, cost: Method['cost']): Method {
  return {
    publicLength: length,
    cost,
    generate(random) {
      const privateKey = takeSecret((random ?? randomBytes)(length));
      return { privateKey, publicValue: libcrypto.publicValue(curve, privateKey.bytes) };
    },
    derive(privateKey, peerPublic) {
      const shared = libcrypto.sharedSecret(curve, privateKey.bytes, peerPublic);
      if (shared === undefined) throw new KeyExchangeError('the shared secret is all zero');
      return shared;
    },
  };
}

// --- P-256, P-384, P-521, Brainpool ---------------------------------------------------------

/** `order` is that of the base point, to draw a private key evenly below it. */
function ecp(curve: string, coordinateLength: number, order: bigint): Method {
  return {
    publicLength: 2 * coordinateLength,
    cost: curve === 'prime256v1' ? 'cheap' : 'dear',
    generate(random) {
      const ecdh = createECDH(curve);
      const privateKey = scalarBelow(order, coordinateLength, random ?? randomBytes);
      ecdh.setPrivateKey(privateKey.bytes);
      // RFC 5903 §7, RFC 6954 §3: x | y, without the octet that says that the point is not compressed.
      return { privateKey, publicValue: new Uint8Array(ecdh.getPublicKey().subarray(1)) };
    },
    derive(privateKey, peerPublic) {
      const ecdh = createECDH(curve);
      ecdh.setPrivateKey(privateKey.bytes);
      // RFC 6989 §2.3: x and y below p and on the curve, which computeSecret checks.
      // RFC 5903 §9, RFC 6954 §3: the secret is the x coordinate alone.
      return ecdh.computeSecret(Buffer.concat([Uint8Array.of(4), peerPublic]));
    },
  };
}

/** A scalar in 1 .. order-1 by rejection (FIPS 186-5 A.2.2). */
function scalarBelow(order: bigint, length: number, random: RandomBytes): Secret {
  const topBits = order.toString(2).length - 8 * (length - 1);
  for (;;) {
    const candidate = random(length);
    candidate[0]! &= (1 << topBits) - 1;
    const value = toInteger(candidate);
    if (value > 0n && value < order) return takeSecret(candidate);
  }
}

// --- MODP -----------------------------------------------------------------------------------

const GENERATOR = 2;

/** `exponentLength`: twice the group's strength or more (RFC 3526 §8, RFC 7296 §5). */
function modp(name: string, length: number, exponentLength: number): Method {
  const prime = getDiffieHellman(name).getPrime();
  return {
    publicLength: length,
    cost: 'dear',
    generate(random) {
      const privateKey = takeSecret((random ?? randomBytes)(exponentLength));
      const group = createDiffieHellman(prime, GENERATOR);
      group.setPrivateKey(privateKey.bytes);
      group.generateKeys(); // makes only the public value where there is a private key
      return { privateKey, publicValue: leftPad(group.getPublicKey(), length) };
    },
    derive(privateKey, peerPublic) {
      checkModpPublic(peerPublic, toInteger(prime));
      const group = createDiffieHellman(prime, GENERATOR);
      group.setPrivateKey(privateKey.bytes);
      return leftPad(group.computeSecret(peerPublic), length);
    },
  };
}

/** RFC 6989 §2.1 for groups with a safe prime: 1 < y < p-1. */
function checkModpPublic(peerPublic: Uint8Array, prime: bigint): void {
  const y = toInteger(peerPublic);
  if (y <= 1n || y >= prime - 1n) {
    throw new KeyExchangeError('the public value is not between 1 and p-1');
  }
}

// --- ML-KEM ---------------------------------------------------------------------------------

function mlKem(kem: MlKem): Method {
  return {
    publicLength: kem.publicLength,
    responseLength: kem.ciphertextLength,
    cost: isMlKemNative ? 'cheap' : 'dear',
    generate: kem.generate,
    derive: kem.decapsulate,
    encapsulate: kem.encapsulate,
  };
}

// --- all of them ----------------------------------------------------------------------------

const P256_ORDER = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n;
const P384_ORDER =
  0xffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973n;
const P521_ORDER = BigInt(
  `0x01${'f'.repeat(64)}fa51868783bf2f966b7fcc0148f709a5d03bb5c9b8899c47aebb6fb71e91386409`,
);

// RFC 5639 §3
const BRAINPOOL_P256_ORDER = 0xa9fb57dba1eea9bc3e660a909d838d718c397aa3b561a6f7901e0e82974856a7n;
const BRAINPOOL_P384_ORDER =
  0x8cb91e82a3386d280f5d6f7e50e641df152f7109ed5456b31f166e6cac0425a7cf3ab6af6b7fc3103b883202e9046565n;
const BRAINPOOL_P512_ORDER =
  0xaadd9db8dbe9c48b3fd4e6ae33c9fc07cb308db3b3c9d20ed6639cca70330870553e5c414ca92619418661197fac10471db1d381085ddaddb58796829ca90069n;

const METHODS: ReadonlyMap<number, Method> = new Map([
  [KEY_EXCHANGE.MODP_2048, modp('modp14', 256, 32)],
  [KEY_EXCHANGE.MODP_3072, modp('modp15', 384, 36)],
  [KEY_EXCHANGE.MODP_4096, modp('modp16', 512, 44)],
  [KEY_EXCHANGE.MODP_6144, modp('modp17', 768, 60)],
  [KEY_EXCHANGE.MODP_8192, modp('modp18', 1024, 64)],
  [KEY_EXCHANGE.ECP_256, ecp('prime256v1', 32, P256_ORDER)],
  [KEY_EXCHANGE.ECP_384, ecp('secp384r1', 48, P384_ORDER)],
  [KEY_EXCHANGE.ECP_521, ecp('secp521r1', 66, P521_ORDER)],
  [KEY_EXCHANGE.BRAINPOOL_P256R1, ecp('brainpoolP256r1', 32, BRAINPOOL_P256_ORDER)],
  [KEY_EXCHANGE.BRAINPOOL_P384R1, ecp('brainpoolP384r1', 48, BRAINPOOL_P384_ORDER)],
  [KEY_EXCHANGE.BRAINPOOL_P512R1, ecp('brainpoolP512r1', 64, BRAINPOOL_P512_ORDER)],
  [KEY_EXCHANGE.CURVE25519, montgomery(CURVE.X25519, 32, 'cheap')],
  [KEY_EXCHANGE.ML_KEM_512, mlKem(ML_KEM_512)],
  [KEY_EXCHANGE.ML_KEM_768, mlKem(ML_KEM_768)],
  [KEY_EXCHANGE.ML_KEM_1024, mlKem(ML_KEM_1024)],
  [KEY_EXCHANGE.CURVE448, montgomery(CURVE.X448, 56, 'dear')],
]);

/** Whether we have this key exchange method. */
export function isKeyExchangeSupported(group: number): boolean {
  return METHODS.has(group);
}

/** Octets of the group's public value, or undefined for a group that we do not have. */
export function publicValueLength(group: number): number | undefined {
  return METHODS.get(group)?.publicLength;
}

/** Octets of what a responder answers; of ML-KEM it is the ciphertext. */
export function responseLength(group: number): number | undefined {
  return METHODS.get(group)?.responseLength ?? publicValueLength(group);
}

/** Whether the operation is worth a hop to another thread. */
export function isKeyExchangeDear(group: number): boolean {
  return METHODS.get(group)?.cost === 'dear';
}

/** A fresh key pair. `random` is replaced in simulations only. */
export function generateKeyPair(group: number, random?: RandomBytes): KeyPair {
  return method(group).generate(random);
}

/**
 * The shared secret, at the group's full length.
 * @param peerPublic  the other half; of ML-KEM the responder's ciphertext
 * @throws KeyExchangeError  for a public value that RFC 6989 has us refuse
 */
export function deriveSharedSecret(
  group: number,
  privateKey: Secret,
  peerPublic: Uint8Array,
): Secret {
  const { derive } = method(group);
  checkLength(peerPublic, responseLength(group)!);
  return takeSecret(ofTheGroup(() => derive(privateKey, peerPublic)));
}

/**
 * The responder's half for an initiator's public value, and the shared secret.
 * @throws KeyExchangeError  for a public value that RFC 6989, or FIPS 203 §7.2, has us refuse
 */
export function respondTo(group: number, peerPublic: Uint8Array, random?: RandomBytes): Response {
  const { publicLength, encapsulate } = method(group);
  checkLength(peerPublic, publicLength);
  if (encapsulate === undefined) {
    const { privateKey, publicValue } = generateKeyPair(group, random);
    try {
      return { publicValue, sharedSecret: deriveSharedSecret(group, privateKey, peerPublic) };
    } finally {
      privateKey.wipe();
    }
  }
  const { ciphertext, sharedSecret } = ofTheGroup(() => encapsulate(peerPublic, random));
  return { publicValue: ciphertext, sharedSecret: takeSecret(sharedSecret) };
}

function checkLength(value: Uint8Array, length: number): void {
  if (value.length === length) return;
  const found = `${value.length} octets instead of ${length}`;
  throw new KeyExchangeError(`the public value has ${found}`);
}

function ofTheGroup<T>(work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (error instanceof KeyExchangeError) throw error;
    throw new KeyExchangeError('the public value is not of the group');
  }
}

function method(group: number): Method {
  const found = METHODS.get(group);
  if (found === undefined) throw new KeyExchangeError(`key exchange method ${group} is unknown`);
  return found;
}

/** Copies into a secret and wipes the original. */
function takeSecret(bytes: Uint8Array): Secret {
  const secret = new Secret(bytes);
  bytes.fill(0);
  return secret;
}

function leftPad(value: Uint8Array, length: number): Uint8Array<ArrayBuffer> {
  const padded = new Uint8Array(length);
  padded.set(value, length - value.length);
  value.fill(0);
  return padded;
}

function toInteger(bytes: Uint8Array): bigint {
  return BigInt(`0x${Buffer.from(bytes).toString('hex')}`);
}
