/**
 * The Child SAs of an IKE SA: which there are, in which state, and what of them the dataplane is
 * told (RFC 7296 §1.4.1, §2.8). When an IKE SA is rekeyed, they go to the new one as a whole.
 *
 * A Child SA that another has replaced is not dropped with its last Delete: packets that were on
 * their way are received for a little longer, so that a rekeying loses none.
 */
import { PROTOCOL_ID } from '../../policy/algorithm.js';
import type { ChildPolicy } from '../../policy/connection.js';
import type { SelectorPair } from '../../policy/narrow.js';
import { formatSuite } from '../../policy/suite.js';
import {
  type ChildSa,
  type Endpoint,
  type EspSpi,
  sameEndpoint,
  sameFamily,
} from '../../sad/sad.js';
import type { Core } from '../core.js';
import { isTranslated } from '../path/nat.js';
import type { IkeSa } from '../sa/ike-sa.js';
import { shortened } from '../sa/lifetime.js';
import { type ChildState, childTransition } from '../sa/state.js';
import { deleteChild } from '../tasks/delete.js';
import { rekeyChild } from './child-procedures.js';
import { type ChildOrigin, espSpiText, type InstalledChild, pairOf } from './child-sa.js';
import { isOfResource, partInDataplane } from './resources.js';

type Mutable<T> = { -readonly [K in keyof T]: T[K] };
type Entry = Mutable<InstalledChild> & {
  readonly timers: Set<ChildTimerKind>;
  /** Message ID of the response that has told the peer of it; undefined: not yet. */
  answeredIn: number | undefined;
  /** What the peer has made in its place. */
  successor: InstalledChild | undefined;
};

/**
 * Of a Child SA: it is to be rekeyed, it ends, it is used although the peer has given no sign, and
 * the peer should have deleted it by now.
 */
export type ChildTimerKind = 'child-rekey' | 'child-end' | 'child-switch' | 'child-replaced';

export class Children implements Iterable<InstalledChild> {
  readonly #core: Core;
  readonly #entries = new Map<EspSpi, Entry>();
  /** Of groups: for how many single resources the peer makes Child SAs at most (RFC 9611). */
  readonly #limits = new Map<string, number>();
  #owner: IkeSa;

  constructor(core: Core, owner: IkeSa) {
    this.#core = core;
    this.#owner = owner;
  }

  /** The IKE SA that they belong to. */
  get owner(): IkeSa {
    return this.#owner;
  }

  get size(): number {
    return this.#entries.size;
  }

