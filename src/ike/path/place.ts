/**
 * Where the two ends of an IKE SA are, and what lies between them (RFC 7296 §2.11, §2.23, RFC 4555):
 * how that changes, and that the Child SAs go along.
 */
import { type Endpoint, sameEndpoint } from '../../sad/sad.js';
import type { Payload, PeekedHeader } from '../../wire/index.js';
import type { Core } from '../core.js';
import { formatEndpoint } from '../explain.js';
import { sameOctets } from '../messages/window.js';
import type { IkeSa } from '../sa/ike-sa.js';
import { ReturnRoutability, UpdateAddresses } from '../tasks/mobility.js';
import type { Task } from '../tasks/task.js';
import type { Mobility } from './mobility.js';
import { fakeSource, type NatSituation, NO_NAT, natDetection, seenAs } from './nat.js';
import type { Path, Paths } from './paths.js';

export class Place implements Path {
  readonly #sa: IkeSa;
  readonly #core: Core;
  local: Endpoint;
  remote: Endpoint;
  nat: NatSituation = NO_NAT;
  /** Who of the two may move; undefined: MOBIKE was not negotiated. */
  mobility: Mobility | undefined;
  /** Of a mover: the ways that there are to its peer. */
  paths: Paths | undefined;
  /** The peer has told of its move while this IKE SA was a rival. */
  isUnproved = false;
  /** The message ID of the newest request by which the peer has moved. */
  #newestMove = -1;
  /** Of the newest authentic request; and where the peer was before a NAT showed it elsewhere. */
  #newestRequest = -1;
  #left: Endpoint | undefined;
  /** Our own end has moved while there was no telling the peer: it was being set up, or a rival. */
  #isUntold = false;
  /** Where the peer was told that we are, in its own words (`seenAs`). */
  #toldAs: Uint8Array | undefined;

  constructor(sa: IkeSa, core: Core, { local, remote }: Path) {
    this.#sa = sa;
    this.#core = core;
    this.local = local;
    this.remote = remote;
  }

  /** What rekeying has made is where the old one is. */
  inherit({ nat, mobility, paths }: Place): void {
    this.nat = nat;
    this.mobility = mobility;
    this.paths = paths;
  }

  /** An authentic message has come this way. */
  heard({ local, remote }: Path, header: PeekedHeader): void {
    const isNewest = this.#isNewest(header);
    if (this.paths?.isSearching === true) this.#found({ local, remote });
    // The move to port 4500 is taken along by whoever is behind a NAT, too.
    else if (this.#sa.state.name === 'half-open') this.moveTo(local, remote);
    else if (this.#followsIke && (isNewest || !this.#hasLeft(remote))) this.#follow(local, remote);
  }

  /**
   * Authentic ESP has come from there, in UDP: for a NAT it is the same flow as IKE (§2.23). That is
   * heeded with MOBIKE too, as RFC 4555 §3.8 allows.
   */
  heardEsp(remote: Endpoint): void {
    if (this.#followsPeer) this.#follow(this.local, remote);
  }

  #follow(local: Endpoint, remote: Endpoint): void {
    if (!sameEndpoint(this.remote, remote)) this.#left = this.remote;
    this.moveTo(local, remote);
  }

  /** Whether it is a request that the peer has made after all others of which we know. */
  #isNewest({ response, messageId }: PeekedHeader): boolean {
    if (response || messageId <= this.#newestRequest) return false;
    this.#newestRequest = messageId;
    return true;
  }

  /** §2.23: only what is new may say so, and what comes from there may have been long on its way. */
  #hasLeft(remote: Endpoint): boolean {
    return this.#left !== undefined && sameEndpoint(this.#left, remote);
  }

  /** §2.23: a host that is itself behind a NAT must not follow; where there is none, nobody has to. */
  get #followsPeer(): boolean {
    return this.nat.remote && !this.nat.local;
  }

