/**
 * The native dataplane as TypeScript sees it. `dataplane/native.ts` implements it over
 * `dataplane/addon.ts`, the only file that loads the .node; everything else knows this interface.
 */
import type { ChildSa, ChildSaCounters, Endpoint, EspSpi } from '../sad/sad.js';
import type { TrafficSelector } from '../wire/traffic-selector.js';

/** Which threads there are, and what each of them serves. */
export interface WorkerPlan {
  /**
   * Worker threads. Those beyond the queues of the port with the fewest have none of their own:
   * they help the others with their packets.
   */
  readonly workers: number;
  /** Pin worker 0, 1, ... to these CPUs; those beyond the end are not pinned. */
  readonly cpus?: readonly number[];
  /** Worker of queue 0, 1, ... of every port; beyond the end, workers have queues in turn. */
  readonly queueWorkers?: readonly number[];
}

/** The plan counts until `setWorkers`. */
export interface DataplaneOptions extends WorkerPlan {
  /**
   * Queues of the port that has most: frames are had for each, and no more workers than that can
   * ever have queues. Default: as many as workers.
   */
  readonly queues?: number;
  /** Most Child SA pairs at once. */
  readonly maxChildSas: number;
  /** Frames for each queue and their size in bytes (2048 or 4096). */
  readonly framesPerQueue: number;
  readonly frameBytes: 2048 | 4096;
  /**
   * Name of the TUN through which packets go back to the kernel, at most 15 characters; undefined:
   * no TUN is made, and such packets are dropped by name (memory and pcap ports).
   */
  readonly tunName?: string;
  /** For how long AF_XDP ports look at the device themselves; 0, as undefined: interrupts. */
  readonly busyPollMicroseconds?: number;
  /** Switch the transform off and forward plainly (the control run of benchmarks and labs). */
  readonly plainForwarding?: boolean;
  /** Memory link that packets for the kernel are handed to in place of a TUN, as IP packets. */
  readonly reinjectLink?: string;
}

export interface PortOptions {
  readonly name: string;
  readonly role: 'lan' | 'wan';
  /** `auto`: AF_XDP, then TPACKET_V3. `memory` ports are joined in pairs by `link`. */
  readonly kind: 'auto' | 'xdp' | 'packet' | 'memory' | 'pcap';
  /** Interface name; for `pcap` the file to read and, after a comma, the file to write. */
  readonly device: string;
  /** Queues to serve; 0: all that the device has. */
  readonly queues: number;
  /** Memory ports with the same link, in one process, are the two ends of one wire. */
  readonly link?: string;
  /** Memory and pcap ports, which no kernel routes for: the networks that lie behind the port. */
  readonly networks?: readonly string[];
  /** Likewise our own addresses on it. ICMP errors come from them. */
  readonly addresses?: readonly string[];
}

export interface PortStatus {
  /** As captures and traces call it. The next port may have that of one that was removed. */
  readonly number: number;
  readonly name: string;
  readonly role: 'lan' | 'wan';
  readonly device: string;
  /** What was had, such as `xdp-native-copy`; and why nothing better, where there is a reason. */
  readonly mode: string;
  readonly note: string;
  readonly queues: number;
  readonly rxPackets: bigint;
  readonly txPackets: bigint;
  readonly rxDropped: bigint;
  readonly txFull: bigint;
}

/** What XDP takes beside ESP and AH to our own addresses. Prefixes and addresses are numeric. */
export interface Networks {
  /** All addresses of this host: packets to them from the LAN are the kernel's. */
  readonly localAddresses: readonly string[];
  /** Behind us: the local selectors of PROTECT entries. WAN ports take every packet to them. */
  readonly localProtected: readonly string[];
  /** Behind peers: the remote selectors of PROTECT entries. LAN ports take every packet to them. */
  readonly remoteProtected: readonly string[];
}

/** Of what is no tunnel's: the SPD of the ports, and the TUN by which they and the host are joined. */
export const HOST_SCOPE = 0;

