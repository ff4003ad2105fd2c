/**
 * What has to hold after every step of a simulated session, whatever the network does:
 *
 * - a message ID is never used for two contents (RFC 7296 §2.1, §2.2), nor is a fragment's number
 *   for two, unless the message goes in more fragments than before (RFC 7383 §2.5.2);
 * - both ends of a Child SA hold the same keys, algorithms and selectors;
 * - once the tunnels are up, each side always has one outbound SA for each policy that it has Child
 *   SAs for, and for each sender that may have its own (RFC 9611), and what it sends on that SA the
 *   other side can read, at once and as long as it may be on its way (§2.8);
 * - none of a group of Child SAs has other algorithms than another (RFC 9611);
 * - the selectors of a Child SA are inside the policies of both sides (§2.9);
 * - no protected message is in a datagram that is longer than configured (RFC 7383 §2.5);
 * - a gateway that has restarted and says so is taken to have forgotten all (§2.4);
 * - an IKE SA is established only by an IKE_AUTH message that its peer has sent and nobody has
 *   changed, or by rekeying one that was, and no Child SA is installed before (§2.15).
 */

import type { IkeSaView } from '../../../src/ike/event.js';
import { describeMessage } from '../../../src/ike/messages/payloads.js';
import { DEFAULT_FRAGMENT_BYTES } from '../../../src/policy/connection.js';
import { isNarrowed, sameSelectors } from '../../../src/policy/narrow.js';
import type { EspSpi } from '../../../src/sad/sad.js';
import {
  decodeMessage,
  EXCHANGE,
  encryptedPart,
  type IkeSpi,
  PAYLOAD,
  peekHeader,
} from '../../../src/wire/index.js';
import { ipBytes, type Network } from '../harness/network.js';
import type { Datagram, Installed, Peer, Side } from '../harness/peer.js';
import { sideAt } from '../harness/places.js';
import type { End, Tunnel } from './tunnels.js';

const WHOLE = { number: 1, total: 1 };

/** All of a gateway, and each. */
const SENDERS = [undefined, 0, 1];

/** Longest that a packet is on its way. */
const FLIGHT_MS = 2_000;

/** What one sender of a gateway, or all of it, sends a policy's packets on. */
interface Flow {
  readonly policy: string;
  readonly sender: number | undefined;
  /** Undefined: not looked at yet. */
  outboundSpi: EspSpi | undefined;
  /** What it has sent them on shortly before, and until when packets on their way may arrive. */
  readonly before: Map<EspSpi, number>;
}

/** A message in the fragments in which it has gone last. */
interface Sent {
  readonly total: number;
  /** By their number. */
  readonly fragments: Map<number, Uint8Array>;
}

/** What is known of a gateway from its start on; IKE SAs by their local SPIs. */
class Known {
  /** On which a peer has sent IKE_AUTH to it. */
  readonly proofs = new Set<IkeSpi>();
  /** Those that it has authenticated. */
  readonly proved = new Set<IkeSpi>();
  /** That their other end has forgotten. */
  readonly forgotten = new Set<IkeSpi>();
  /** The changes that have been checked. */
  checked = -1;
}

export class Invariants {
  /** The first that did not hold. */
  broken: string | undefined;
  #flowing = false;
  readonly #flows = new Map<End, readonly Flow[]>();
  readonly #network: Network;
  readonly #tunnels: readonly Tunnel[];
  /** By whose message it is, and which. */
  readonly #messages = new Map<string, Sent>();
  /** IKE_AUTH as it was sent; one that was corrupted on the way is none of them. */
  readonly #auths = new Set<Uint8Array>();
  readonly #known = new Map<Peer, Known>();
  readonly #seen = new Set<Installed>();

  constructor(network: Network, tunnels: readonly Tunnel[]) {
    this.#network = network;
    this.#tunnels = tunnels;
    network.onSent = (datagram) => this.#checkContent(datagram);
    network.onArrival = (to, data) => this.#noteProof(to, data);
    network.onStep = () => this.#check();
  }

  /** The tunnels are up and nobody has asked for their end. */
  set flowing(flowing: boolean) {
    this.#flowing = flowing;
    this.#flows.clear();
    for (const known of this.#known.values()) known.checked = -1;
  }

  /** The gateway is about to restart: all that others have with it is dead. */
  forgets(side: Side): void {
    for (const { ends } of this.#tunnels) {
      const [one, other] = ends;
      if (one.side === side) this.#noteForgotten(other);
      else if (other.side === side) this.#noteForgotten(one);
    }
  }

  #noteForgotten({ side, connection: { name } }: End): void {
    const peer = this.#network.peer(side);
    const { forgotten } = this.#knownOf(peer);
    for (const sa of peer.ikeSas()) {
      if (sa.connection === name && sa.state === 'established') forgotten.add(localSpiOf(sa));
    }
  }

