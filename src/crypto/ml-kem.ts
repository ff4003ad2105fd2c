/**
 * ML-KEM-512, 768 and 1024 (FIPS 203) as a key exchange: the initiator sends an encapsulation key,
 * the responder answers a ciphertext (draft-ietf-ipsecme-ikev2-mlkem §2.3).
 *
 * OpenSSL has it from 3.5 on, which Node offers from 24.7 on; before that @noble/post-quantum does,
 * some twenty times as slowly, and without a promise of constant time: a key pair serves one
 * exchange only (§2.12), so there is nothing to repeat a measurement on. The encapsulation key is
 * checked by both (FIPS 203 §7.2), the ciphertext's length by our caller (§7.3).
 */
import * as nodeCrypto from 'node:crypto';
import { ml_kem512, ml_kem768, ml_kem1024 } from '@noble/post-quantum/ml-kem.js';
import { Secret } from './secret.js';

/** In place of strong randomness, in simulations and tests. */
type RandomBytes = (bytes: number) => Uint8Array;

/** Octets of the seed d | z that a key pair is made from (FIPS 203 §7.1). */
const SEED_OCTETS = 64;

export interface MlKem {
  /** Octets of an encapsulation key, and of a ciphertext. */
  readonly publicLength: number;
  readonly ciphertextLength: number;
  generate(random?: RandomBytes): { readonly privateKey: Secret; readonly publicValue: Uint8Array };
  /** @throws Error  for what is no encapsulation key (FIPS 203 §7.2) */
  encapsulate(
    publicValue: Uint8Array,
    random?: RandomBytes,
  ): { readonly ciphertext: Uint8Array; readonly sharedSecret: Uint8Array };
  /** Never fails for a ciphertext of the right length: another secret comes of a wrong one. */
  decapsulate(privateKey: Secret, ciphertext: Uint8Array): Uint8Array;
}

type Name = 'ml-kem-512' | 'ml-kem-768' | 'ml-kem-1024';

/** What Node 24.7 has and the types of Node 20 do not know. */
interface NodeKem {
  generateKeyPairSync(name: Name): { readonly privateKey: nodeCrypto.KeyObject };
  encapsulate(key: nodeCrypto.KeyObject): { ciphertext: Uint8Array; sharedKey: Uint8Array };
  decapsulate(key: nodeCrypto.KeyObject, ciphertext: Uint8Array): Uint8Array;
}

const node = nodeCrypto as unknown as NodeKem;

/** Whether Node's own OpenSSL does it. */
export const isMlKemNative: boolean = (() => {
  if (typeof node.encapsulate !== 'function') return false;
  try {
    node.generateKeyPairSync('ml-kem-512');
    return true;
  } catch {
    return false;
  }
})();

/** The seed of a key pair that OpenSSL has made is its private key, all of a pair of noble's is. */
function mlKem(name: Name, noble: typeof ml_kem768, oid: number): MlKem {
  const { publicKey: publicLength, cipherText: ciphertextLength } = noble.lengths as {
    publicKey: number;
    cipherText: number;
  };
  const algorithm = Buffer.from(`300b06096086480165030404${hexOctet(oid)}`, 'hex');
  const spkiPrefix = spkiOf(algorithm, publicLength);
  // PKCS #8 with the seed alone (RFC 9935 §6).
  const pkcs8Prefix = Buffer.concat([
    Buffer.from('3054020100', 'hex'),
    algorithm,
    Buffer.from('04428040', 'hex'),
  ]);
  return {
    publicLength,
    ciphertextLength,
    generate(random) {
      if (random === undefined && isMlKemNative) return generateNatively(name, pkcs8Prefix);
      const seed = (random ?? nodeCrypto.randomBytes)(SEED_OCTETS);
      const { publicKey: publicValue, secretKey } = noble.keygen(seed);
      const privateKey = new Secret(secretKey);
      secretKey.fill(0);
      seed.fill(0);
      return { privateKey, publicValue };
    },
    encapsulate(publicValue, random) {
      if (random !== undefined || !isMlKemNative) {
        const { cipherText: ciphertext, sharedSecret } = noble.encapsulate(
          publicValue,
          random?.(32),
        );
        return { ciphertext, sharedSecret };
      }
      const key = Buffer.concat([spkiPrefix, publicValue]);
      const { ciphertext, sharedKey: sharedSecret } = node.encapsulate(
        nodeCrypto.createPublicKey({ key, format: 'der', type: 'spki' }),
      );
      return { ciphertext, sharedSecret };
    },
    decapsulate(privateKey, ciphertext) {
      if (privateKey.byteLength !== SEED_OCTETS) {
        return noble.decapsulate(ciphertext, privateKey.bytes);
      }
      const key = Buffer.concat([pkcs8Prefix, privateKey.bytes]);
      const object = nodeCrypto.createPrivateKey({ key, format: 'der', type: 'pkcs8' });
      key.fill(0);
      return node.decapsulate(object, ciphertext);
    },
  };
}

function generateNatively(name: Name, pkcs8Prefix: Buffer) {
  const { privateKey: key } = node.generateKeyPairSync(name);
  const der = key.export({ format: 'der', type: 'pkcs8' });
  // OpenSSL writes the seed, then the expanded key: OCTET STRING of 64 octets first.
  const at = der.indexOf(Buffer.from('0440', 'hex'), pkcs8Prefix.length - 4) + 2;
  const privateKey = new Secret(der.subarray(at, at + SEED_OCTETS));
  der.fill(0);
  const spki = nodeCrypto.createPublicKey(key).export({ format: 'der', type: 'spki' });
  return { privateKey, publicValue: new Uint8Array(spki.subarray(SPKI_PREFIX_OCTETS)) };
}

const SPKI_PREFIX_OCTETS = 22;

/** SubjectPublicKeyInfo up to the key; both lengths take two octets. */
function spkiOf(algorithm: Buffer, keyLength: number): Buffer {
  const sequence = Buffer.from([0x30, 0x82, 0, 0]);
  const bitString = Buffer.from([0x03, 0x82, 0, 0, 0]);
  bitString.writeUInt16BE(keyLength + 1, 2);
  sequence.writeUInt16BE(algorithm.length + bitString.length + keyLength, 2);
  return Buffer.concat([sequence, algorithm, bitString]);
}

function hexOctet(value: number): string {
  return value.toString(16).padStart(2, '0');
}

export const ML_KEM_512 = mlKem('ml-kem-512', ml_kem512, 1);
export const ML_KEM_768 = mlKem('ml-kem-768', ml_kem768, 2);
export const ML_KEM_1024 = mlKem('ml-kem-1024', ml_kem1024, 3);
