/**
 * A responder that answers whatever a test wants: real keys and no rules. It is gateway b for
 * gateway a, and speaks AES-128-GCM, HMAC-SHA2-256 and X25519.
 */
import { pskAuth } from '../../../src/crypto/auth.js';
import { Opener, Sealer, skSuite } from '../../../src/crypto/encrypt.js';
import { deriveSharedSecret, generateKeyPair } from '../../../src/crypto/key-exchange.js';
import { deriveIkeKeys, skeyseed } from '../../../src/crypto/keymat.js';
import { prfById } from '../../../src/crypto/prf.js';
import { Secret } from '../../../src/crypto/secret.js';
import { idPayload } from '../../../src/ike/auth/authentication.js';
import { need } from '../../../src/ike/messages/payloads.js';
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
  payloadBody,
} from '../../../src/wire/index.js';
import { type Datagram, type Peer, PSK } from './peer.js';
import { PROPOSAL } from './scripted-peer.js';

const SUITE = skSuite(20, 128, 0)!;
const PRF = prfById(5)!;

/** A request of the gateway, opened. */
export interface ReceivedRequest {
  readonly datagram: Datagram;
  readonly exchangeType: number;
  readonly messageId: number;
  readonly payloads: readonly Payload[];
}

export class ScriptedResponder {
  readonly spi = '5c71b7ed00000002' as IkeSpi;
  readonly nr = new Uint8Array(32).fill(0x22);
  readonly outboundSpi = Uint8Array.of(0xc0, 0, 0, 2);
  readonly #peer: Peer;
  readonly #pair = generateKeyPair(31);
  #initRequest: ReceivedRequest | undefined;
  #initResponse: Uint8Array = new Uint8Array(0);
  #skPr = new Uint8Array(0);
  #sealer: Sealer | undefined;
  #opener: Opener | undefined;

  constructor(peer: Peer) {
    this.#peer = peer;
  }

  /** The next request of the gateway, taken off the wire. */
  take(): ReceivedRequest {
    const datagram = this.#peer.outbox.shift();
    if (datagram === undefined) throw new Error(`${this.#peer.name} has sent nothing`);
    const message = decodeMessage(datagram.data);
    const { exchangeType, messageId } = message.header;
    const part = encryptedPart(datagram.data, message);
    if (part === undefined)
      return { datagram, exchangeType, messageId, payloads: message.payloads };
    const opened = this.#opener!.open(part)!;
    const payloads = decodePayloads(opened.firstType, opened.plaintext);
    return { datagram, exchangeType, messageId, payloads };
  }

  /** Sends the gateway octets in answer to its request. */
  give({ datagram }: ReceivedRequest, data: Uint8Array): void {
    const { local, remote } = datagram;
    this.#peer.handle({ type: 'datagram', local, remote, data });
  }

  initPayloads(proposal = PROPOSAL): Payload[] {
    const purpose = { protocol: 'ike', keyExchange: true } as const;
    const ike = [parseProposal('ike', proposal)];
    return [
      { kind: 'SA', proposals: toWireProposals(ike, new Uint8Array(0), purpose) },
      { kind: 'KE', method: 31, data: this.#pair.publicValue },
      { kind: 'Nonce', data: this.nr },
    ];
  }

  initResponse({ datagram }: ReceivedRequest, payloads: readonly Payload[]): Uint8Array {
    const { header } = decodeMessage(datagram.data);
    const answer = { ...header, responderSpi: this.spi, response: true, initiator: false };
    return encodeMessage({ header: answer, payloads });
  }

  /** IKE_SA_INIT as it should be; afterwards there are keys, and an IKE_AUTH request to take. */
  init(further: readonly Payload[] = [], proposal = PROPOSAL): void {
    const request = this.take();
    const response = this.initResponse(request, [...this.initPayloads(proposal), ...further]);
    this.#initRequest = request;
    this.#initResponse = response;
    const ni = need(request.payloads, 'Nonce').data;
    const { nr } = this;
    const { privateKey } = this.#pair;
    const shared = deriveSharedSecret(31, privateKey, need(request.payloads, 'KE').data);
    const { initiatorSpi } = decodeMessage(request.datagram.data).header;
    const spis = { initiatorSpi, responderSpi: this.spi };
    const seed = { skeyseed: skeyseed(PRF, ni, nr, shared), ni, nr, ...spis };
    const keys = deriveIkeKeys(PRF, SUITE, seed);
    this.#skPr = new Uint8Array(keys.skPr.bytes);
    this.#sealer = new Sealer(SUITE, keys.responder);
    this.#opener = new Opener(SUITE, keys.initiator);
    this.give(request, response);
  }

  /** IDr, AUTH. */
  proof(): Payload[] {
    const idr = idPayload('IDr', parseIdentity('b.example.org'));
    const skP = new Secret(this.#skPr);
    const data = pskAuth(PRF, new Secret(new TextEncoder().encode(PSK)), {
      message: this.#initResponse,
      peerNonce: need(this.#initRequest!.payloads, 'Nonce').data,
      idBody: payloadBody(idr),
      skP,
    });
    return [idr, { kind: 'AUTH', method: 2, data }];
  }

  /** The same, and SA, TSi, TSr that accept what the request offers. */
  authPayloads(request: ReceivedRequest): Payload[] {
    return [
      ...this.proof(),
      this.childProposal(this.outboundSpi),
      need(request.payloads, 'TSi'),
      need(request.payloads, 'TSr'),
    ];
  }

  /** SA of a Child SA whose inbound SPI at the responder is this. */
  childProposal(spi: Uint8Array): Payload {
    const esp = [parseProposal('esp', 'aes128gcm16-noesn')];
    const purpose = { protocol: 'esp', keyExchange: false } as const;
    return { kind: 'SA', proposals: toWireProposals(esp, spi, purpose) };
  }

  /** Answers a protected request. */
  answer(request: ReceivedRequest, payloads: readonly Payload[]): void {
    const { initiatorSpi } = decodeMessage(request.datagram.data).header;
    const { exchangeType, messageId } = request;
    const spis = { initiatorSpi, responderSpi: this.spi };
    const header = { ...spis, exchangeType, messageId, response: true, initiator: false };
    this.give(request, this.#sealer!.seal(header, payloads));
  }

  /** Sends a protected request. */
  request(exchangeType: number, messageId: number, payloads: readonly Payload[]): void {
    const { datagram } = this.#initRequest!;
    const { initiatorSpi } = decodeMessage(datagram.data).header;
    const spis = { initiatorSpi, responderSpi: this.spi };
    const header = { ...spis, exchangeType, messageId, response: false, initiator: false };
    this.give(this.#initRequest!, this.#sealer!.seal(header, payloads));
  }

  /** Both exchanges as they should be. */
  establish(): void {
    this.init();
    const request = this.take();
    if (request.exchangeType !== EXCHANGE.IKE_AUTH) throw new Error('IKE_AUTH was expected');
    this.answer(request, this.authPayloads(request));
  }
}
