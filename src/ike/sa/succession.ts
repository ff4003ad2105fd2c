/**
 * How one IKE SA takes the place of another (RFC 7296 §2.8, §2.18): what rekeying has made stands
 * beside the old one as its rival as long as it is open which of two stays (§2.8.2); then the Child
 * SAs go over to it, and the old one is deleted by who has made the new one.
 */
import { formatSuite } from '../../policy/suite.js';
import { Children } from '../child/children.js';
import type { Core } from '../core.js';
import type { Milliseconds } from '../event.js';
import { Liveness } from '../tasks/liveness.js';
import type { IkeSa, TimerKind } from './ike-sa.js';

/** The timers that an IKE SA has no use for once another has taken its place. */
const OF_USE: readonly TimerKind[] = [
  ...(['liveness', 'keepalive', 'ike-rekey', 'ike-end', 'reauth', 'recheck'] as const),
];

export class Succession {
  /** The lower nonce of the exchange that has made this IKE SA. */
  lowestNonce = '';
  /** What the peer has made to replace it while our rekeying is under way (§2.8.2). */
  rival: IkeSa | undefined;
  readonly #sa: IkeSa;
  readonly #core: Core;
  /** The IKE SA that it was made to replace, and the one that has replaced it. */
  #predecessor: IkeSa | undefined;
  #successor: IkeSa | undefined;
  /** Of two rekeyings of it the peer's, which has lost against ours. */
  #redundant: IkeSa | undefined;
  /** When we delete it, where it is replaced and the peer has not done so. */
  #deleteBy: Milliseconds = 0;

  constructor(sa: IkeSa, core: Core, predecessor?: IkeSa) {
    this.#sa = sa;
    this.#core = core;
    this.#predecessor = predecessor;
  }

  /** Gives all that this IKE SA has, and what it was asked to do, to the one that replaces it. */
  handOver(to: IkeSa): void {
    const sa = this.#sa;
    this.handChildren(to);
    this.rival = undefined;
    this.#successor = to;
    for (const kind of OF_USE) sa.stopTimer(kind);
    to.log('info', () => {
      return `IKE SA ${sa.localSpi} is rekeyed, ${formatSuite(to.negotiated!.suite)}`;
    });
    to.inherit(sa);
  }

  /** Gives the Child SAs alone. */
  handChildren(to: IkeSa): void {
    const sa = this.#sa;
    sa.children.handTo(to);
    to.children = sa.children;
    sa.children = new Children(this.#core, sa);
  }

  /** The peer's rekeying has made `other`, and the peer deletes this one (§2.8). */
  replaceBy(other: IkeSa): void {
    // Bounds what a peer can pile up that rekeys and never deletes.
    this.#predecessor?.close('replaced, and not deleted by the peer');
    const { place } = this.#sa;
    const { isTelling } = place;
    this.handOver(other);
    this.#awaitDelete();
    // A peer that waits for our answer to its rekeying has this one only, and asks where we were.
    if (isTelling) place.tellPeer();
  }

  /** Ours has made `made`, which stays; what the peer's has made, if anything, goes (§2.8.2). */
  win(made: IkeSa): void {
    this.#redundant = this.rival;
    if (this.rival !== undefined) this.rival.succession.#lose();
    this.handOver(made);
  }

  /** The peer deletes it. */
  #lose(): void {
    this.#sa.children = new Children(this.#core, this.#sa);
    this.#awaitDelete();
  }

  #awaitDelete(): void {
    const { replacedTimeout, redundantTimeout } = this.#core.options;
    this.#sa.move({ name: 'replaced' });
    this.#deleteBy = this.#core.now + replacedTimeout;
    this.#sa.startTimer('replaced', redundantTimeout);
  }

  /**
   * The peer has not deleted it yet. Where it may not have our answer to its rekeying either, and we
   * are behind a NAT, it is asked on this one, which it has: so it learns of another mapping, and asks
   * again there. In the end we delete it; but over our Delete a peer forgets its rekeying (§2.25.2),
   * and would not know what goes on here: as long as that is open, the successor is asked as well.
   */
  overdue(): void {
    const [sa, core, successor] = [this.#sa, this.#core, this.#successor];
    const left = this.#deleteBy - core.now;
    if (successor?.state.name === 'established' && !successor.peerLife.isKnown) {
      if (sa.nat.local && sa.window.isIdle) sa.request(new Liveness(sa, core));
      if (left <= 0) successor.peerLife.probe();
      sa.startTimer('replaced', core.options.redundantTimeout);
    } else if (left > 0) sa.startTimer('replaced', left);
    else sa.terminate('the peer has not deleted what it has replaced');
  }

  /** The peer has deleted it. */
  deletedByPeer(): void {
    // §2.25.2: our own rekeying is forgotten; the peer's is what it deletes this one for.
    if (this.#sa.state.name === 'established' && this.rival !== undefined) {
      this.replaceBy(this.rival);
    }
    this.#sa.close('deleted by the peer', true);
  }

  /** It is taken down; for the peer the rival may be what all goes on with. */
  terminate(reason: string): void {
    this.rival?.terminate(reason);
    this.rival = undefined;
  }

  /** The peer has most likely forgotten it; if not, it deletes it soon. */
  #expectNoDelete(): void {
    if (this.#sa.state.name !== 'replaced') return;
    this.#deleteBy = this.#core.now + this.#core.options.redundantTimeout;
    this.#sa.startTimer('replaced', this.#core.options.redundantTimeout);
  }

  /**
   * It is closed: what was to take its place goes too, what has taken it stays. The peer deletes what
   * has lost once it has our answer to its rekeying; if that is not done by now it has forgotten its
   * rekeying over our Delete of this one (§2.25.2), and there is nothing that it might delete.
   */
  close(reason: string): void {
    if (this.#redundant !== undefined) this.#redundant.succession.#expectNoDelete();
    this.#redundant = undefined;
    this.rival?.close(reason);
    const before = this.#predecessor?.succession;
    if (before?.rival === this.#sa) before.rival = undefined;
    this.#predecessor = undefined;
    if (this.#successor !== undefined) this.#successor.succession.#predecessor = undefined;
  }
}
