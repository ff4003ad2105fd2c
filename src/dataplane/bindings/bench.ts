/** What of the addon only benchmarks use, typed: native/addon/*_bench*.cc and traffic_*.cc. */

/** So many workers, whose first own a queue each of both ports; the others help them. */
export interface WorkerArrangement {
  readonly workers: number;
  /** 1 to `workers`. */
  readonly queues: number;
  /** Each queue sends on an SA of its own (RFC 9611). */
  readonly ownSas?: boolean;
}

/** native/addon/sad_bench.cc */
export interface SadBenchBinding {
  /** Installs so many pairs, sends and opens packets of SAs at random for a while, removes them. */
  benchSad(pairs: number, milliseconds: number): SadBenchResult;
  /** Looks packets up among so many policies, without a flow cache. */
  benchPolicies(policies: number, milliseconds: number): PolicyBenchResult;
}

export interface SadBenchResult {
  /** Medians, of everything from headers and look-up to the sealed or opened packet of 64 bytes. */
  readonly outboundTicks: number;
  readonly inboundTicks: number;
  /** A pair, its place in the policy included. */
  readonly installNanoseconds: number;
  readonly removeNanoseconds: number;
  /** Growth of the process's resident memory. */
  readonly bytesPerPair: number;
  /** Of a pair: both key tables, the replay window, and the objects of both SAs. */
  readonly keyTableBytes: number;
  readonly windowBytes: number;
  readonly saBytes: number;
}

export interface PolicyBenchResult {
  readonly lookupNanoseconds: number;
  readonly bestLookupNanoseconds: number;
  readonly buildMilliseconds: number;
}

/** native/addon/traffic_source_binding.cc: the generator of benchmarks. */
export interface NativeTrafficSource {
  /** Packets that the interface took so far. */
  sent(): number;
  /** Packets a second from now on; 0: none. */
  setRate(packetsPerSecond: number): void;
  /** Ends the thread and closes the interface. Idempotent. */
  stop(): void;
}

/** native/addon/port_bench.h */
export interface PortBenchBinding {
  /** Sends from one interface, and receives on a second that is cabled to it. */
  benchPorts(options: PortBenchOptions): PortBenchResult;
}

export interface PortBenchOptions {
  /** Interfaces. */
  readonly sender: string;
  readonly receiver?: string;
  /** Threads on each side, 1 to 64. */
  readonly workers: number;
  /** Packets in one call, 1 to 64. */
  readonly burst: number;
  /** A power of two, 64 to 8192. */
  readonly ringEntries: number;
  /** 0: interrupts. */
  readonly busyPollMicroseconds: number;
  /** Of the IP packet, 28 to 1500. */
  readonly bytes: number;
  readonly milliseconds: number;
}

export interface PortBenchResult {
  /** Such as `xdp-native-copy`; the receiver's is empty where there is none. */
  readonly senderMode: string;
  readonly receiverMode: string;
  readonly senderQueues: number;
  readonly receiverQueues: number;
  /** Packets. */
  readonly sent: number;
  readonly received: number;
  /** The receiver's kernel had no room for them. */
  readonly dropped: number;
  readonly seconds: number;
}

export interface TrafficSourceBinding {
  /** Sends whole Ethernet frames in turn, from a thread of its own, until it is stopped. */
  readonly TrafficSource: new (options: {
    readonly device: string;
    readonly frames: readonly Uint8Array[];
    /** To pin the thread to. */
    readonly cpu?: number;
    /** 0: none until `setRate`; as fast as it goes where left out. */
    readonly packetsPerSecond?: number;
    /** Writes number and time into each packet (native/addon/traffic_stamp.h). */
    readonly stamped?: boolean;
  }) => NativeTrafficSource;
}

/** native/addon/traffic_sink_binding.cc: what takes stamped packets. */
export interface NativeTrafficSink {
  /** What has come since the last call. */
  take(): ReceivedTraffic;
  /** Idempotent. */
  stop(): void;
}

export interface ReceivedTraffic {
  readonly packets: number;
  /** Of IP packets. */
  readonly bytes: number;
  /** That came behind a packet with a higher number. */
  readonly reordered: number;
  /** Without a stamp; in no other figure. */
  readonly foreign: number;
  /** Percentiles to within 1.6 %; null where nothing came. */
  readonly latencyNanoseconds: {
    readonly p50: number;
    readonly p90: number;
    readonly p99: number;
    readonly p999: number;
    readonly most: number;
  } | null;
}

export interface TrafficSinkBinding {
  /** Takes every packet to the networks from the kernel, over AF_XDP. */
  readonly TrafficSink: new (options: {
    readonly device: string;
    readonly networks: readonly string[];
  }) => NativeTrafficSink;
}

/** native/addon/tunnel_bench_binding.cc */
export interface TunnelBenchBinding {
  /** ESP alone, on batches whose frames walk through two megabytes. */
  benchEsp(options: TunnelBenchOptions): TunnelBenchResult;
  /** From rx to tx of a gateway over memory ports, on one core. */
  benchPipeline(options: TunnelBenchOptions): TunnelBenchResult;
  /**
   * Arrangements of workers, in turn within one run: the time that passes for a packet. `batch`
   * does not matter. Throws where there are fewer CPUs than workers.
   */
  benchWorkers(
    options: TunnelBenchOptions & { readonly arrangements: readonly WorkerArrangement[] },
  ): TunnelBenchResult[];
}

export interface TunnelBenchOptions {
  /** A suite of ESP by its name, as in `cryptoSuites()`. */
  readonly suite: string;
  /** One of its engines; the one in use if left out. */
  readonly engine?: string;
  /** Length of the inner IPv4 packet, 28 to 1438. */
  readonly innerBytes: number;
  /** Packets in one call, 1 to 64. */
  readonly batch: number;
  /** Packets take turns with this many pairs of SAs, 1 to 256. */
  readonly tunnels: number;
  /** Time for all repetitions together. */
  readonly milliseconds: number;
}

export interface TunnelBenchResult {
  readonly outbound: Cost;
  readonly inbound: Cost;
  readonly repetitions: number;
}

/** Medians over the repetitions, and the fastest. Ticks are 0 where the CPU counts none. */
export interface Cost {
  readonly nanosecondsPerPacket: number;
  readonly bestNanosecondsPerPacket: number;
  readonly ticksPerPacket: number;
}
