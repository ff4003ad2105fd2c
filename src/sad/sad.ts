/**
 * The Security Association Database as the control plane sees it (RFC 4301 §4.4.2).
 *
 * IKE speaks to this interface only: the native bridge implements it for traffic, a fake for
 * tests and simulation.
 */
import type { Secret } from '../crypto/secret.js';
import type { TrafficSelector } from '../wire/traffic-selector.js';

/** SPI of an ESP SA, 32 bits, above 255 (RFC 4303 §2.1). Inbound ones carry our SAD index. */
export type EspSpi = number & { readonly brand: 'EspSpi' };

/** One end of the outer path: a numeric IP address and a UDP port. */
export interface Endpoint {
  readonly address: string;
  readonly port: number;
}

export function sameEndpoint(a: Endpoint, b: Endpoint): boolean {
  return a.address === b.address && a.port === b.port;
}

export function sameFamily(a: Endpoint, b: Endpoint): boolean {
  return a.address.includes(':') === b.address.includes(':');
}

/**
 * How much each SA of a pair may carry, and how long, in its direction (RFC 4301 §4.4.2.1). A soft
 * limit asks for a new SA by an `expire` event; past a hard one the dataplane drops the packets.
 * What is left out is not limited.
 */
export interface SaLifetime {
  /** Of inner packets, headers included. */
  readonly softBytes?: bigint | number;
  readonly hardBytes?: bigint | number;
  readonly softPackets?: bigint | number;
  /** Exactly so many packets pass. */
  readonly hardPackets?: bigint | number;
  /** Whole seconds since `install`. The control plane has timers of its own: this is for its death. */
  readonly softSeconds?: number;
  readonly hardSeconds?: number;
}

/** A pair of ESP or AH SAs, one in each direction, as one Child SA negotiates them. */
export interface ChildSa {
  /** Name of the SPD policy that this pair serves: `<connection>/<child>`. */
  readonly policy: string;
  readonly protocol: 'esp' | 'ah';
  /** In transport mode the packets' own addresses are `local` and `remote`. */
  readonly mode: 'tunnel' | 'transport';
  readonly local: Endpoint;
  readonly remote: Endpoint;
  /** ESP in UDP (RFC 3948), with the endpoints' ports. */
  readonly udpEncapsulation: boolean;
  readonly inboundSpi: EspSpi;
  readonly outboundSpi: EspSpi;
  /** IANA transform ID of encryption (RFC 7296 §3.3.2), such as 20: AES-GCM-16; 0 with AH. */
  readonly encryption: number;
  /** Key length in bits, without the salt. */
  readonly keyBits: number;
  /** IANA transform ID of the integrity algorithm, or 0 with an AEAD. */
  readonly integrity: number;
  /** Encryption key | salt | integrity key, in the order of RFC 7296 §2.17. */
  readonly inboundKey: Secret;
  readonly outboundKey: Secret;
  /** Extended sequence numbers (RFC 4303 §2.2.1). */
  readonly esn: boolean;
  /** Replay window in packets; 0 switches the check off. */
  readonly replayWindow: number;
  /**
   * What becomes of an IPv4 packet without DF that does not fit its path: it is fragmented before
   * ESP (the default), or what ESP makes of it is (RFC 4301 §7). Where the selectors have ports it
   * is always the latter: later fragments do not fit them.
   */
  readonly fragmentation?: 'before' | 'after';
  /**
   * Whether the MSS options of TCP's SYNs are lowered to what fits the path, in both directions;
   * `clamp` if left out. Bulk ESP, which knows no path, leaves them.
   */
  readonly tcpMss?: 'clamp' | 'keep';
  readonly lifetime?: SaLifetime;
  /** Narrowed selectors of our side and the peer's. */
  readonly localSelectors: readonly TrafficSelector[];
  readonly remoteSelectors: readonly TrafficSelector[];
  /**
   * Where the numbers go on: the last one sent and the highest one received. For an SA that is
   * taken over; under these keys, no number up to here may be sent again. 0 if left out.
   */
  readonly outboundSequence?: bigint;
  readonly inboundSequence?: bigint;
  /**
   * The sender in the dataplane that sends on it before others of its policy: a lane, below
   * `Dataplane.resources` (RFC 9611). Undefined: all that have none of their own.
   */
  readonly resource?: number;
  /** A sender that sends on it for want of one of its own is to be told of, by `acquire`. */
  readonly asks?: boolean;
  /** Tunnel mode: where the outer header does not follow from the inner one. */
  readonly outer?: OuterPolicy;
  /** ESP in tunnel mode: nothing if left out. By a dataplane's workers, not by bulk ESP. */
  readonly tfc?: TrafficFlowConfidentiality;
}