/**
 * The interface of a route-based tunnel: what the host routes there meets SPD entries of its own,
 * and what comes through the SAs of their policies enters the host there.
 */
export interface InterfaceOptions {
  readonly name: string;
  /** Memory link in place of a TUN, with IP packets on it. */
  readonly link?: string;
}

export interface InterfaceStatus {
  readonly name: string;
  /** Of its SPD; as captures call it. */
  readonly scope: number;
  /** Bytes; 0 over a memory link. */
  readonly mtu: number;
  /** Sent into it by the host, and entering the host there. */
  readonly rxPackets: bigint;
  readonly txPackets: bigint;
  readonly rxDropped: bigint;
  readonly txRefused: bigint;
}

/** An ordered SPD entry (RFC 4301 §4.4.1); the first match decides. */
export interface SpdEntry {
  readonly action: 'protect' | 'bypass' | 'discard';
  readonly direction: 'outbound' | 'inbound';
  /** With `protect`: the policy that its SAs are installed under. */
  readonly policy?: string;
  /** It is of the SPD of this interface; undefined: of that of the ports, and of the host. */
  readonly interface?: string;
  /** Alternatives; a packet matches if it matches one local and one remote selector. */
  readonly localSelectors: readonly TrafficSelector[];
  readonly remoteSelectors: readonly TrafficSelector[];
}

export type DataplaneEvent =
  /**
   * A packet matched PROTECT and there is no outbound SA; or, with a resource, that has none of its
   * own and sends on one that `asks`, or on another's: told once in ten seconds.
   */
  | { readonly type: 'acquire'; readonly policy: string; readonly resource?: number }
  | { readonly type: 'unknown-spi'; readonly spi: number; readonly remote: string }
  | { readonly type: 'sequence-near-end'; readonly inboundSpi: EspSpi }
  /**
   * One SA of the pair reached a limit of its lifetime: a soft one, so that a new SA is wanted, or
   * a hard one, past which its packets are dropped. Each is told once; `time` with the next packet.
   */
  | {
      readonly type: 'expire';
      readonly inboundSpi: EspSpi;
      readonly direction: 'inbound' | 'outbound';
      readonly hard: boolean;
      readonly cause: 'bytes' | 'packets' | 'time';
    }
  | {
      readonly type: 'nat-mapping-changed';
      readonly inboundSpi: EspSpi;
      readonly address: string;
      readonly port: number;
    }
  | { readonly type: 'address-changed'; readonly ifindex: number }
  /** What the path of a pair takes has changed, or is known: `settleMtu` it. */
  | { readonly type: 'path-mtu'; readonly inboundSpi: EspSpi }
  /** The bounded event ring was full; this many events were not reported. */
  | { readonly type: 'events-lost'; readonly count: number };

/** Entries of a ring that are in use, at one moment. */
export interface RingFill {
  readonly used: number;
  readonly size: number;
}

/** The rings that an AF_XDP queue shares with the kernel. Ports of other kinds have none. */
export interface QueueRings {
  readonly port: string;
  readonly queue: number;
  /** Packets that wait for the worker, and for the kernel. */
  readonly receive: RingFill;
  readonly transmit: RingFill;
  /** Frames for the kernel to receive into, and those that have left and wait for the worker. */
  readonly fill: RingFill;
  readonly completion: RingFill;
}