  [Symbol.iterator](): Iterator<InstalledChild> {
    return [...this.#entries.values()][Symbol.iterator]();
  }

  /** The selectors of those of a policy that are for all senders, and stay. */
  selectorsOf({ name }: ChildPolicy): SelectorPair[] {
    return [...this]
      .filter((child) => child.policy.name === name && child.state !== 'deleting')
      .filter((child) => !isOfResource(child))
      .map(pairOf);
  }

  /** Whether it is still there. */
  has(child: InstalledChild): boolean {
    return this.#entries.get(child.sa.inboundSpi) === child;
  }

  byInbound(spi: EspSpi): InstalledChild | undefined {
    return this.#entries.get(spi);
  }

  /** The one that the peer calls by this protocol and SPI, its inbound one. */
  byOutbound(protocolId: number, spi: EspSpi | undefined): InstalledChild | undefined {
    return [...this.#entries.values()].find(
      ({ sa }) => sa.outboundSpi === spi && PROTOCOL_ID[sa.protocol] === protocolId,
    );
  }

  install(made: ChildSa, origin: ChildOrigin): InstalledChild {
    const { policy, suite, role, lowestNonce, standby, known, group } = origin;
    const sa = { ...made, ...partInDataplane(this.#core, group) };
    const { inboundKey: _in, outboundKey: _out, ...withoutKeys } = sa;
    const entry: Entry = {
      policy,
      suite,
      role,
      lowestNonce,
      standby,
      known,
      group,
      sa: withoutKeys,
      installedAt: this.#core.now,
      state: 'installed',
      confirmed: known && (role === 'initiator' || !standby),
      postponed: 0,
      failed: 0,
      rival: undefined,
      twin: undefined,
      answeredIn: undefined,
      successor: undefined,
      timers: new Set(),
    };
    this.#entries.set(sa.inboundSpi, entry);
    this.#core.childIsOf(sa.inboundSpi, this);
    this.#owner.log('info', () => {
      const spis = `${espSpiText(sa.inboundSpi)} in, ${espSpiText(sa.outboundSpi)} out`;
      const whose = group?.resource === undefined ? '' : ` for resource ${group.resource}`;
      return `Child SA ${sa.policy}${whose} installed: SPI ${spis}, ${formatSuite(suite)}`;
    });
    this.#core.emit({ type: 'install-child', sa, standby });
    if (!entry.confirmed) this.startTimer(entry, 'child-switch', this.#core.options.switchDelay);
    const { rekeySeconds, endSeconds } = policy.lifetime;
    if (rekeySeconds > 0) {
      this.startTimer(entry, 'child-rekey', shortened(this.#core, rekeySeconds));
    }
    if (endSeconds > 0) this.startTimer(entry, 'child-end', endSeconds * 1000);
    return entry;
  }

  move(child: InstalledChild, to: ChildState): void {
    const { story } = childTransition(child.state, to);
    const { state: from } = child;
    this.#owner.log(
      'debug',
      () => `Child SA ${espSpiText(child.sa.inboundSpi)}, ${from} -> ${to}: ${story}`,
    );
    const entry = this.#entry(child);
    entry.state = to;
    if (to === 'replaced') {
      this.stopTimer(entry, 'child-rekey');
      this.startTimer(entry, 'child-replaced', this.#core.options.replacedTimeout);
    }
  }

  /** For how many single resources the peer makes Child SAs of a group, as far as is known. */
  mostOf(group: string): number {
    return this.#limits.get(group) ?? Number.POSITIVE_INFINITY;
  }

  /** The peer makes no more than so many. */
  limit(group: string, most: number): void {
    this.#limits.set(group, most);
  }

  /** Another takes its place. */
  tellRekeyed({ policy }: InstalledChild): void {
    const connection = this.#owner.connection!.name;
    this.#core.emit({ type: 'child-rekeyed', connection, child: policy.name });
  }

  /** The peer has made that in its place. */
  setSuccessor(child: InstalledChild, successor: InstalledChild): void {
    this.#entry(child).successor = successor;
  }

  /** The peer deletes it: what it has made in its place it has, whatever else is on its way. */
  deletedByPeer(child: InstalledChild): void {
    const { successor } = this.#entry(child);
    if (successor !== undefined && this.has(successor)) this.confirm(successor);
  }

  /** The peer has rekeyed it while our rekeying of it is under way (§2.8.1). */
  setRival(child: InstalledChild, rival: InstalledChild): void {
    this.#entry(child).rival = rival;
  }

  /** The peer has asked for the same as we have, before it knew; ours goes when this is confirmed. */
  setTwin(child: InstalledChild, twin: InstalledChild): void {
    this.#entry(child).twin = twin;
  }

  /** Its rekeying was put off by the peer, or has failed; how often that has. */
  notRekeyed(child: InstalledChild, why: 'postponed' | 'failed'): number {
    return ++this.#entry(child)[why];
  }

  /** The response with this message ID has told the peer of what is new. */
  answeredIn(messageId: number): void {
    for (const entry of this.#entries.values()) {
      if (!entry.confirmed) entry.answeredIn ??= messageId;
    }
  }

  /**
   * The peer has our responses up to a message ID: all that they have told it of as responder it is
   * ready to receive on (§2.8).
   */
  peerIsReady(messageId: number): void {
    for (const entry of this.#entries.values()) {
      if (entry.answeredIn !== undefined && entry.answeredIn <= messageId) this.confirm(entry);
    }
  }

  /** The peer has the IKE SA, and with it what came with IKE_AUTH. */
  peerIsEstablished(): void {
    for (const entry of this.#entries.values()) if (entry.known) this.confirm(entry);
  }

  /** The peer has shown that it has it, or has had enough time to. */
  confirm(child: InstalledChild): void {
    if (child.confirmed) return;
    const entry = this.#entry(child);
    entry.confirmed = true;
    this.stopTimer(entry, 'child-switch');
    // What has lost against another, or is on its way out, is not to be sent on.
    if (!entry.standby || !this.#isToBeSentOn(entry)) return;
    entry.standby = false;
    this.#core.emit({ type: 'prefer-child', inboundSpi: child.sa.inboundSpi });
    const { twin } = entry;
    if (twin === undefined || !this.has(twin) || twin.state !== 'installed') return;
    deleteChild(this.#owner, this.#core, twin, 'both sides have asked for it at once');
  }

  /** Also where the peer has rekeyed it, as long as the one in its place is not known to be there. */
  #isToBeSentOn({ state, successor }: Entry): boolean {
    if (state !== 'replaced') return state === 'installed' || state === 'rekeying';
    return successor !== undefined && this.has(successor) && !successor.confirmed;
  }

  /**
   * The peer asks again for the response that tells it of new SAs: it does not have them yet. A peer
   * does so for some minutes; whoever is on the way, with its request, for ever.
   */
  peerIsNotReady(): void {
    const { now, options } = this.#core;
    for (const entry of this.#entries.values()) {
      if (entry.confirmed || now - entry.installedAt > options.replacedTimeout) continue;
      this.startTimer(entry, 'child-switch', options.switchDelay);
    }
  }

  /** Another serves in its place: nothing is sent on it any more. */
  retire(child: InstalledChild): void {
    const entry = this.#entry(child);
    entry.standby = false;
    this.#core.emit({ type: 'retire-child', inboundSpi: child.sa.inboundSpi });
  }

  /** It is gone for the peer; what was on its way is received until the drain time is over. */
  drain(child: InstalledChild, reason: string): void {
    this.retire(child);
    this.#forget(child, reason);
    this.#core.drain(child.sa.inboundSpi, reason);
  }

  remove(child: InstalledChild, reason: string): void {
    this.#forget(child, reason);
    this.#core.emit({ type: 'remove-child', inboundSpi: child.sa.inboundSpi, reason });
  }

  /**
   * Nothing is sent on them any more. Where others serve, as after a reauthentication (§2.8.3), the
   * peer may send until it gets our Delete.
   */
  retireAll(reason: string): void {
    for (const child of this) {
      if (this.#isServedElsewhere(child)) this.retire(child);
      else this.remove(child, reason);
    }
  }

  /** @param drains  where others serve, what is on its way is still received */
  removeAll(reason: string, drains: boolean): void {
    for (const child of this) {
      if (drains && this.#isServedElsewhere(child)) this.drain(child, reason);
      else this.remove(child, reason);
    }
  }

  #isServedElsewhere({ policy }: InstalledChild): boolean {
    const connection = this.#owner.connection?.name ?? '';
    return this.#core.hasChild(connection, policy.name, this.#owner);
  }

  /**
   * The ends of the path are others now (§2.23, RFC 4555 §3.5), or there is a NAT on it that was not
   * there before, or none any more; `owner.nat` says so already. Packets go the new way at once.
   * Where that cannot be, which is in transport mode and where the form of the packets changes, the
   * Child SA is rekeyed between the new ends.
   */
  moveTo(local: Endpoint, remote: Endpoint): void {
    for (const entry of this.#entries.values()) {
      const { sa } = entry;
      const isThere = sameEndpoint(sa.local, local) && sameEndpoint(sa.remote, remote);
      const sameForm =
        sa.udpEncapsulation === isTranslated(this.#owner.nat) && sameFamily(sa.remote, remote);
      if (isThere && sameForm) continue;
      if (!sameForm || sa.mode === 'transport') {
        rekeyChild(this.#owner, this.#core, entry);
        continue;
      }
      entry.sa = { ...sa, local, remote };
      this.#core.emit({ type: 'move-child', inboundSpi: sa.inboundSpi, local, remote });
    }
  }

  /** The IKE SA is rekeyed (§2.8): all of them belong to the new one. */
  handTo(owner: IkeSa): void {
    this.#owner = owner;
    // Whatever comes on that one comes after the responses on the old one.
    for (const entry of this.#entries.values()) {
      if (entry.answeredIn !== undefined) entry.answeredIn = -1;
    }
  }

  startTimer(child: InstalledChild, kind: ChildTimerKind, delay: number): void {
    this.#entry(child).timers.add(kind);
    this.#core.emit({ type: 'start-timer', timer: `${kind}/${child.sa.inboundSpi}`, delay });
  }

  stopTimer(child: InstalledChild, kind: ChildTimerKind): void {
    if (!this.#entry(child).timers.delete(kind)) return;
    this.#core.emit({ type: 'cancel-timer', timer: `${kind}/${child.sa.inboundSpi}` });
  }

  /** The Child SA whose timer has run out; undefined where it was stopped on the way. */
  timer(kind: ChildTimerKind, inboundSpi: EspSpi): InstalledChild | undefined {
    const entry = this.#entries.get(inboundSpi);
    return entry?.timers.delete(kind) ? entry : undefined;
  }

  #forget(child: InstalledChild, reason: string): void {
    const entry = this.#entry(child);
    const { inboundSpi } = child.sa;
    for (const kind of [...entry.timers]) this.stopTimer(entry, kind);
    this.#entries.delete(inboundSpi);
    this.#core.childIsOf(inboundSpi, undefined);
    this.#owner.log('info', () => `Child SA ${espSpiText(inboundSpi)} removed: ${reason}`);
  }

  #entry(child: InstalledChild): Entry {
    const entry = this.#entries.get(child.sa.inboundSpi);
    if (entry === undefined) throw new Error('the Child SA is not of this IKE SA');
    return entry;
  }
}
