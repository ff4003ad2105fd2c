/**
 * The other end of a Child SA, written apart from the dataplane: it seals what it is told to,
 * well-formed or not, and opens what the gateway sends. RFC 4303 with AES-GCM (RFC 4106).
 */
import { createCipheriv, createDecipheriv } from 'node:crypto';
import type { EspSpi } from '../../src/sad/sad.js';
import type { TunnelOptions } from '../unit/dataplane/gateways.js';
import { A, B, keyBytes } from '../unit/dataplane/gateways.js';
import { ipPacket, udp } from '../unit/dataplane/packets.js';

export class EspPeer {
  /** The gateway's inbound SPI, and ours, which it sends to. */
  readonly spi: EspSpi;
  readonly ownSpi: EspSpi;
  readonly options: TunnelOptions;
  sequence = 0n;
  readonly #keyBits: 128 | 256;

  constructor(spi: EspSpi, ownSpi: EspSpi, options: TunnelOptions) {
    this.spi = spi;
    this.ownSpi = ownSpi;
    this.options = options;
    this.#keyBits = options.keyBits ?? 128;
  }

  /** An outer packet around any plaintext; the trailer is the caller's. */
  sealText(text: Uint8Array, sequence: bigint = ++this.sequence): Uint8Array {
    const esp = new Uint8Array(16 + text.length + 16);
    const view = new DataView(esp.buffer);
    view.setUint32(0, this.spi);
    view.setUint32(4, Number(sequence & 0xffff_ffffn));
    view.setBigUint64(8, sequence);
    // childSa() gives a the key of direction 1 for what it receives.
    const { key, nonce } = this.#key(1, esp.subarray(8, 16));
    const cipher = createCipheriv(this.#cipher, key, nonce, { authTagLength: 16 });
    cipher.setAAD(this.#associated(this.spi, sequence));
    esp.set(cipher.update(text), 16);
    cipher.final();
    esp.set(cipher.getAuthTag(), 16 + text.length);
    return this.wrap(esp);
  }

  /** An inner packet, sealed in the proper way. */
  seal(inner: Uint8Array): Uint8Array {
    const nextHeader = inner[0]! >> 4 === 4 ? 4 : 41;
    return this.sealText(withTrailer(inner, nextHeader));
  }

  /** Puts the SA's outer headers before ESP. */
  wrap(esp: Uint8Array): Uint8Array {
    const { outerV6 = false, udpEncapsulation = false } = this.options;
    const addresses = {
      source: outerV6 ? B.outerV6 : B.outer,
      destination: outerV6 ? A.outerV6 : A.outer,
    };
    if (!udpEncapsulation) return ipPacket({ ...addresses, protocol: 50, payload: esp });
    const payload = udp(addresses, [4500, 4500], esp, outerV6 ? 'right' : 'zero');
    return ipPacket({ ...addresses, protocol: 17, payload });
  }

  /** The inner packet of an ESP packet of the gateway's; throws where it is not authentic. */
  open(esp: Uint8Array, sequenceHigh = 0n): Uint8Array {
    const view = new DataView(esp.buffer, esp.byteOffset, esp.length);
    const sequence = (sequenceHigh << 32n) | BigInt(view.getUint32(4));
    const { key, nonce } = this.#key(2, esp.subarray(8, 16));
    const decipher = createDecipheriv(this.#cipher, key, nonce, { authTagLength: 16 });
    decipher.setAAD(this.#associated(this.ownSpi, sequence));
    decipher.setAuthTag(esp.subarray(esp.length - 16));
    const text = decipher.update(esp.subarray(16, esp.length - 16));
    decipher.final();
    return text.subarray(0, text.length - 2 - text[text.length - 2]!);
  }

  get #cipher() {
    return `aes-${this.#keyBits}-gcm` as const;
  }

  #key(direction: number, iv: Uint8Array) {
    const keymat = keyBytes(direction, this.#keyBits);
    const key = keymat.subarray(0, this.#keyBits / 8);
    return { key, nonce: Buffer.concat([keymat.subarray(this.#keyBits / 8), iv]) };
  }

  #associated(spi: number, sequence: bigint): Uint8Array {
    const data = new Uint8Array(this.options.esn === true ? 12 : 8);
    const view = new DataView(data.buffer);
    view.setUint32(0, spi);
    if (this.options.esn === true) view.setBigUint64(4, sequence);
    else view.setUint32(4, Number(sequence & 0xffff_ffffn));
    return data;
  }
}

/** Padding, Pad Length and Next Header (RFC 4303 §2.4). */
export function withTrailer(inner: Uint8Array, nextHeader: number): Uint8Array {
  const padding = (4 - ((inner.length + 2) % 4)) % 4;
  const text = new Uint8Array(inner.length + padding + 2);
  text.set(inner);
  for (let i = 0; i < padding; i++) text[inner.length + i] = i + 1;
  text.set([padding, nextHeader], inner.length + padding);
  return text;
}