export interface DataplaneStatistics {
  /** Packets by verdict name (native/packet/verdict.h), all workers together. */
  readonly verdicts: Readonly<Record<string, bigint>>;
  /** The names among them that are drops. */
  readonly drops: Readonly<Record<string, bigint>>;
  readonly espOutPackets: bigint;
  readonly espInPackets: bigint;
  readonly espOutBytes: bigint;
  readonly espInBytes: bigint;
  /** ICMP errors that we made; they are in no verdict. */
  readonly icmpErrors: bigint;
  /** TCP SYNs of either direction whose MSS option was lowered. */
  readonly mssClamped: bigint;
  /** Dummy packets (RFC 4303 §2.6) that we made; they are in no verdict. */
  readonly dummiesSent: bigint;
  /** Packets accepted with ECN fields, outside and inside, that no router makes (RFC 6040 §4.2). */
  readonly oddEcn: bigint;
  /** What the ports have counted that were removed. */
  readonly removedPorts: Pick<PortStatus, 'rxDropped' | 'txFull'>;
  readonly workers: readonly {
    /** Received from its own queues. */
    readonly packets: bigint;
    readonly espOutPackets: bigint;
    readonly espInPackets: bigint;
    readonly espOutBytes: bigint;
    readonly espInBytes: bigint;
    /** By verdict name. */
    readonly drops: Readonly<Record<string, bigint>>;
    /** Groups of up to 64 packets of other workers' queues that it encrypted or decrypted. */
    readonly helpedBursts: bigint;
    readonly busyCycles: bigint;
    readonly cycles: bigint;
    /** Of the queues that it serves, as they are now. */
    readonly rings: readonly QueueRings[];
  }[];
}

export interface Dataplane {
  /** Process-wide number by which other threads `attach` to the same dataplane. */
  readonly id: number;
  /**
   * Adds a port, before `start` or under traffic, which waits in the rings of the others for less
   * than a millisecond as a rule. Throws with what could not be had; then nothing has changed.
   */
  addPort(options: PortOptions): PortStatus;
  /** Takes one away, before `start` or under traffic. What waits in it is dropped by name. */
  removePort(name: string): void;
  /**
   * Replaces what the ports take from the kernel, at any time, traffic flowing or not. Throws a
   * TypeError for text that is no address or prefix, and then changes nothing.
   */
  setNetworks(networks: Networks): void;
  /**
   * Adds an interface, before `start` or under traffic. One that has outlived another process is
   * opened again, with its addresses and routes. Throws with what could not be had.
   */
  addInterface(options: InterfaceOptions): void;
  /** Takes it away, routes and all, under traffic, once no entry of the SPD names it. */
  removeInterface(name: string): void;
  interfaces(): readonly InterfaceStatus[];
  /** The port on an interface whose address or MTU has changed goes by what is so now. */
  refreshPort(ifindex: number): void;
  /** The interface that the pair belongs to gets the MTU that fits all pairs of it. */
  settleMtu(inboundSpi: EspSpi): void;
  /**
   * Replaces the whole SPD at once; SAs installed under a policy that stays are kept. Throws where
   * an entry names an interface that is not there.
   */
  setSpd(entries: readonly SpdEntry[]): void;
  onEvent(listener: (event: DataplaneEvent) => void): void;
  /**
   * Opens the queues and starts the workers.
   * Throws with what could not be had; then the dataplane is stopped.
   */
  start(): void;
  /**
   * Goes on with other workers, under traffic: queues, frames, SAs and what is held stay. What
   * arrives meanwhile, less than a millisecond as a rule, waits in the rings. Throws for a plan that
   * cannot be, and then changes nothing.
   */
  setWorkers(plan: WorkerPlan): void;
  /** Stops workers, detaches programs, unmaps rings, wipes keys. Idempotent. */
  stop(): void;

  /**
   * How many senders there are that may have SAs of their own, once it is started: the queues of the
   * port with the fewest, by number from 0. A change of workers leaves them.
   */
  resources(): number;
  allocateSpi(): EspSpi;
  releaseSpi(spi: EspSpi): void;
  install(sa: ChildSa, standby: boolean): void;
  prefer(inboundSpi: EspSpi): void;
  retire(inboundSpi: EspSpi): void;
  remove(inboundSpi: EspSpi): void;
  move(inboundSpi: EspSpi, local: Endpoint, remote: Endpoint): boolean;
  counters(inboundSpi: EspSpi): ChildSaCounters | undefined;

  ports(): readonly PortStatus[];
  /** What could not be done as asked, such as a worker without queues, or one not pinned. */
  notes(): readonly string[];
  statistics(): DataplaneStatistics;
  /** Names of the crypto kernel in use and those that the CPU offers. */
  kernels(): { readonly inUse: string; readonly available: readonly string[] };
}