  #fail(problem: string): void {
    this.broken ??= `${(this.#network.now / 1000).toFixed(3)} s: ${problem}`;
  }

  #checkContent(datagram: Datagram): void {
    const { data } = datagram;
    // In clear there are IKE_SA_INIT, which a COOKIE or another group changes under the same
    // message ID (§2.6, §2.7), and answers to who belongs to no IKE SA (§2.21.4).
    if (data[16] !== PAYLOAD.SK && data[16] !== PAYLOAD.SKF) return;
    if (data[18] === EXCHANGE.IKE_AUTH) this.#auths.add(data);
    // A bit that is turned over in IKE_SA_INIT may be the one that says who can do fragments.
    if (this.#network.weather.corruption === 0) this.#checkLength(datagram);
    const { number, total } = fragmentOf(data);
    const { fragments } = this.#sentAs(nameOf(data), total, data);
    const before = fragments.get(number);
    if (before === undefined) fragments.set(number, data);
    else if (Buffer.compare(before, data) !== 0) this.#fail(`two contents of ${titleOf(data)}`);
  }

  #sentAs(name: string, total: number, data: Uint8Array): Sent {
    const before = this.#messages.get(name);
    if (before?.total === total) return before;
    if (before !== undefined && total < before.total) {
      this.#fail(`fewer fragments of ${titleOf(data)}`);
    }
    const sent = { total, fragments: new Map() };
    this.#messages.set(name, sent);
    return sent;
  }

  #checkLength(datagram: Datagram): void {
    const { local, remote, data } = datagram;
    const [from, to] = [sideAt(local.address), sideAt(remote.address)];
    const end = this.#endOf(from, to);
    // A responder knows of its configuration when it knows who the peer is.
    const most =
      data[18] === EXCHANGE.IKE_INTERMEDIATE
        ? DEFAULT_FRAGMENT_BYTES
        : end.connection.fragmentBytes;
    if (ipBytes(datagram) > most) this.#fail(`${titleOf(data)} is longer than ${most} bytes`);
  }

  #endOf(from: Side, to: Side): End {
    for (const { ends } of this.#tunnels) {
      const [one, other] = ends;
      if (one.side === from && other.side === to) return one;
      if (one.side === to && other.side === from) return other;
    }
    throw new Error(`there is no tunnel between ${from} and ${to}`);
  }

  #noteProof(to: Peer, data: Uint8Array): void {
    if (data[18] !== EXCHANGE.IKE_AUTH || !this.#auths.has(data)) return;
    const header = peekHeader(data)!;
    const { proofs } = this.#knownOf(to);
    proofs.add(header.response ? header.initiatorSpi : header.responderSpi);
  }

  #knownOf(peer: Peer): Known {
    let found = this.#known.get(peer);
    if (found === undefined) {
      found = new Known();
      this.#known.set(peer, found);
    }
    return found;
  }

  #check(): void {
    let changed = false;
    for (const peer of this.#network.peers) {
      const known = this.#knownOf(peer);
      if (known.proved.size < peer.established.length) this.#checkProofs(peer, known);
      if (known.checked === peer.changes) continue;
      known.checked = peer.changes;
      changed = true;
    }
    // What follows is about Child SAs alone.
    if (!changed) return;
    for (const { ends } of this.#tunnels) {
      const [one, other] = ends;
      this.#checkEnd(one, other);
      this.#checkEnd(other, one);
    }
  }

  #checkProofs(peer: Peer, { proofs, proved }: Known): void {
    for (const event of peer.established.slice(proved.size)) {
      const { ikeSpi, replaces, connection, initialContact } = event;
      const good = replaces === undefined ? proofs.has(ikeSpi) : proved.has(replaces);
      if (!good) this.#fail(`${peer.name} has an IKE SA without AUTH`);
      proved.add(ikeSpi);
      if (initialContact) this.#checkForgotten(peer, connection);
    }
  }

  #checkForgotten(peer: Peer, connection: string): void {
    const { forgotten } = this.#knownOf(peer);
    if (forgotten.size === 0) return;
    const left = peer.ikeSas().some((sa) => {
      if (sa.connection !== connection || sa.state !== 'established') return false;
      return forgotten.has(localSpiOf(sa));
    });
    if (left) this.#fail(`${peer.name} has an IKE SA that the other end has forgotten`);
  }

  #checkEnd(end: End, otherEnd: End): void {
    const [own, other] = [this.#network.peer(end.side), this.#network.peer(otherEnd.side)];
    for (const child of own.installed.values()) {
      if (!this.#seen.has(child)) this.#checkChild(end, own, other, child);
    }
    if (this.#flowing) this.#checkFlow(end, own, other);
  }

  #checkChild(end: End, own: Peer, other: Peer, child: Installed): void {
    const policy = policyOf(end, child);
    const counterpart = other.installed.get(child.outboundSpi);
    if (policy === undefined || counterpart === undefined) return;
    this.#seen.add(child);
    if (!isCounterpart(child, counterpart)) this.#fail('the two ends of a Child SA differ');
    const { name } = end.connection;
    if (!own.established.some(({ connection }) => connection === name)) {
      this.#fail(`${own.name} has a Child SA without AUTH`);
    }
    const { localSelectors, remoteSelectors } = policy;
    if (!isNarrowed(selectorsOf(child), { tsi: localSelectors, tsr: remoteSelectors })) {
      this.#fail(`${own.name} has selectors beyond its policy`);
    }
  }

  #checkFlow(end: End, from: Peer, to: Peer): void {
    for (const flow of this.#flowsOf(end)) {
      const sending = from.sending(flow.policy, flow.sender);
      if (sending === undefined) this.#fail(`${senderOf(end, flow)} has nothing to send on`);
      else this.#checkArrival(end, flow, sending.outboundSpi, to);
    }
    this.#checkGroups(from);
  }

  #flowsOf(end: End): readonly Flow[] {
    let found = this.#flows.get(end);
    if (found === undefined) {
      found = flowsOf(end);
      this.#flows.set(end, found);
    }
    return found;
  }

  /** Those for single senders are like one of the same selectors that is for all, or was. */
  #checkGroups(peer: Peer): void {
    let kinds: Map<string, string> | undefined;
    for (const child of peer.installed.values()) {
      if (child.resource === undefined) continue;
      const { policy, protocol, mode, encryption, keyBits, integrity, esn } = child;
      const kind = [protocol, mode, encryption, keyBits, integrity, esn].join();
      const group = `${policy} ${JSON.stringify(selectorsOf(child))}`;
      kinds ??= new Map();
      if ((kinds.get(group) ?? kind) !== kind) this.#fail(`${peer.name} has a group of two kinds`);
      kinds.set(group, kind);
    }
  }

  #checkArrival(end: End, flow: Flow, outboundSpi: EspSpi, to: Peer): void {
    const { now } = this.#network;
    const { outboundSpi: last, before } = flow;
    if (last !== undefined && last !== outboundSpi) before.set(last, now + FLIGHT_MS);
    flow.outboundSpi = outboundSpi;
    if (!to.installed.has(outboundSpi)) {
      this.#fail(`${to.name} cannot read what ${senderOf(end, flow)} sends`);
    }
    for (const [spi, until] of before) {
      if (until < now) before.delete(spi);
      else if (!to.installed.has(spi)) {
        this.#fail(`${to.name} reads no more what ${senderOf(end, flow)} has sent`);
      }
    }
  }
}

