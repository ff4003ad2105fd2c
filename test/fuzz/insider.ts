/**
 * A peer that has the right keys and sends what it likes: it makes IKE SAs as an initiator in the
 * proper way, then seals mutated payloads, so that what is behind the ICV gets its share of
 * garbage too (RFC 7296 §2.21.2, §2.21.3).
 */
import { createCipheriv } from 'node:crypto';
import { pskAuth } from '../../src/crypto/auth.js';
import { skSuite } from '../../src/crypto/encrypt.js';
import type { CryptoJob, CryptoJobResult } from '../../src/crypto/job.js';
import { runJob } from '../../src/crypto/jobs.js';
import { deriveIkeKeys, type IkeKeys, skeyseed } from '../../src/crypto/keymat.js';
import { prfById } from '../../src/crypto/prf.js';
import { Secret } from '../../src/crypto/secret.js';
import type { IkeSpi } from '../../src/ike/event.js';
import { find } from '../../src/ike/messages/payloads.js';
import { type Protection, Protection as Protector } from '../../src/ike/messages/protection.js';
import { type Identity, parseIdentity } from '../../src/policy/identity.js';
import { parseProposal } from '../../src/policy/proposal.js';
import { toWireProposals } from '../../src/policy/suite.js';
import {
  AUTH_METHOD,
  beginEncrypted,
  decodeMessage,
  EXCHANGE,
  encodeMessage,
  encodePayloads,
  type HeaderToSend,
  KEY_EXCHANGE,
  NOTIFY,
  type Payload,
  PRF,
  PROTOCOL,
  parseSelector,
  payloadBody,
  peekHeader,
  toWireSelector,
  ZERO_IKE_SPI,
} from '../../src/wire/index.js';
import { mutate, noise } from './mutation.js';
import type { Random } from './random.js';

const GROUP = KEY_EXCHANGE.CURVE25519;
const SUITE = skSuite(20, 128, 0)!;
const SHA256 = prfById(PRF.PRF_HMAC_SHA2_256)!;
const IKE = parseProposal('ike', 'aes128gcm16-prfsha256-x25519');
const ESP = parseProposal('esp', 'aes128gcm16');

/** Who the insider is, and whom it talks to. */
export interface Credentials {
  readonly identity: string;
  readonly peerIdentity: string;
  readonly psk: string;
  readonly localNetwork: string;
  readonly peerNetwork: string;
}

/** An IKE_SA_INIT exchange of the insider's. */
interface Opening {
  readonly initiatorSpi: IkeSpi;
  readonly ni: Uint8Array;
  readonly publicValue: Uint8Array;
  readonly privateKey: Secret;
}

/** An IKE SA of the insider's, with its counters in its own hands. */
interface Session {
  readonly spis: { readonly initiatorSpi: IkeSpi; readonly responderSpi: IkeSpi };
  readonly keys: IkeKeys;
  readonly protection: Protection;
  readonly initRequest: Uint8Array;
  readonly nr: Uint8Array;
  messageId: number;
  iv: bigint;
  authenticated: boolean;
  silence: number;
  /** The SPI of the Child SA that was asked for last. */
  spi: Uint8Array;
}

export class Insider {
  readonly #random: Random;
  readonly #credentials: Credentials;
  readonly #identity: Identity;
  readonly #corpus: Uint8Array[] = [];
  #opening: (Opening & { readonly request: Uint8Array }) | undefined;
  /** The request goes again, with the COOKIE that was asked for. */
  #again = false;
  #session: Session | undefined;

  constructor(random: Random, credentials: Credentials) {
    this.#random = random;
    this.#credentials = credentials;
    this.#identity = parseIdentity(credentials.identity);
  }

