/**
 * A peer that says whatever a test wants: an initiator with real keys and no rules. It speaks
 * AES-128-GCM, HMAC-SHA2-256 and X25519 from 192.0.2.1 to gateway b.
 */
import { createCipheriv } from 'node:crypto';
import { pskAuth } from '../../../src/crypto/auth.js';
import { Opener, Sealer, skSuite } from '../../../src/crypto/encrypt.js';
import { deriveSharedSecret, generateKeyPair } from '../../../src/crypto/key-exchange.js';
import { deriveIkeKeys, type IkeKeys, skeyseed } from '../../../src/crypto/keymat.js';
import { prfById } from '../../../src/crypto/prf.js';
import { Secret } from '../../../src/crypto/secret.js';
import { idPayload } from '../../../src/ike/auth/authentication.js';
import { need, notify } from '../../../src/ike/messages/payloads.js';
import { parseIdentity } from '../../../src/policy/identity.js';
import { parseProposal } from '../../../src/policy/proposal.js';
import { toWireProposals } from '../../../src/policy/suite.js';
import {
  decodeMessage,
  decodePayloads,
  EXCHANGE,
  encodeMessage,
  encryptedPart,
  type IkeSpi,
  type Payload,
  parseSelector,
  payloadBody,
  peekHeader,
  toWireSelector,
  ZERO_IKE_SPI,
} from '../../../src/wire/index.js';
import { ADDRESS_A, ADDRESS_B, type Peer, PSK } from './peer.js';

const SUITE = skSuite(20, 128, 0)!;
const PRF = prfById(5)!;
export const PROPOSAL = 'aes128gcm16-prfsha256-x25519';

export class ScriptedPeer {
  readonly spi = '5c71b7ed00000001' as IkeSpi;
  readonly ni = new Uint8Array(32).fill(0x11);
  readonly outboundSpi = Uint8Array.of(0xc0, 0, 0, 1);
  readonly #peer: Peer;
  readonly #proposal: string;
  readonly #pair = generateKeyPair(31);
  peerSpi: IkeSpi = ZERO_IKE_SPI;
  source = { address: ADDRESS_A, port: 500 };
  #keys: IkeKeys | undefined;
  #sealer: Sealer | undefined;
  #opener: Opener | undefined;
  #nr: Uint8Array = new Uint8Array(0);
  #initRequest: Uint8Array = new Uint8Array(0);

  constructor(peer: Peer, proposal = PROPOSAL) {
    this.#peer = peer;
    this.#proposal = proposal;
  }

  /** Sends octets to the gateway and answers all that it sends back. */
  send(data: Uint8Array): Uint8Array[] {
    const { source: remote } = this;
    const local = { address: ADDRESS_B, port: remote.port };
    this.#peer.handle({ type: 'datagram', local, remote, data });
    return this.#peer.outbox.splice(0).map((datagram) => datagram.data);
  }

