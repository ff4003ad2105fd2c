/**
 * Which connections are wanted, and the attempts to have them: their Child SAs are asked for on the
 * IKE SA that is there, or with a new one; what has failed, or was lost, is tried again, ever more
 * slowly; and a connection is set up anew beside what it has (RFC 7296 §2.8.3).
 */
import type { ChildPolicy, Connection } from '../policy/connection.js';
import { requestChild, requestForResource } from './child/child-procedures.js';
import type { Core } from './core.js';
import type { IkeSas } from './ike-sas.js';
import { Keeper } from './keeper.js';
import { IkeSa } from './sa/ike-sa.js';
import { isUnderWay } from './sa/state.js';
import { InitiateIkeInit } from './tasks/ike-init.js';

export class Attempts {
  readonly #core: Core;
  readonly #sas: IkeSas;
  readonly #keeper: Keeper;
  /** In this event it has become clear of Child SAs of theirs whether they are to be had. */
  readonly #unsettled = new Set<IkeSa>();
  #stopping = false;

  constructor(core: Core, sas: IkeSas) {
    this.#core = core;
    this.#sas = sas;
    this.#keeper = new Keeper(core.options, core.environment);
  }

  /** Brings up what of the connection is not there: all Child SAs, or the one of that name. */
  initiate(name: string, childName?: string): void {
    if (this.#stopping) return;
    const connection = this.#core.connection(name);
    const children =
      connection?.children.filter((child) => childName === undefined || child.name === childName) ??
      [];
    if (connection === undefined || children.length === 0) {
      const missing = childName === undefined ? name : `${name}/${childName}`;
      this.#failed(name, 'no connection', `no connection of that name is configured: ${missing}`);
      return;
    }
    if (connection.remote.address === '%any' && this.#sas.established(name).length === 0) {
      this.#failed(name, 'no address', 'the peer may have any address, so it has to initiate');
      return;
    }
    this.#keeper.want(name, children);
    const missing = children.filter((child) => !this.#sas.hasChild(name, child.name));
    if (missing.length > 0) this.#bringUp(connection, missing);
  }

  /**
   * A sender wants a Child SA of its own (RFC 9611); where there is none for all any more, that
   * one comes first.
   */
  acquire(name: string, child: string, resource: number): void {
    const policy = this.#core.connection(name)?.children.find((one) => one.name === child);
    const established = this.#sas.established(name).at(-1);
    if (policy === undefined || established === undefined || this.#stopping) return;
    if (this.#sas.hasChild(name, child)) {
      requestForResource(established, this.#core, policy, resource);
    } else requestChild(established, this.#core, policy);
  }

  /** On the connection's IKE SA, or with a new one. */
  #bringUp(connection: Connection, children: readonly ChildPolicy[]): void {
    const established = this.#sas.established(connection.name).at(-1);
    const underWay = this.#underWay(connection.name);
    if (established !== undefined) {
      for (const child of children) requestChild(established, this.#core, child);
    } else if (underWay !== undefined) {
      underWay.wanted = [...new Set([...underWay.wanted, ...children])];
    } else {
      this.#start(connection, children);
    }
  }

  /** @param replaces  IKE SAs that go when all Child SAs have been asked for on the new one (§2.8.3) */
  #start(
    connection: Connection,
    children: readonly ChildPolicy[],
    replaces: readonly IkeSa[] = [],
  ): void {
    const { ikePort: port } = this.#core.options;
    const [address = connection.local.address] = this.#core.ourAddresses(connection);
    const local = { address, port };
    // A peer that may be anywhere is where it was seen last.
    const remote = { address: replaces[0]?.remote.address ?? connection.remote.address, port };
    const sa = new IkeSa(this.#core, 'initiator', local, remote);
    sa.connection = connection;
    sa.wanted = children;
    sa.reauthenticates = replaces;
    this.#sas.add(sa);
    new InitiateIkeInit(sa, this.#core, connection, children[0]!).start();
  }

  /** Our end is elsewhere, which cannot be told in the middle: another attempt takes its place. */
  beginAnew(sa: IkeSa): void {
    const connection = this.#core.connection(sa.connection!.name);
    const { reauthenticates } = sa;
    sa.reauthenticates = [];
    if (connection !== undefined) this.#start(connection, sa.wanted, reauthenticates);
    sa.close('our end is elsewhere');
  }

  /** §2.8.3: a new IKE SA with the same Child SAs; the old ones go when each is there, or refused. */
  reauthenticate(established: readonly IkeSa[], reason: string): void {
    const all = established.filter(
      (old) =>
        old.state.name === 'established' &&
        !this.#sas.of(old.connection!.name).some((sa) => sa.reauthenticates.includes(old)),
    );
    const [first] = all;
    const connection = first && this.#core.connection(first.connection!.name);
    if (connection === undefined || this.#stopping) return;
    first!.log('info', `the connection is set up anew: ${reason}`);
    const names = new Set(
      all.flatMap(({ children }) => [...children].map(({ policy }) => policy.name)),
    );
    const children = connection.children.filter(({ name }) => names.has(name));
    this.#start(connection, children.length > 0 ? children : connection.children, all);
  }

  // --- how it goes -------------------------------------------------------------------------

  /** A Child SA that was asked for on this IKE SA is there, or refused; more may be asked for yet. */
  settled(sa: IkeSa): void {
    this.#unsettled.add(sa);
  }

  /** The event is handled, and all is asked for that it has led to. */
  proceed(): void {
    for (const sa of this.#unsettled) this.#settle(sa);
    this.#unsettled.clear();
  }

  /** What was asked for on this IKE SA is there, or refused, but for what is still under way. */
  #settle(sa: IkeSa): void {
    if (sa.state.name !== 'established' || sa.isMakingChildren) return;
    const { name } = sa.connection!;
    this.#replace(sa);
    if (this.#isComplete(name)) {
      this.#keeper.succeeded(name);
      this.#cancelRetry(name);
    } else {
      this.retryLater(name);
    }
  }

  /**
   * §2.8.3: what the IKE SA was made to replace goes; or itself, where it carries nothing. A Child SA
   * that the peer refuses now goes with the old one: there it stands on a proof that is over. The
   * peer goes over to what is new when it sees that we have it, be it that our Delete waits for an
   * answer to what was asked before, or is lost.
   */
  #replace(sa: IkeSa): void {
    const { reauthenticates } = sa;
    sa.reauthenticates = [];
    if (reauthenticates.length === 0) return;
    if (sa.children.size > 0) {
      for (const old of reauthenticates) old.terminate('set up anew');
      sa.peerLife.probe();
    } else if (reauthenticates.some(({ state }) => state.name === 'established')) {
      sa.terminate('it has no Child SA, and what it was to replace goes on');
    }
  }

  /** An IKE SA of the connection is gone. */
  closed(sa: IkeSa, connection: string): void {
    // The peer has ended what we were about to set up anew; nobody else wants that.
    const isWanted = this.#keeper.wants(connection).size > 0;
    if (!isWanted && this.#sas.established(connection).length === 0) {
      for (const other of this.#sas.of(connection)) {
        if (!other.reauthenticates.includes(sa)) continue;
        other.reauthenticates = other.reauthenticates.filter((old) => old !== sa);
        if (other.reauthenticates.length > 0) continue;
        other.terminate('the peer has taken the connection down');
      }
    }
    this.retryLater(connection);
  }

  /** Tries again in some time, where something is missing that is to be kept up. */
  retryLater(connection: string): void {
    if (this.#stopping || this.#underWay(connection) !== undefined) return;
    if (this.#isComplete(connection)) return;
    const delay = this.#keeper.nextDelay(connection);
    if (delay === undefined) return;
    this.#core.emit({ type: 'start-timer', timer: `reconnect/${connection}`, delay });
  }

  /** It is time for the next attempt. */
  retry(connection: string): void {
    for (const child of this.#keeper.wants(connection)) this.initiate(connection, child);
  }

  /** The connection is to be kept up no more. */
  release(connection: string): void {
    this.#keeper.release(connection);
    this.#cancelRetry(connection);
  }

  /** Nothing is attempted any more. */
  stop(): void {
    this.#stopping = true;
    for (const name of this.#keeper.releaseAll()) this.#cancelRetry(name);
  }

  #cancelRetry(connection: string): void {
    this.#core.emit({ type: 'cancel-timer', timer: `reconnect/${connection}` });
  }

  #underWay(connection: string): IkeSa | undefined {
    return this.#sas.of(connection).find(({ state }) => isUnderWay(state));
  }

  /** Whether the connection has all Child SAs that it is to be kept up with. */
  #isComplete(connection: string): boolean {
    return [...this.#keeper.wants(connection)].every((child) =>
      this.#sas.hasChild(connection, child),
    );
  }

  #failed(connection: string, notify: string, explanation: string): void {
    this.#core.log('warn', `${connection}: ${explanation}`);
    this.#core.emit({ type: 'failed', connection, notify, explanation });
  }
}