  /** RFC 4555 §3.8: a mover says itself where it is; what else it sends may be to try a path. */
  get #followsIke(): boolean {
    return this.#followsPeer && this.mobility === undefined;
  }

  /** All that goes to the peer goes between these ends from now on, Child SAs included. */
  moveTo(local: Endpoint, remote: Endpoint): void {
    if (sameEndpoint(this.remote, remote) && sameEndpoint(this.local, local)) return;
    const sa = this.#sa;
    const places = `${formatEndpoint(remote)} now, was ${formatEndpoint(this.remote)}`;
    sa.log(sa.state.name === 'half-open' ? 'debug' : 'info', `the peer is at ${places}`);
    this.local = local;
    this.remote = remote;
    this.#moveChildren();
  }

  /**
   * The peer has moved by the request with this message ID. Where more than one may be on its way, an
   * older one may come after a newer one, and then it says nothing any more (RFC 4555 §3.5).
   * @returns whether it is the newest
   */
  isNewestMove(messageId: number): boolean {
    if (messageId < this.#newestMove) return false;
    this.#newestMove = messageId;
    return true;
  }

  /** Our own end is at another address now (RFC 4555 §3.5): the peer is told, from there. */
  relocate(address: string): void {
    this.#sa.log('info', `our end moves from ${this.local.address} to ${address}`);
    this.local = { ...this.local, address };
    // What is under way may have left from where we are no more.
    this.#sa.sendAgain();
    if (this.#mayTell) this.tellPeer();
    else this.#isUntold = true;
  }

  /** On what the peer has replaced as well: it may wait for our answer to that, where we are no more. */
  get #mayTell(): boolean {
    const { name } = this.#sa.state;
    return name === 'established' || name === 'replaced';
  }

  /**
   * Both have proved themselves. The responder has our end where the first IKE_AUTH request has come
   * from (RFC 4555 §3.3), which may be another than the one that was answered.
   */
  settle(): void {
    if (!this.#isUntold) return;
    this.#isUntold = false;
    if (this.mobility === 'mover') this.tellPeer();
    else this.#core.reauthenticate(this.#sa, 'our end has moved, and the peer knows no MOBIKE');
  }

  // --- a mover behind a NAT (RFC 4555 §3.8) ------------------------------------------------

  /** Answers come to where our requests come from, so that they do not show that the peer finds us. */
  get isToAsk(): boolean {
    const { natTraversal } = this.#sa.connection!;
    return this.mobility === 'mover' && this.nat.local && natTraversal;
  }

  /** Asks the peer where it sees us, in an INFORMATIONAL. */
  ask(): Payload[] {
    if (!this.isToAsk) return [];
    const { forceUdpEncapsulation } = this.#sa.connection!;
    const fake = fakeSource(this.#core, forceUdpEncapsulation);
    return natDetection(this.#sa.spis, this.local, this.remote, fake);
  }

  /** The answer to that: the NAT may have another mapping for us than the peer was told of. */
  answered(payloads: readonly Payload[]): void {
    const seen = seenAs(payloads);
    if (seen === undefined || !this.isToAsk || !this.#mayTell) return;
    const isKnown = this.#toldAs !== undefined && sameOctets(seen, this.#toldAs);
    if (!isKnown) this.tellPeer();
  }

  /** The peer has answered that it knows where we are. */
  told(payloads: readonly Payload[]): void {
    this.#toldAs = seenAs(payloads);
  }

  // --- other ways --------------------------------------------------------------------------

  /** The peer does not answer: the next try goes another way, where there is one (RFC 4555 §3.5). */
  detour(): void {
    const sa = this.#sa;
    if (this.paths === undefined || sa.state.name !== 'established') return;
    const next = this.paths.detour(this, this.#core.ourAddresses(sa.connection!));
    if (next === undefined) return;
    const way = `${formatEndpoint(next.local)} to ${formatEndpoint(next.remote)}`;
    sa.log('info', `no answer from ${formatEndpoint(this.remote)}, the next try goes from ${way}`);
    this.local = next.local;
    this.remote = next.remote;
  }

  /** The peer answers on this way; ESP follows when the peer knows. */
  #found(path: Path): void {
    this.local = path.local;
    this.remote = path.remote;
    if (this.paths!.found(path)) this.tellPeer();
  }

  /** Tells the peer where we are, unless that is under way. */
  tellPeer(): void {
    if (!this.#sa.isAbout(isMove)) this.#sa.requestFirst(new UpdateAddresses(this.#sa, this.#core));
  }

  /** Makes sure that the peer is where it says (RFC 4555 §3.7), unless that is under way. */
  checkPeer(): void {
    if (!this.#sa.isAbout(isMove)) this.#sa.request(new ReturnRoutability(this.#sa, this.#core));
  }

  /** We have moved, and the peer has not answered that it knows. */
  get isTelling(): boolean {
    return this.mobility === 'mover' && this.#sa.isAbout(isMove);
  }

  /**
   * This IKE SA has taken the place of one on which a move was told, or asked about, and is not
   * answered yet: the answer comes to where it is of no use, if it comes. Or the peer has told of its
   * move on this one, before we knew that it takes the place.
   */
  resume(old: IkeSa): void {
    const isOpen = this.isUnproved || this.#isUntold || old.isAbout(isMove);
    if (!isOpen || this.#sa.isAbout(isMove)) return;
    this.isUnproved = false;
    this.#isUntold = false;
    const Move = this.mobility === 'mover' ? UpdateAddresses : ReturnRoutability;
    this.#sa.requestFirst(new Move(this.#sa, this.#core));
  }

  /** Both ends are where they say, with this between them: ESP goes that way (RFC 4555 §3.5). */
  arrive(nat: NatSituation): void {
    const sa = this.#sa;
    this.nat = nat;
    if (sa.state.name !== 'established') return;
    if (nat.local) sa.startTimer('keepalive', this.#core.options.keepaliveInterval);
    else sa.stopTimer('keepalive');
    this.#moveChildren();
  }

  #moveChildren(): void {
    const { children } = this.#sa;
    if (children.owner === this.#sa) children.moveTo(this.local, this.remote);
  }
}

function isMove({ kind }: Task): boolean {
  return kind === 'mobike';
}
