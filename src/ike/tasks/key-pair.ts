/** Our half of a key exchange in CREATE_CHILD_SA (RFC 7296 §1.3), and what comes of it. */
import type { Secret } from '../../crypto/secret.js';
import type { Proposal } from '../../policy/proposal.js';
import type { PayloadOf } from '../../wire/index.js';
import type { IkeSa } from '../sa/ike-sa.js';

export class KeyPair {
  readonly group: number;
  readonly #sa: IkeSa;
  #privateKey: Secret | undefined;
  #publicValue: Uint8Array = new Uint8Array(0);
  /** Nobody needs it any more, though it may still be under way. */
  #isWiped = false;

  constructor(sa: IkeSa, group: number) {
    this.#sa = sa;
    this.group = group;
  }

  /** Makes the pair, then goes on; where it cannot be made, `payload` is missing. */
  generate(ready: () => void): void {
    this.#sa.compute({ type: 'generate', group: this.group }, (result) => {
      if (result.type === 'generated') {
        this.#privateKey = result.privateKey;
        this.#publicValue = result.publicValue;
      }
      if (this.#isWiped) this.wipe();
      ready();
    });
  }

  /** The KE payload; undefined without a pair. */
  get payload(): PayloadOf<'KE'> | undefined {
    if (this.#privateKey === undefined) return undefined;
    return { kind: 'KE', method: this.group, data: this.#publicValue };
  }

  /**
   * Computes the shared secret, once; the key pair is used up (§2.12).
   * @param then  gets the secret, which is its to wipe, or why there is none
   */
  derive(peerPublic: Uint8Array, then: (sharedSecret: Secret | string) => void): void {
    const privateKey = this.#privateKey!;
    this.#privateKey = undefined;
    const { group } = this;
    this.#sa.compute({ type: 'derive', group, privateKey, peerPublic }, (result) => {
      if (result.type === 'derived') then(result.sharedSecret);
      else then(result.type === 'failed' ? result.reason : 'an unexpected result');
    });
  }

  wipe(): void {
    this.#isWiped = true;
    this.#privateKey?.wipe();
    this.#privateKey = undefined;
  }
}

/** The group that an initiator guesses: the first of its first proposal, or none (§1.3). */
export function guessedGroup(proposals: readonly Proposal[]): number | undefined {
  return proposals[0]?.keyExchange[0]?.id;
}

/** The group that INVALID_KE_PAYLOAD names, where it is one that we offer (§1.3). */
export function requestedGroup(
  data: Uint8Array,
  proposals: readonly Proposal[],
): number | undefined {
  if (data.length !== 2) return undefined;
  const group = data[0]! * 256 + data[1]!;
  const offered = proposals.some(({ keyExchange }) => keyExchange.some(({ id }) => id === group));
  return offered ? group : undefined;
}
