/**
 * What has to hold after every step of a simulated session, whatever the network does:
 *
 * - a message ID is never used for two contents (RFC 7296 §2.1, §2.2), nor is a fragment's number
 *   for two, unless the message goes in more fragments than before (RFC 7383 §2.5.2);
 * - both ends of a Child SA hold the same keys;
 * - once the tunnel is up, each side always has one outbound SA for each policy that it has Child
 *   SAs for, and what it would send on that SA the other side can read at once (§2.8);
 * - the selectors of a Child SA are inside the policies of both sides (§2.9);
 * - no Child SA is installed before the peer has proved who it is (§2.15).
 */

import type { Connection } from '../../src/policy/connection.js';
import { isNarrowed } from '../../src/policy/narrow.js';
import { decodeMessage, encryptedPart, PAYLOAD, peekHeader } from '../../src/wire/index.js';
import type { Network } from './network.js';
import type { Datagram, Installed, Peer } from './peer.js';

const WHOLE = { number: 1, total: 1 };

export class Invariants {
  /** The tunnel is up and nobody has asked for its end. */
  flowing = false;
  /** The first that did not hold. */
  broken: string | undefined;
  readonly #network: Network;
  readonly #connections: Readonly<Record<'a' | 'b', Connection>>;
  readonly #contents = new Map<string, Uint8Array>();
  /** In how many fragments each message has gone last. */
  readonly #totals = new Map<string, number>();
  readonly #seen = new Set<Installed>();

  constructor(network: Network, a: Connection, b: Connection) {
    this.#network = network;
    this.#connections = { a, b };
    network.onSent = (datagram) => this.#checkContent(datagram);
    network.onStep = () => this.#check();
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
    const { initiatorSpi, responderSpi, initiator, response, messageId } = header;
    const message = `${initiatorSpi} ${responderSpi} ${initiator} ${response} ${messageId}`;
    const { number, total } = encryptedPart(data, decodeMessage(data))?.fragment ?? WHOLE;
    if (total < (this.#totals.get(message) ?? 0)) this.#fail(`fewer fragments of ${message}`);
    this.#totals.set(message, total);
    const name = `${message}, ${number} of ${total}`;
    const before = this.#contents.get(name);
    if (before === undefined) this.#contents.set(name, data);
    else if (Buffer.compare(before, data) !== 0) this.#fail(`two contents of message ${name}`);
  }

  #check(): void {
    const { a, b } = this.#network;
    for (const child of a.installed.values()) this.#checkChild(a, b, child);
    for (const child of b.installed.values()) this.#checkChild(b, a, child);
    if (!this.flowing) return;
    this.#checkFlow(a, b);
    this.#checkFlow(b, a);
  }

  #checkChild(own: Peer, other: Peer, child: Installed): void {
    if (this.#seen.has(child)) return;
    const counterpart = other.installed.get(child.outboundSpi);
    if (counterpart === undefined) return;
    this.#seen.add(child);
    const same =
      counterpart.inboundKey === child.outboundKey &&
      counterpart.outboundKey === child.inboundKey &&
      counterpart.esn === child.esn &&
      counterpart.encryption === child.encryption &&
      counterpart.keyBits === child.keyBits;
    if (!same) this.#fail('the two ends of a Child SA differ');
    if (own.established.length === 0) this.#fail(`${own.name} has a Child SA without AUTH`);
    const { children } = this.#connections[own.name as 'a' | 'b'];
    const policy = children.find(({ name }) => child.policy.endsWith(`/${name}`));
    const within =
      policy !== undefined &&
      isNarrowed(
        { tsi: child.localSelectors, tsr: child.remoteSelectors },
        { tsi: policy.localSelectors, tsr: policy.remoteSelectors },
      );
    if (!within) this.#fail(`${own.name} has selectors beyond its policy`);
  }

  #checkFlow(from: Peer, to: Peer): void {
    if (from.outbound.size === 0) this.#fail(`${from.name} has nothing to send on`);
    for (const [policy, [first]] of from.outbound) {
      const sending = first === undefined ? undefined : from.installed.get(first);
      if (sending === undefined) this.#fail(`${from.name} has nothing to send on for ${policy}`);
      else if (!to.installed.has(sending.outboundSpi)) {
        this.#fail(`${from.name} sends for ${policy} what ${to.name} cannot read`);
      }
    }
  }
}
