/** The exchanges of MOBIKE (RFC 4555): the mover tells where it is, the follower makes sure. */
import { type Endpoint, sameEndpoint } from '../../sad/sad.js';
import { EXCHANGE, NOTIFY, type Payload } from '../../wire/index.js';
import type { Core } from '../core.js';
import { errorOf, notify, notifyName, notifyOf } from '../messages/payloads.js';
import { sameOctets } from '../messages/window.js';
import { detectNat, fakeSource, natDetection, prohibitNats } from '../path/nat.js';
import { type Path, samePath } from '../path/paths.js';
import type { IkeSa } from '../sa/ike-sa.js';
import type { Response, Task } from './task.js';

const COOKIE2_OCTETS = 32;

abstract class Move implements Task {
  readonly kind = 'mobike';
  readonly exchange = EXCHANGE.INFORMATIONAL;
  readonly tries: number;
  protected readonly sa: IkeSa;
  protected readonly core: Core;

  constructor(sa: IkeSa, core: Core) {
    this.sa = sa;
    this.core = core;
    this.tries = core.options.requestTries;
  }

  abstract build(): readonly Payload[] | undefined;
  abstract process(response: Response): void;

  malformed(problem: string): void {
    this.sa.misanswered(problem);
  }

  timedOut(): void {
    this.sa.lost();
  }

  abandon(): void {}
}

/** UPDATE_SA_ADDRESSES: from here on we are where this comes from (§3.5). */
export class UpdateAddresses extends Move {
  #from: Path | undefined;
  readonly #attempt: number;

  /** @param attempt  of so many that a NAT on the way has brought to nothing, it is the last */
  constructor(sa: IkeSa, core: Core, attempt = 1) {
    super(sa, core);
    this.#attempt = attempt;
  }

  build(): readonly Payload[] | undefined {
    const { sa } = this;
    if (sa.state.name !== 'established' && sa.state.name !== 'replaced') return undefined;
    this.#from = { local: sa.local, remote: sa.remote };
    const update = notify(NOTIFY.UPDATE_SA_ADDRESSES);
    const { natTraversal, forceUdpEncapsulation } = sa.connection!;
    if (!natTraversal) return [update, prohibitNats(sa.local, sa.remote)];
    const fake = fakeSource(this.core, forceUdpEncapsulation);
    return [update, ...natDetection(sa.spis, sa.local, sa.remote, fake)];
  }

  process({ payloads }: Response): void {
    const { sa } = this;
    sa.finishRequest(this);
    const error = errorOf(payloads);
    const isNat = error?.notifyType === NOTIFY.UNEXPECTED_NAT_DETECTED;
    if (isNat && this.#attempt < this.core.options.initTries) {
      // §3.9: who can change one message only must not keep us from the path.
      sa.requestFirst(new UpdateAddresses(sa, this.core, this.#attempt + 1));
      return;
    }
    if (error !== undefined) {
      const name = notifyName(error.notifyType);
      sa.report({ notify: name, explanation: `the peer does not follow us: it answers ${name}` });
      return;
    }
    // We have moved on meanwhile: what came from there says nothing any more.
    if (!samePath(sa.place, this.#from!)) {
      sa.requestFirst(new UpdateAddresses(sa, this.core));
      return;
    }
    sa.place.told(payloads);
    const { forceUdpEncapsulation: forced } = sa.connection!;
    sa.place.arrive(detectNat(payloads, sa.spis, sa.local, sa.remote, forced));
  }

  onSuccessor(successor: IkeSa): Task {
    return new UpdateAddresses(successor, this.core);
  }
}

/** COOKIE2 to where the peer says that it is: only who is there can send it back (§3.7). */
export class ReturnRoutability extends Move {
  readonly #cookie: Uint8Array;
  #remote: Endpoint | undefined;

  constructor(sa: IkeSa, core: Core) {
    super(sa, core);
    this.#cookie = core.environment.random(COOKIE2_OCTETS);
  }

  build(): readonly Payload[] {
    this.#remote = this.sa.remote;
    return [notify(NOTIFY.COOKIE2, this.#cookie)];
  }

  process({ payloads }: Response): void {
    const { sa } = this;
    sa.finishRequest(this);
    const cookie = notifyOf(payloads, NOTIFY.COOKIE2);
    if (cookie === undefined || !sameOctets(cookie.data, this.#cookie)) {
      // §3.7: a peer that has our keys, and not what was sent to it.
      sa.fail({ notify: 'INVALID_SYNTAX', explanation: 'the peer does not send COOKIE2 back' });
      return;
    }
    if (sameEndpoint(sa.remote, this.#remote!)) sa.place.arrive(sa.nat);
    // It has moved on meanwhile.
    else if (sa.state.name === 'established') sa.place.checkPeer();
  }

  onSuccessor(successor: IkeSa): Task {
    return new ReturnRoutability(successor, this.core);
  }
}