  initPayloads(): Payload[] {
    const purpose = { protocol: 'ike', keyExchange: true } as const;
    const proposals = toWireProposals(
      [parseProposal('ike', this.#proposal)],
      new Uint8Array(0),
      purpose,
    );
    return [
      { kind: 'SA', proposals },
      { kind: 'KE', method: 31, data: this.#pair.publicValue },
      { kind: 'Nonce', data: this.ni },
    ];
  }

  header(exchangeType: number, messageId: number) {
    const spis = { initiatorSpi: this.spi, responderSpi: this.peerSpi };
    return { ...spis, exchangeType, messageId, response: false, initiator: true };
  }

  initRequest(payloads = this.initPayloads()): Uint8Array {
    return encodeMessage({ header: this.header(EXCHANGE.IKE_SA_INIT, 0), payloads });
  }

  /** IKE_SA_INIT as it should be; afterwards there are keys. */
  init(offer = this.initPayloads()): void {
    this.#initRequest = this.initRequest(offer);
    const [response] = this.send(this.#initRequest);
    const { header, payloads } = decodeMessage(response!);
    this.peerSpi = header.responderSpi;
    this.#nr = need(payloads, 'Nonce').data;
    const shared = deriveSharedSecret(31, this.#pair.privateKey, need(payloads, 'KE').data);
    const spis = { initiatorSpi: this.spi, responderSpi: this.peerSpi };
    const seed = skeyseed(PRF, this.ni, this.#nr, shared);
    this.#keys = deriveIkeKeys(PRF, SUITE, { skeyseed: seed, ni: this.ni, nr: this.#nr, ...spis });
    this.#sealer = new Sealer(SUITE, this.#keys.initiator);
    this.#opener = new Opener(SUITE, this.#keys.responder);
  }

  get keys(): IkeKeys {
    return this.#keys!;
  }

  /** @param intAuth  what lay between IKE_SA_INIT and IKE_AUTH (RFC 9242 §3.3.2) */
  authPayloads(id = 'a.example.org', psk = PSK, intAuth = new Uint8Array(0)): Payload[] {
    const idi = idPayload('IDi', parseIdentity(id));
    const data = pskAuth(PRF, new Secret(new TextEncoder().encode(psk)), {
      message: this.#initRequest,
      peerNonce: this.#nr,
      idBody: payloadBody(idi),
      skP: this.#keys!.skPi,
      intAuth,
    });
    const purpose = { protocol: 'esp', keyExchange: false } as const;
    const esp = [parseProposal('esp', 'aes128gcm16')];
    return [
      idi,
      { kind: 'AUTH', method: 2, data },
      { kind: 'SA', proposals: toWireProposals(esp, this.outboundSpi, purpose) },
      { kind: 'TSi', selectors: [toWireSelector(parseSelector('10.1.0.0/16'))] },
      { kind: 'TSr', selectors: [toWireSelector(parseSelector('10.2.0.0/16'))] },
    ];
  }

  /** Offers a Child SA with these algorithms, such as `aes128gcm16-x25519`. */
  childProposal(esp: string): Payload {
    const purpose = { protocol: 'esp', keyExchange: true } as const;
    const proposals = toWireProposals([parseProposal('esp', esp)], this.outboundSpi, purpose);
    return { kind: 'SA', proposals };
  }

  /** CREATE_CHILD_SA for a Child SA without a key exchange of its own. */
  childRequest(): Payload[] {
    const [, , sa, tsi, tsr] = this.authPayloads();
    return [sa!, { kind: 'Nonce', data: new Uint8Array(32) }, tsi!, tsr!];
  }

  seal(exchangeType: number, messageId: number, payloads: readonly Payload[]): Uint8Array {
    return this.#sealer!.seal(this.header(exchangeType, messageId), payloads);
  }

  /**
   * Seals what the library would not: payloads in clear before the encrypted one, and a plaintext
   * whose padding is as it is given.
   * @param alter  changes the message before it is authenticated
   */
  sealRaw(
    exchangeType: number,
    messageId: number,
    before: readonly Payload[],
    { firstType, padded }: { firstType: number; padded: Uint8Array },
    alter: (message: Uint8Array) => void = () => {},
  ): Uint8Array {
    const body = new Uint8Array(8 + padded.length + 16);
    const message = encodeMessage({
      header: this.header(exchangeType, messageId),
      payloads: [...before, { kind: 'SK', nextPayload: firstType, body }],
    });
    alter(message);
    const bytes = this.#keys!.initiator.encryption.bytes;
    // An IV that the sealer, which counts, does not come to.
    const iv = Uint8Array.of(0xff, 0, 0, 0, 0, 0, 0, messageId);
    const nonce = Buffer.concat([bytes.subarray(16), iv]);
    const cipher = createCipheriv('aes-128-gcm', bytes.subarray(0, 16), nonce);
    const at = message.length - body.length;
    cipher.setAAD(message.subarray(0, at));
    message.set(iv, at);
    message.set(cipher.update(padded), at + 8);
    cipher.final();
    message.set(cipher.getAuthTag(), message.length - 16);
    return message;
  }

  /** The same in fragments of so many octets at most. */
  sealInFragments(
    exchangeType: number,
    messageId: number,
    payloads: readonly Payload[],
    most: number,
  ): Uint8Array[] {
    return this.#sealer!.sealInFragments(this.header(exchangeType, messageId), payloads, most);
  }

  /** Sends a protected request and opens the responses; what belongs to other SAs is left out. */
  request(exchangeType: number, messageId: number, payloads: readonly Payload[]): Payload[][] {
    return this.send(this.seal(exchangeType, messageId, payloads))
      .filter((data) => peekHeader(data)?.responderSpi === this.peerSpi)
      .map((data) => this.open(data));
  }

  /** Answers a request of the gateway. */
  respond(exchangeType: number, messageId: number, payloads: readonly Payload[]): Uint8Array[] {
    const header = { ...this.header(exchangeType, messageId), response: true };
    return this.send(this.#sealer!.seal(header, payloads));
  }

  open(data: Uint8Array): Payload[] {
    const opened = this.#opener!.open(encryptedPart(data, decodeMessage(data))!)!;
    return decodePayloads(opened.firstType, opened.plaintext);
  }

  /** Both exchanges as they should be. */
  establish(): void {
    this.init();
    this.request(EXCHANGE.IKE_AUTH, 1, this.authPayloads());
  }
}

/** The types of the notifications, and the kinds of all other payloads. */
export function kinds(payloads: readonly Payload[] | undefined): (string | number)[] {
  return (payloads ?? []).map((payload) =>
    payload.kind === 'N' ? payload.notifyType : payload.kind,
  );
}

export { notify };
