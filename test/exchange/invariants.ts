/**
 * What has to hold after every step of a simulated session, whatever the network does:
 *
 * - a message ID is never used for two contents (RFC 7296 §2.1, §2.2), nor is a fragment's number
 *   for two, unless the message goes in more fragments than before (RFC 7383 §2.5.2);
 * - both ends of a Child SA hold the same keys, algorithms and selectors;
 * - once the tunnels are up, each side always has one outbound SA for each policy that it has Child
 *   SAs for, and what it sends on that SA the other side can read, at once and as long as it may
 *   be on its way (§2.8);
 * - the selectors of a Child SA are inside the policies of both sides (§2.9);
 * - an IKE SA is established only by an IKE_AUTH message that its peer has sent and nobody has
 *   changed, or by rekeying one that was, and no Child SA is installed before (§2.15).
 */

import { isNarrowed, sameSelectors } from '../../src/policy/narrow.js';
import type { EspSpi } from '../../src/sad/sad.js';
import {
  decodeMessage,
  EXCHANGE,
  encryptedPart,
  type IkeSpi,
  PAYLOAD,
  peekHeader,
} from '../../src/wire/index.js';
import type { Network } from './network.js';
import type { Datagram, Installed, Peer } from './peer.js';
import type { End, Tunnel } from './tunnels.js';

const WHOLE = { number: 1, total: 1 };

/** Longest that a packet is on its way. */
const FLIGHT_MS = 2_000;

/** What a gateway sends a policy's packets on, and what it has sent them on shortly before. */
interface Flow {
  outboundSpi: EspSpi;
  /** Until when packets on their way may still arrive. */
  readonly before: Map<EspSpi, number>;
}

export class Invariants {
  /** The first that did not hold. */
  broken: string | undefined;
  #flowing = false;
  /** By gateway and policy. */
  readonly #flows = new Map<string, Flow>();
  readonly #network: Network;
  readonly #tunnels: readonly Tunnel[];
  readonly #contents = new Map<string, Uint8Array>();
  /** In how many fragments each message has gone last. */
  readonly #totals = new Map<string, number>();
  /** Protected messages as they were sent; one that was corrupted on the way is none of them. */
  readonly #sent = new WeakSet<Uint8Array>();
  /** Local SPIs on which a peer has sent IKE_AUTH to a gateway, and those that it authenticates. */
  readonly #proofs = new WeakMap<Peer, Set<IkeSpi>>();
  readonly #proved = new WeakMap<Peer, Set<IkeSpi>>();
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
  }

  #fail(problem: string): void {
    this.broken ??= `${(this.#network.now / 1000).toFixed(3)} s: ${problem}`;
  }

  #checkContent({ data }: Datagram): void {
    const header = peekHeader(data);
    // In clear there are IKE_SA_INIT, which a COOKIE or another group changes under the same
    // message ID (§2.6, §2.7), and answers to who belongs to no IKE SA (§2.21.4).
    if (header === undefined) return;
    if (data[16] !== PAYLOAD.SK && data[16] !== PAYLOAD.SKF) return;
    this.#sent.add(data);
    const { initiatorSpi, responderSpi, initiator, response, messageId } = header;
    const message = `${initiatorSpi} ${responderSpi} ${initiator} ${response} ${messageId}`;
    const { number, total } = fragmentOf(data);
    if (total < (this.#totals.get(message) ?? 0)) this.#fail(`fewer fragments of ${message}`);
    this.#totals.set(message, total);
    const name = `${message}, ${number} of ${total}`;
    const before = this.#contents.get(name);
    if (before === undefined) this.#contents.set(name, data);
    else if (Buffer.compare(before, data) !== 0) this.#fail(`two contents of message ${name}`);
  }

  #noteProof(to: Peer, data: Uint8Array): void {
    const header = peekHeader(data);
    if (header?.exchangeType !== EXCHANGE.IKE_AUTH || !this.#sent.has(data)) return;
    this.#setOf(this.#proofs, to).add(header.response ? header.initiatorSpi : header.responderSpi);
  }

  #setOf(sets: WeakMap<Peer, Set<IkeSpi>>, peer: Peer): Set<IkeSpi> {
    const found = sets.get(peer) ?? new Set();
    sets.set(peer, found);
    return found;
  }

  #check(): void {
    for (const peer of this.#network.peers) this.#checkProofs(peer);
    for (const { ends } of this.#tunnels) {
      const [one, other] = ends;
      this.#checkEnd(one, other);
      this.#checkEnd(other, one);
    }
  }

  #checkProofs(peer: Peer): void {
    const proved = this.#setOf(this.#proved, peer);
    if (proved.size === peer.established.length) return;
    for (const { ikeSpi, replaces } of peer.established.slice(proved.size)) {
      const good =
        replaces === undefined ? this.#proofs.get(peer)?.has(ikeSpi) : proved.has(replaces);
      if (good !== true) this.#fail(`${peer.name} has an IKE SA without AUTH`);
      proved.add(ikeSpi);
    }
  }

  #checkEnd(end: End, otherEnd: End): void {
    const [own, other] = [this.#network.peer(end.side), this.#network.peer(otherEnd.side)];
    for (const child of own.installed.values()) {
      if (policyOf(end, child) !== undefined) this.#checkChild(end, own, other, child);
    }
    if (this.#flowing) this.#checkFlow(end, own, other);
  }

  #checkChild(end: End, own: Peer, other: Peer, child: Installed): void {
    if (this.#seen.has(child)) return;
    const counterpart = other.installed.get(child.outboundSpi);
    if (counterpart === undefined) return;
    this.#seen.add(child);
    if (!isCounterpart(child, counterpart)) this.#fail('the two ends of a Child SA differ');
    const { name } = end.connection;
    if (!own.established.some(({ connection }) => connection === name)) {
      this.#fail(`${own.name} has a Child SA without AUTH`);
    }
    const { localSelectors, remoteSelectors } = policyOf(end, child)!;
    if (!isNarrowed(selectorsOf(child), { tsi: localSelectors, tsr: remoteSelectors })) {
      this.#fail(`${own.name} has selectors beyond its policy`);
    }
  }

  #checkFlow({ connection }: End, from: Peer, to: Peer): void {
    for (const { name } of connection.children) {
      const policy = `${connection.name}/${name}`;
      const sending = from.sending(policy);
      if (sending === undefined) this.#fail(`${from.name} has nothing to send on for ${policy}`);
      else this.#checkArrival(`${from.name} for ${policy}`, sending.outboundSpi, to);
    }
  }

  #checkArrival(name: string, outboundSpi: EspSpi, to: Peer): void {
    const { now } = this.#network;
    const flow = this.#flows.get(name) ?? { outboundSpi, before: new Map() };
    if (flow.outboundSpi !== outboundSpi) flow.before.set(flow.outboundSpi, now + FLIGHT_MS);
    flow.outboundSpi = outboundSpi;
    this.#flows.set(name, flow);
    if (!to.installed.has(outboundSpi)) this.#fail(`${to.name} cannot read what sends ${name}`);
    for (const [spi, until] of flow.before) {
      if (until < now) flow.before.delete(spi);
      else if (!to.installed.has(spi)) this.#fail(`${to.name} reads no more what sent ${name}`);
    }
  }
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
    other.esn === one.esn &&
    other.encryption === one.encryption &&
    other.keyBits === one.keyBits &&
    sameSelectors(selectorsOf(one), {
      tsi: other.remoteSelectors,
      tsr: other.localSelectors,
    })
  );
}