  /** The next datagram, and what it is. */
  next(): { readonly kind: string; readonly data: Uint8Array } {
    if (this.#again && this.#opening !== undefined) {
      this.#again = false;
      return { kind: 'IKE_SA_INIT with a COOKIE', data: this.#opening.request };
    }
    const session = this.#session;
    if (session === undefined || session.silence++ > 3) return this.#init();
    if (!session.authenticated && this.#random.oneIn(2)) {
      const payloads = this.#authPayloads(session);
      return { kind: 'IKE_AUTH', data: this.#seal(EXCHANGE.IKE_AUTH, encodePayloads(payloads)) };
    }
    return this.#hostile(session);
  }

  /** The peer's answer. */
  receive(data: Uint8Array): void {
    const header = peekHeader(data);
    if (header === undefined || !header.response) return;
    if (header.exchangeType === EXCHANGE.IKE_SA_INIT) this.#agree(data);
    const session = this.#session;
    if (session === undefined || header.initiatorSpi !== session.spis.initiatorSpi) return;
    if (header.messageId !== session.messageId) return;
    const payloads = session.protection.open(data)?.decode();
    if (payloads === undefined) return;
    session.messageId++;
    session.silence = 0;
    if (find(payloads, 'AUTH') !== undefined) session.authenticated = true;
    const ends: readonly number[] = [NOTIFY.INVALID_SYNTAX, NOTIFY.AUTHENTICATION_FAILED];
    if (payloads.some((one) => one.kind === 'N' && ends.includes(one.notifyType))) this.#forget();
  }

  // --- IKE_SA_INIT -------------------------------------------------------------------------

  #init() {
    this.#forget();
    const pair = this.#run({ type: 'generate', group: GROUP }) as Extract<
      CryptoJobResult,
      { type: 'generated' }
    >;
    const opening: Opening = {
      initiatorSpi: Buffer.from(noise(this.#random, 8)).toString('hex') as IkeSpi,
      ni: noise(this.#random, 32),
      // Now and then a point of low order: the shared secret is all zero (RFC 7748 §6.1).
      publicValue: this.#random.oneIn(10) ? new Uint8Array(32) : pair.publicValue,
      privateKey: pair.privateKey,
    };
    const request = encodeInit(opening);
    this.#opening = { ...opening, request };
    return { kind: 'IKE_SA_INIT', data: request };
  }

  #run(job: CryptoJob): CryptoJobResult {
    return runJob(job, (octets) => noise(this.#random, octets));
  }

  #agree(data: Uint8Array): void {
    const opening = this.#opening;
    const { header, payloads } = decodeMessage(data);
    const ke = find(payloads, 'KE');
    const nonce = find(payloads, 'Nonce');
    const request = opening && peekHeader(opening.request);
    if (opening === undefined || request?.initiatorSpi !== header.initiatorSpi) return;
    const cookie = payloads.find((one) => one.kind === 'N' && one.notifyType === NOTIFY.COOKIE);
    if (cookie !== undefined) {
      this.#opening = { ...opening, request: encodeInit(opening, cookie) };
      this.#again = true;
    }
    if (ke === undefined || nonce === undefined) return;
    this.#opening = undefined;
    const { privateKey } = opening;
    const peerPublic = ke.data;
    const derived = this.#run({ type: 'derive', group: GROUP, privateKey, peerPublic });
    if (derived.type !== 'derived') return;
    const { initiatorSpi, responderSpi } = header;
    const spis = { initiatorSpi, responderSpi };
    const nr = nonce.data;
    const seed = skeyseed(SHA256, opening.ni, nr, derived.sharedSecret);
    const keys = deriveIkeKeys(SHA256, SUITE, { skeyseed: seed, ni: opening.ni, nr, ...spis });
    const protection = new Protector(SUITE, keys, 'initiator', {
      random: (octets) => noise(this.#random, octets),
    } as ConstructorParameters<typeof Protector>[3]);
    this.#session = {
      spis,
      keys,
      protection,
      initRequest: opening.request,
      nr,
      messageId: 1,
      iv: 0n,
      authenticated: false,
      silence: 0,
      spi: new Uint8Array(4),
    };
  }

  #forget(): void {
    this.#session?.protection.wipe();
    this.#session = undefined;
    this.#opening?.privateKey.wipe();
    this.#opening = undefined;
  }

  // --- protected messages ------------------------------------------------------------------

  #authPayloads(session: Session): Payload[] {
    const { keys, initRequest, nr } = session;
    const { psk, peerIdentity, localNetwork, peerNetwork } = this.#credentials;
    const idi = idPayload('IDi', this.#identity);
    const secret = new Secret(new TextEncoder().encode(psk));
    const signed = {
      message: initRequest,
      peerNonce: nr,
      idBody: payloadBody(idi),
      skP: keys.skPi,
    };
    const data = pskAuth(SHA256, secret, signed);
    const spi = noise(this.#random, 4);
    spi[0]! |= 1;
    session.spi = spi;
    return [
      idi,
      idPayload('IDr', parseIdentity(peerIdentity)),
      { kind: 'AUTH', method: AUTH_METHOD.SHARED_KEY_MIC, data },
      {
        kind: 'SA',
        proposals: toWireProposals([ESP], spi, { protocol: 'esp', keyExchange: false }),
      },
      { kind: 'TSi', selectors: [toWireSelector(parseSelector(localNetwork))] },
      { kind: 'TSr', selectors: [toWireSelector(parseSelector(peerNetwork))] },
    ];
  }

  /** Something sealed with the right key, and wrong behind it or in its header. */
  #hostile(session: Session) {
    const random = this.#random;
    const plain = encodePayloads(random.pick(this.#templates(session)));
    this.#remember(plain.bytes);
    const bytes = mutate(plain.bytes, random, this.#corpus);
    if (random.oneIn(4)) {
      const data = this.#seal(EXCHANGE.INFORMATIONAL, { firstType: plain.firstType, bytes }, true);
      return { kind: 'sealed fragment', data };
    }
    const firstType = random.oneIn(8) ? random.below(256) : plain.firstType;
    const exchanges: readonly number[] = [
      EXCHANGE.IKE_AUTH,
      EXCHANGE.CREATE_CHILD_SA,
      EXCHANGE.INFORMATIONAL,
    ];
    const later = random.pick([EXCHANGE.INFORMATIONAL, EXCHANGE.CREATE_CHILD_SA]);
    const usual = session.authenticated ? later : EXCHANGE.IKE_AUTH;
    const exchange = random.oneIn(4) ? random.pick(exchanges) : usual;
    const data = this.#seal(exchange, { firstType, bytes });
    return { kind: session.authenticated ? 'sealed, established' : 'sealed, half-open', data };
  }

  #remember(bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    if (this.#corpus.length === 64) this.#corpus.shift();
    this.#corpus.push(bytes);
  }

  #templates(session: Session): readonly (readonly Payload[])[] {
    const random = this.#random;
    const spi = noise(random, 4);
    return [
      this.#authPayloads(session),
      [],
      this.#childPayloads(session),
      [this.#rekeySa(session), ...this.#childPayloads(session)],
      this.#rekeyIkePayloads(),
      [{ kind: 'D', protocolId: PROTOCOL.ESP, spis: [session.spi] }],
      [{ kind: 'D', protocolId: PROTOCOL.ESP, spis: [spi, noise(random, 4)] }],
      [{ kind: 'D', protocolId: PROTOCOL.AH, spis: [spi] }],
      [notify(NOTIFY.INITIAL_CONTACT), notify(random.below(65536))],
      [{ kind: 'unknown', type: 200, critical: random.oneIn(2), body: spi }],
    ];
  }

  /** A further Child SA, or, after N(REKEY_SA), one in the place of another. */
  #childPayloads(session: Session): Payload[] {
    const [, , , sa, tsi, tsr] = this.#authPayloads(session);
    return [sa!, { kind: 'Nonce', data: noise(this.#random, 32) }, tsi!, tsr!];
  }

  /** Of the Child SA made last, or of none. */
  #rekeySa({ spi }: Session): Payload {
    const named = this.#random.oneIn(4) ? noise(this.#random, 4) : spi;
    return { ...notify(NOTIFY.REKEY_SA), protocolId: PROTOCOL.ESP, spi: named } as Payload;
  }

  #rekeyIkePayloads(): Payload[] {
    const purpose = { protocol: 'ike', keyExchange: true, rekeying: true } as const;
    const pair = this.#run({ type: 'generate', group: GROUP }) as Extract<
      CryptoJobResult,
      { type: 'generated' }
    >;
    pair.privateKey.wipe();
    return [
      { kind: 'SA', proposals: toWireProposals([IKE], noise(this.#random, 8), purpose) },
      { kind: 'Nonce', data: noise(this.#random, 32) },
      { kind: 'KE', method: GROUP, data: pair.publicValue },
    ];
  }

  #seal(
    exchangeType: number,
    { firstType, bytes }: { firstType: number; bytes: Uint8Array },
    isFragment = false,
  ): Uint8Array {
    const session = this.#session!;
    const random = this.#random;
    const header: HeaderToSend = {
      ...session.spis,
      exchangeType,
      response: random.oneIn(40),
      initiator: true,
      messageId: random.oneIn(20) ? session.messageId + random.below(3) - 1 : session.messageId,
    };
    const fragment = {
      number: random.below(4),
      total: random.oneIn(20) ? 65_535 : random.below(5),
    };
    const inner = { firstType, bytes };
    const { shape } = SUITE;
    const frame = beginEncrypted(header, inner, shape, isFragment ? fragment : undefined);
    const { message, bodyAt } = frame;
    const [textAt, icvAt] = [bodyAt + shape.ivLength, message.length - shape.icvLength];
    // Pad Length is part of what the sender decides.
    if (random.oneIn(20)) message[icvAt - 1] = random.below(256);
    const iv = message.subarray(bodyAt, textAt);
    new DataView(message.buffer).setBigUint64(bodyAt, session.iv++ + 0x10_0000n);
    const key = session.keys.initiator.encryption.bytes;
    const nonce = Buffer.concat([key.subarray(16), iv]);
    const cipher = createCipheriv('aes-128-gcm', key.subarray(0, 16), nonce, { authTagLength: 16 });
    cipher.setAAD(message.subarray(0, bodyAt));
    message.set(cipher.update(message.subarray(textAt, icvAt)), textAt);
    cipher.final();
    message.set(cipher.getAuthTag(), icvAt);
    return message;
  }
}

function idPayload(kind: 'IDi' | 'IDr', { type, data }: Identity): Payload & { kind: typeof kind } {
  return { kind, idType: type, data } as Payload & { kind: typeof kind };
}

function notify(notifyType: number): Payload {
  return {
    kind: 'N',
    protocolId: 0,
    notifyType,
    spi: new Uint8Array(0),
    data: new Uint8Array(0),
  };
}

function encodeInit({ initiatorSpi, publicValue, ni }: Opening, cookie?: Payload): Uint8Array {
  const purpose = { protocol: 'ike', keyExchange: true } as const;
  return encodeMessage({
    header: {
      initiatorSpi,
      responderSpi: ZERO_IKE_SPI,
      exchangeType: EXCHANGE.IKE_SA_INIT,
      response: false,
      initiator: true,
      messageId: 0,
    },
    payloads: [
      ...(cookie === undefined ? [] : [cookie]),
      { kind: 'SA', proposals: toWireProposals([IKE], new Uint8Array(0), purpose) },
      { kind: 'KE', method: GROUP, data: publicValue },
      { kind: 'Nonce', data: ni },
      notify(NOTIFY.IKEV2_FRAGMENTATION_SUPPORTED),
    ],
  });
}
