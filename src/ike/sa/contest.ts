/** Applies the rules of `uniqueness.ts` to the IKE SAs of one connection. */
import { ChurnMap } from '../../churn-map.js';
import { assertNever } from '../../crypto/assert-never.js';
import type { IkeSa } from './ike-sa.js';
import { lowestNonce } from './nonce.js';
import { type Contender, judge } from './uniqueness.js';

export class Contest {
  readonly #contenders = new ChurnMap<IkeSa, Contender>();

  /** The IKE SA is established. */
  enter(sa: IkeSa): void {
    const { ni, nr } = sa.negotiated!;
    this.#contenders.set(sa, {
      role: sa.role,
      startedAt: sa.startedAt,
      establishedAt: sa.establishedAt!,
      lowestNonce: lowestNonce(ni, nr),
      initialContact: sa.initialContact,
    });
  }

  /** The same IKE SA under new keys stands where the old one stood. */
  inherit(old: IkeSa, by: IkeSa): void {
    const contender = this.#contenders.get(old);
    if (contender !== undefined) this.#contenders.set(by, contender);
    this.#contenders.delete(old);
  }

  leave(sa: IkeSa): void {
    this.#contenders.delete(sa);
  }

  /** Ends those of the connection's IKE SAs that are too many now, perhaps the newest itself. */
  decide(newest: IkeSa, all: readonly IkeSa[]): void {
    for (const other of all) if (other !== newest) this.#compare(newest, other);
  }

  #compare(newest: IkeSa, other: IkeSa): void {
    if (other.state.name === 'initiating' && newest.role === 'responder') {
      other.close('the peer has set the connection up meanwhile');
      return;
    }
    const contender = this.#contenders.get(other);
    if (contender === undefined || other.state.name !== 'established') return;
    const verdict = judge(this.#contenders.get(newest)!, contender);
    switch (verdict) {
      case 'both stay':
        break;
      case 'other is dead':
        other.close('INITIAL_CONTACT: the peer does not know it any more');
        break;
      case 'delete other':
        // Not before the peer has the newest, which an answer on it shows.
        newest.peerLife.whenHeard(() => other.terminate('both sides have initiated at once'));
        break;
      case 'delete newest':
        newest.terminate('both sides have initiated at once');
        break;
      default:
        assertNever(verdict);
    }
  }
}
