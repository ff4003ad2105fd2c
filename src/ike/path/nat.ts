/** NAT detection (RFC 7296 §2.23): the notifications of a message, and what a peer's tell. */
import { natDetectionHash } from '../../crypto/auth.js';
import type { Endpoint } from '../../sad/sad.js';
import { type IkeSpi, NOTIFY, type Payload, parseAddress } from '../../wire/index.js';
import type { Core } from '../core.js';
import { notifiesOf, notify, notifyOf } from '../messages/payloads.js';
import { sameOctets } from '../messages/window.js';

export interface NatSituation {
  /** The peer has sent NAT detection, so it can do NAT traversal. */
  readonly supported: boolean;
  /** We are behind a NAT; the peer is behind one. */
  readonly local: boolean;
  readonly remote: boolean;
}

/** With a NAT on the way ESP goes in UDP (§2.23). */
export function isTranslated({ local, remote }: NatSituation): boolean {
  return local || remote;
}

const HASH_OCTETS = 20;

export const NO_NAT: NatSituation = { supported: false, local: false, remote: false };

export interface SpiPair {
  readonly initiatorSpi: IkeSpi;
  readonly responderSpi: IkeSpi;
}

/**
 * NAT_DETECTION_SOURCE_IP and NAT_DETECTION_DESTINATION_IP of a message that we send.
 * @param fake  in the place of the source's hash, so that the peer sees a NAT before us
 */
export function natDetection(
  spis: SpiPair,
  local: Endpoint,
  remote: Endpoint,
  fake: Uint8Array | undefined,
): Payload[] {
  return [
    notify(NOTIFY.NAT_DETECTION_SOURCE_IP, fake ?? hash(spis, local)),
    notify(NOTIFY.NAT_DETECTION_DESTINATION_IP, hash(spis, remote)),
  ];
}

/** Where ESP is to go in UDP whatever lies between: the hash of no source, so to speak. */
export function fakeSource({ environment }: Core, forced: boolean): Uint8Array | undefined {
  return forced ? environment.random(HASH_OCTETS) : undefined;
}

/**
 * What a received message tells; of several source hashes one has to be right.
 * @param forced  the peer is made to see a NAT before us, so that for both there is one
 */
export function detectNat(
  payloads: readonly Payload[],
  spis: SpiPair,
  local: Endpoint,
  remote: Endpoint,
  forced = false,
): NatSituation {
  const sources = notifiesOf(payloads, NOTIFY.NAT_DETECTION_SOURCE_IP);
  const destinations = notifiesOf(payloads, NOTIFY.NAT_DETECTION_DESTINATION_IP);
  if (sources.length === 0 || destinations.length === 0) return NO_NAT;
  const seenRemote = hash(spis, remote);
  const seenLocal = hash(spis, local);
  return {
    supported: true,
    remote: !sources.some(({ data }) => sameOctets(data, seenRemote)),
    local: forced || !destinations.some(({ data }) => sameOctets(data, seenLocal)),
  };
}

/** The peer's word for where it sees us; undefined: it says nothing of that. */
export function seenAs(payloads: readonly Payload[]): Uint8Array | undefined {
  return notifyOf(payloads, NOTIFY.NAT_DETECTION_DESTINATION_IP)?.data;
}

/** NO_NATS_ALLOWED: both ends as we see them (RFC 4555 §3.9). */
export function prohibitNats(local: Endpoint, remote: Endpoint): Payload {
  return notify(NOTIFY.NO_NATS_ALLOWED, endsOf(local, remote));
}

/** Whether the peer allows no NAT, and what it has sent came otherwise than it was sent (§3.9). */
export function isProhibited(
  payloads: readonly Payload[],
  local: Endpoint,
  remote: Endpoint,
): boolean {
  const told = notifiesOf(payloads, NOTIFY.NO_NATS_ALLOWED);
  return told.some(({ data }) => !sameOctets(data, endsOf(remote, local)));
}

function endsOf(source: Endpoint, destination: Endpoint): Uint8Array {
  const port = (number: number) => [number >> 8, number & 0xff];
  const addresses = [source, destination].flatMap(({ address }) => [...parseAddress(address)!]);
  return Uint8Array.of(...addresses, ...port(source.port), ...port(destination.port));
}

function hash({ initiatorSpi, responderSpi }: SpiPair, { address, port }: Endpoint): Uint8Array {
  const octets = parseAddress(address);
  if (octets === undefined) throw new Error(`not an IP address: ${address}`);
  return natDetectionHash(initiatorSpi, responderSpi, octets, port);
}
