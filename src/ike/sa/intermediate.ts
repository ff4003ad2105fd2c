/**
 * What lies between IKE_SA_INIT and IKE_AUTH (RFC 9242): the key exchanges that are still to come
 * (RFC 9370 §2.2.2), and what AUTH covers of the messages.
 */
import { type Prf, prf } from '../../crypto/prf.js';
import type { Secret } from '../../crypto/secret.js';
import type { Role } from './state.js';

/** A peer may have other reasons for the exchange than we know; it cannot have many. */
const MAX_EXCHANGES = 16;

/** What one side has sent, as far as it goes. */
interface Chain {
  readonly messageId: number;
  readonly octets: Uint8Array;
}

export class Intermediate {
  readonly #methods: number[];
  readonly #chains: Partial<Record<Role, Chain>> = {};
  #exchanges = 0;

  /** @param methods  of the key exchanges that follow the first one, in order */
  constructor(methods: readonly number[]) {
    this.#methods = [...methods];
  }

  /** The method of the key exchange that comes next; undefined: IKE_AUTH is due. */
  get nextMethod(): number | undefined {
    return this.#methods[0];
  }

  /** That key exchange is done. */
  advance(): void {
    this.#methods.shift();
  }

  /** Counts an exchange; false where there were too many. */
  count(): boolean {
    return ++this.#exchanges <= MAX_EXCHANGES;
  }

  /**
   * IntAuth_i and IntAuth_r go on with a message (RFC 9242 §3.3.2); once with each, however often it
   * is sent.
   * @param skP      SK_pi or SK_pr of the sender, as they are when the exchange begins
   * @param message  as if it were neither encrypted nor in fragments
   */
  cover(sender: Role, messageId: number, algorithm: Prf, skP: Secret, message: Uint8Array): void {
    const before = this.#chains[sender];
    if (before !== undefined && before.messageId >= messageId) return;
    const octets = prf(algorithm, skP.bytes, before?.octets ?? new Uint8Array(0), message);
    this.#chains[sender] = { messageId, octets };
  }

  /** IntAuth = IntAuth_iN | IntAuth_rN | IKE_AUTH_MID; empty where nothing lay between. */
  get intAuth(): Uint8Array {
    const { initiator, responder } = this.#chains;
    if (initiator === undefined || responder === undefined) return new Uint8Array(0);
    const octets = new Uint8Array(initiator.octets.length + responder.octets.length + 4);
    octets.set(initiator.octets);
    octets.set(responder.octets, initiator.octets.length);
    new DataView(octets.buffer).setUint32(octets.length - 4, initiator.messageId + 1);
    return octets;
  }
}
