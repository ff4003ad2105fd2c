/**
 * How long an IKE SA lasts: when it is rekeyed and when it ends (RFC 7296 §2.8), when its peers prove
 * themselves anew (§2.8.3, RFC 4478), and when the peer's certificate is looked at again (RFC 4301
 * §4.4.2.1).
 */

import { recheckPeer } from '../auth/peer-certificate.js';
import type { Core } from '../core.js';
import type { Milliseconds } from '../event.js';
import type { IkeSa } from './ike-sa.js';
import { shortened } from './lifetime.js';

export class Lifespan {
  readonly #sa: IkeSa;
  readonly #core: Core;
  /** When the peers have proved themselves; rekeying does not change it. */
  #authenticatedAt: Milliseconds | undefined;
  /** Seconds of age at which the peer wants to be shown anew who we are (RFC 4478); 0: never. */
  #limit = 0;

  constructor(sa: IkeSa, core: Core) {
    this.#sa = sa;
    this.#core = core;
  }

  /** The peers have proved themselves now. */
  authenticated(): void {
    this.#authenticatedAt = this.#core.now;
  }

  /** Of an IKE SA that rekeying has made to replace another. */
  inherit(old: Lifespan): void {
    this.#authenticatedAt = old.#authenticatedAt;
    this.#limit = old.#limit;
  }

  /** It is established from now on. */
  begin(): void {
    const { rekeySeconds, endSeconds } = this.#sa.connection!.lifetime;
    if (rekeySeconds > 0) this.#sa.startTimer('ike-rekey', shortened(this.#core, rekeySeconds));
    if (endSeconds > 0) this.#sa.startTimer('ike-end', endSeconds * 1000);
    this.#reauthenticateInTime();
    this.#recheckLater();
  }

  /** The peer takes our authentication for so many seconds more; 0: it says nothing of that. */
  limit(seconds: number): void {
    if (seconds === 0 || this.#sa.state.name !== 'established') return;
    const age = (this.#core.now - this.#authenticatedAt!) / 1000;
    this.#limit = age + seconds;
    this.#reauthenticateInTime();
  }

  /** By our own configuration, or because the peer wants it. */
  #reauthenticateInTime(): void {
    const wanted = [this.#sa.connection!.reauthSeconds, this.#limit].filter((s) => s > 0);
    if (wanted.length === 0) return;
    const age = this.#core.now - this.#authenticatedAt!;
    const delay = shortened(this.#core, Math.min(...wanted));
    this.#sa.startTimer('reauth', Math.max(0, delay - age));
  }

  /** It is time to set the connection up anew, and to try that again until this one goes. */
  reauthenticate(): void {
    this.#core.reauthenticate(this.#sa, 'it is time for that');
    this.#sa.startTimer('reauth', this.#core.options.postponedMaximum);
  }

  /** It is time to look at the peer's certificate again. */
  recheck(): void {
    recheckPeer(this.#sa, this.#core);
    this.#recheckLater();
  }

  #recheckLater(): void {
    if (this.#sa.peerCertificates === undefined) return;
    this.#sa.startTimer('recheck', shortened(this.#core, this.#core.options.recheckSeconds));
  }
}