function flowsOf({ connection }: End): Flow[] {
  return connection.children.flatMap(({ name, perResource }) =>
    (perResource === undefined ? [undefined] : SENDERS).map((sender) => ({
      policy: `${connection.name}/${name}`,
      sender,
      outboundSpi: undefined,
      before: new Map(),
    })),
  );
}

/** Such as `a, sender 1, for site/net`. */
function senderOf({ side }: End, { policy, sender }: Flow): string {
  return sender === undefined
    ? `${side} for ${policy}`
    : `${side}, sender ${sender}, for ${policy}`;
}

function localSpiOf({ role, initiatorSpi, responderSpi }: IkeSaView): IkeSpi {
  return role === 'initiator' ? initiatorSpi : responderSpi;
}

/** Whose message it is, and which: SPIs, the flags and the message ID of the header (§3.1). */
function nameOf(data: Uint8Array): string {
  const header = Buffer.from(data.buffer, data.byteOffset, 24);
  return header.toString('latin1', 0, 16) + header.toString('latin1', 19);
}

function titleOf(data: Uint8Array): string {
  const { exchangeType, response, messageId } = peekHeader(data)!;
  return describeMessage(exchangeType, response, messageId);
}

function fragmentOf(data: Uint8Array) {
  if (data[16] !== PAYLOAD.SKF) return WHOLE;
  return encryptedPart(data, decodeMessage(data))?.fragment ?? WHOLE;
}

function policyOf({ connection }: End, { policy }: Installed) {
  return connection.children.find(({ name }) => policy === `${connection.name}/${name}`);
}

function selectorsOf({ localSelectors, remoteSelectors }: Installed) {
  return { tsi: localSelectors, tsr: remoteSelectors };
}

function isCounterpart(one: Installed, other: Installed): boolean {
  return (
    other.inboundKey === one.outboundKey &&
    other.outboundKey === one.inboundKey &&
    other.protocol === one.protocol &&
    other.mode === one.mode &&
    other.esn === one.esn &&
    other.integrity === one.integrity &&
    other.encryption === one.encryption &&
    other.keyBits === one.keyBits &&
    sameSelectors(selectorsOf(one), {
      tsi: other.remoteSelectors,
      tsr: other.localSelectors,
    })
  );
}