/** What hides how much is sent, and when, from an observer (RFC 4303 §2.7, §2.6). */
export interface TrafficFlowConfidentiality {
  /**
   * Inner packets that are shorter are padded to this many bytes, as far as the path takes them:
   * 65535 means to its MTU. 0, if left out: none are. What is padded counts as bytes of the SA.
   */
  readonly padTo?: number;
  /** While nothing else is sent; as long as the padded packets, or of any length. 0 if left out. */
  readonly dummiesPerSecond?: number;
}

/** Fields of the outer header by policy (RFC 4301 §5.1.2, §8.1). */
export interface OuterPolicy {
  /** DF over IPv4; `copy` if left out. IPv6 inside counts as DF set. */
  readonly df?: 'copy' | 'set' | 'clear';
  /** 0 to 63, or the inner packet's: `copy`, if left out. ECN is copied always (RFC 6040). */
  readonly dscp?: 'copy' | number;
  /** Of IPv6 outer headers, 20 bits; 0 if left out. Never the inner packet's. */
  readonly flowLabel?: number;
  /** TTL or hop limit, 1 to 255; 64 if left out. */
  readonly ttl?: number;
}

/** Counters of one Child SA pair, read from the dataplane. */
export interface ChildSaCounters {
  readonly inPackets: bigint;
  readonly inBytes: bigint;
  readonly outPackets: bigint;
  readonly outBytes: bigint;
  /** Inbound packets dropped by this SA, by the verdict's name. */
  readonly inDrops: Readonly<Record<string, bigint>>;
  /** Next sequence number to send and highest received. */
  readonly outSequence: bigint;
  readonly inSequence: bigint;
  /** Sequence numbers never received that have left the replay window; 0 with the check off. */
  readonly inLost: bigint;
  /**
   * Bytes of the largest packet that the path takes, outside and inside, what ICMP has said
   * included; 0 before one was sent, and of bulk ESP, which has no path. Inside in transport mode:
   * with headers without options.
   */
  readonly pathMtu: number;
  readonly innerMtu: number;
}

export interface Sad {
  /** Reserves an inbound SPI. Throws `SadFullError` where the SAD has no room. */
  allocateSpi(): EspSpi;
  /** Gives back a reserved SPI under which nothing was installed. */
  releaseSpi(spi: EspSpi): void;
  /**
   * Installs both SAs. The keys are copied into the dataplane; the caller wipes its own. With
   * `standby`, other outbound SAs of the policy go before it; else it goes before them.
   */
  install(sa: ChildSa, standby: boolean): void;
  /** Makes the outbound SA of the pair go before all others of its policy. */
  prefer(inboundSpi: EspSpi): void;
  /** Sends on the outbound SA of the pair no more; the inbound one receives until `remove`. */
  retire(inboundSpi: EspSpi): void;
  /**
   * Sends the pair's packets between these ends from now on, and expects its peer there, while
   * traffic flows (RFC 7296 §2.23, RFC 4555 §3.5). False where no such pair is installed. Throws a
   * TypeError for addresses of another family, and in transport mode.
   */
  move(inboundSpi: EspSpi, local: Endpoint, remote: Endpoint): boolean;
  /** Removes the pair with this inbound SPI; its keys are wiped when no worker can hold them. */
  remove(inboundSpi: EspSpi): void;
  /** Undefined where no such pair is installed. */
  counters(inboundSpi: EspSpi): ChildSaCounters | undefined;
}

/** The SAD has no free index: `gateway.max_child_sas` is reached. */
export class SadFullError extends Error {
  override readonly name = 'SadFullError';
}
