/**
 * The native addon, typed: the functions of each native/addon/*_binding.cc, but for those of IKE's
 * cryptography (crypto/libcrypto.ts).
 */
import { loadAddon } from '../addon/load.js';
import type { ChildSa, ChildSaCounters, Endpoint } from '../sad/sad.js';
import type {
  DataplaneEvent,
  DataplaneOptions,
  DataplaneStatistics,
  InterfaceOptions,
  InterfaceStatus,
  Networks,
  PortOptions,
  PortStatus,
  SpdEntry,
  WorkerPlan,
} from './dataplane.js';
import type { CaptureOptions, NativeCapture, NativeTrace, PacketFilter } from './watch.js';

/** What the CPU offers and the operating system has enabled (native/base/cpu.h). */
export interface CpuFeatures {
  readonly aesni: boolean;
  readonly pclmul: boolean;
  readonly avx: boolean;
  readonly avx2: boolean;
  readonly vaes: boolean;
  readonly vpclmul: boolean;
  readonly avx512: boolean;
}

/** native/addon/crypto_binding.cc: what the CPU has, the AES-GCM kernels and their timing. */
export interface CryptoBinding {
  cpuFeatures(): CpuFeatures;
  /**
   * Kernels that this CPU can run, fastest first, and the one that the dataplane uses. `peers` are
   * what `benchGcm` can compare them with (native/addon/gcm_peers.h).
   */
  gcmKernels(): {
    readonly inUse: string;
    readonly available: readonly string[];
    readonly peers: readonly string[];
  };
  benchGcm(options: GcmBenchOptions): Cost & { readonly repetitions: number };
}

/** A row of native/crypto/suite.h. */
export interface CryptoSuite {
  /** Such as `AES-GCM-16-128` or `AES-CBC-256/HMAC-SHA2-256-128`. */
  readonly name: string;
  /** IANA transform IDs (RFC 7296 §3.3.2); 0: none. */
  readonly encryption: number;
  readonly integrity: number;
  readonly keyBits: number;
  /** `mac`: a cipher or none, and a MAC over everything (RFC 4303 §3.2.3). */
  readonly form: 'aead' | 'gmac' | 'mac';
  readonly encryptionKeyBytes: number;
  readonly saltBytes: number;
  readonly integrityKeyBytes: number;
  readonly ivBytes: number;
  readonly nonceBytes: number;
  readonly blockBytes: number;
  readonly icvBytes: number;
  /** Those that this CPU can run, the plain reference last. */
  readonly engines: readonly string[];
}

/** An implementation that was measured: sealing and opening taken together. */
export interface Contestant {
  readonly name: string;
  readonly nanosecondsPerByte: number;
}

/** Which engine a suite uses on this machine, and what it was chosen from, the chosen first. */
export interface EngineChoice {
  readonly suite: string;
  readonly engine: string;
  readonly nanosecondsPerByte: number;
  /** Of a suite that is one AEAD. */
  readonly aeads: readonly Contestant[];
  /** Of all others, whose cipher and MAC are chosen each by itself. */
  readonly ciphers: readonly Contestant[];
  readonly macs: readonly Contestant[];
}

/** One packet. With a suite of form `mac` the ICV covers `aad` and the text behind it. */
export interface SuiteOperation {
  /** By name. */
  readonly suite: string;
  readonly engine: string;
  readonly encryptionKey: Uint8Array;
  readonly integrityKey: Uint8Array;
  readonly nonce: Uint8Array;
  readonly aad: Uint8Array;
  /** At most 65535 bytes; whole blocks with AES-CBC, none with GMAC. */
  readonly text: Uint8Array;
}

/** native/addon/suite_binding.cc. All throw TypeError for what does not fit the suite. */
export interface SuiteBinding {
  cryptoSuites(): readonly CryptoSuite[];
  /** The choices made so far in this process. */
  engineChoices(): readonly EngineChoice[];
  /** The choice for a suite, made now if it was not made before: about a millisecond. */
  chooseEngine(options: { readonly suite: string }): EngineChoice;
  suiteSeal(operation: SuiteOperation): { readonly text: Uint8Array; readonly icv: Uint8Array };
  /** The clear text, or null where the ICV does not hold. */
  suiteOpen(operation: SuiteOperation & { readonly icv: Uint8Array }): Uint8Array | null;
  /** Times one engine on hot buffers; native/addon/suite_bench.h. */
  benchSuite(options: SuiteBenchOptions): Cost;
}

export interface SuiteBenchOptions {
  readonly suite: string;
  readonly engine: string;
  /** 16 to 65535, rounded down to whole blocks. */
  readonly textBytes: number;
  /** Packets in one call, 1 to 64. */
  readonly batch: number;
  /** Opening is timed; else sealing. */
  readonly open: boolean;
  readonly seconds: number;
}

export interface GcmBenchOptions {
  /** The name of a kernel or of a peer. */
  readonly kernel: string;
  readonly keyBits: 128 | 192 | 256;
  /** Packets take turns with this many keys; 1 if left out. */
  readonly keys?: number;
  readonly textBytes: number;
  /** The text is associated data and nothing is encrypted (RFC 4543); false if left out. */
  readonly gmac?: boolean;
  /** Operations in one kernel call, 1 to 64. */
  readonly batch: number;
  readonly decrypt: boolean;
  /** Time for all repetitions together. */
  readonly seconds: number;
  /** Work on one batch of buffers again and again, or walk through 8 MiB of frames. */
  readonly hot: boolean;
}

/** So many workers, whose first own a queue each of both ports; the others help them. */
export interface WorkerArrangement {
  readonly workers: number;
  /** 1 to `workers`. */
  readonly queues: number;
  /** Each queue sends on an SA of its own (RFC 9611). */
  readonly ownSas?: boolean;
}

/** native/addon/process_binding.cc; see process.ts. */
export interface ProcessBinding {
  peerCredentials(fd: number): {
    readonly pid: number;
    readonly uid: number;
    readonly gid: number;
  };
  disableCoreDumps(): void;
  keepCapabilities(names: readonly string[]): void;
  notifySystemd(socket: string, text: string): void;
}

/** native/addon/dataplane_binding.cc; see native.ts. */
export interface NativeDataplane {
  readonly id: number;
  addPort(options: PortOptions): PortStatus;
  removePort(name: string): boolean;
  setNetworks(networks: Networks): void;
  /** The number of its scope. */
  addInterface(options: InterfaceOptions): number;
  removeInterface(name: string): boolean;
  interfaces(): readonly InterfaceStatus[];
  settleMtu(inboundSpi: number): void;
  setSpd(entries: readonly (SpdEntry & { readonly scope: number })[]): void;
  onEvent(listener: (event: DataplaneEvent) => void): void;
  start(): void;
  setWorkers(plan: WorkerPlan): void;
  stop(): void;
  resources(): number;
  allocateSpi(): number;
  releaseSpi(spi: number): void;
  install(sa: NativeChildSa, standby: boolean): void;
  prefer(inboundSpi: number): void;
  retire(inboundSpi: number): void;
  remove(inboundSpi: number): boolean;
  move(inboundSpi: number, local: Endpoint, remote: Endpoint): boolean;
  counters(inboundSpi: number): ChildSaCounters | undefined;
  ports(): readonly PortStatus[];
  notes(): readonly string[];
  statistics(): DataplaneStatistics;
}

/** A ChildSa with its keys laid open. */
export type NativeChildSa = Omit<ChildSa, 'inboundKey' | 'outboundKey'> & {
  readonly inboundKey: Uint8Array;
  readonly outboundKey: Uint8Array;
};

export interface DataplaneBinding {
  readonly Dataplane: new (optionsOrId: DataplaneOptions | number) => NativeDataplane;
}

/** native/addon/memory_host_binding.cc; see memory-host.ts. */
export interface NativeMemoryHost {
  send(frames: readonly Uint8Array[], queue?: number): number;
  receive(queue?: number): Uint8Array[];
  close(): void;
}

export interface MemoryHostBinding {
  readonly MemoryHost: new (link: string, queues: number) => NativeMemoryHost;
}

/** native/addon/ike_sockets_binding.cc: UDP sockets on the event loop of the thread. */
export interface NativeIkeSockets {
  /** What an IkeSender finds the sockets by. */
  readonly id: number;
  /**
   * Binds a socket. `marked`: IKE comes behind the non-ESP marker there, and leaves so.
   * Throws an error with the `code` of errno(3).
   */
  open(
    address: string,
    port: number,
    marked: boolean,
  ): { readonly id: number; readonly port: number };
  close(socket: number): void;
  /** Whether requests for a new IKE SA without a COOKIE are answered with one, and not told. */
  demandCookies(on: boolean): void;
  counters(): {
    /** By all threads. */
    readonly sent: number;
    readonly sendErrors: number;
    /** There was no socket to send from. */
    readonly noSocket: number;
    readonly cookiesDemanded: number;
    /** Messages for IKE SAs with SPIs that we have not made, more than are told in a second. */
    readonly foreign: number;
    /** Requests for a new IKE SA that have no nonce, or wrong lengths. */
    readonly nonsense: number;
    /** Datagrams that came while the kernel had no room for them. */
    readonly overflows: number;
  };
}

/** native/addon/ike_sockets_binding.cc: sends by the sockets of an IkeSockets, in any thread. */
export interface NativeIkeSender {
  /** `marker`: behind the non-ESP marker. `whole`: with DF. What cannot be sent is counted. */
  send(
    localAddress: string,
    localPort: number,
    remoteAddress: string,
    remotePort: number,
    marker: boolean,
    data: Uint8Array,
    whole: boolean,
  ): void;
}

export interface IkeSocketsBinding {
  /** Throws where there is no IkeSockets with this `id` in the process. */
  readonly IkeSender: new (
    id: number,
  ) => NativeIkeSender;
  /**
   * `spiKey`, 32 octets: of the mark in our SPIs. `listener` is told of each datagram; `proved`: it
   * is a request for a new IKE SA that bears a COOKIE of ours (RFC 7296 §2.6).
   */
  readonly IkeSockets: new (
    spiKey: Uint8Array,
    listener: (
      socket: number,
      address: string,
      port: number,
      data: Uint8Array<ArrayBuffer>,
      proved: boolean,
    ) => void,
  ) => NativeIkeSockets;
}

/** native/addon/tap_binding.cc; see lab/wire-tap.ts. */
export interface NativeWireTap {
  counts(): TapCounts;
  stop(): TapCounts;
}

/** Packets by class (native/port/packet/tap.h). */
export interface TapCounts {
  /** ESP, and UDP port 4500 without the non-ESP marker; their bytes with Ethernet headers. */
  readonly esp: number;
  readonly espBytes: number;
  readonly ah: number;
  readonly ike: number;
  readonly keepalive: number;
  /** To or from one of the networks, and none of the above. */
  readonly clearText: number;
  /** ARP and Neighbour Discovery. */
  readonly neighbour: number;
  readonly other: number;
  /** Packets that the tap missed; the counts are exact while this is 0. */
  readonly kernelDrops: number;
}

export interface TapBinding {
  readonly WireTap: new (
    interfaces: readonly string[],
    networks: readonly string[],
  ) => NativeWireTap;
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

/** native/addon/bulk_esp_binding.cc; see bulk-esp.ts. */
export interface NativeBulkEsp {
  readonly id: number;
  allocateSpi(): number;
  releaseSpi(spi: number): void;
  install(sa: NativeChildSa): void;
  remove(inboundSpi: number): boolean;
  counters(inboundSpi: number): ChildSaCounters | undefined;
  outbound(batch: NativePackets): number;
  inbound(batch: NativePackets): number;
  close(): void;
}

/** The fields of a PacketBatch that native code reads. */
export interface NativePackets {
  readonly frames: Uint8Array;
  readonly frameBytes: number;
  readonly size: number;
  readonly offset: Uint32Array;
  readonly length: Uint32Array;
  readonly pair: Uint32Array;
  readonly verdict: Uint8Array;
}

export interface BulkEspBinding {
  readonly BulkEsp: new (optionsOrId: { readonly maxChildSas: number } | number) => NativeBulkEsp;
  /** Bytes to skip so that frames begin at a multiple of their size. */
  frameAlignment(memory: Uint8Array, frameBytes: number): number;
  verdictNames(): readonly string[];
}

/** What a certificate says (native/pki/certificate.h). Names are in DER. */
export interface CertificateFacts {
  readonly subject: Uint8Array;
  readonly issuer: Uint8Array;
  /** Hexadecimal digits. */
  readonly serial: string;
  /** Tag of GeneralName (RFC 5280 §4.2.1.6): 1 mail, 2 host, 4 name, 6 URI, 7 address. */
  readonly altNames: readonly { readonly tag: number; readonly value: Uint8Array }[];
  readonly isCa: boolean;
  /** Bits as OpenSSL has them: 0x80 digitalSignature, 0x40 nonRepudiation. Absent: any use. */
  readonly keyUsage?: number;
  /** Object identifiers. */
  readonly extendedKeyUsage: readonly string[];
  /** Of CRL distribution points and of OCSP responders, by http. */
  readonly crlUrls: readonly string[];
  readonly ocspUrls: readonly string[];
}

/** Whether a certificate is revoked. 0: it is not; 23: it is; others: why nothing is known. */
export interface RevocationStatus {
  readonly code: number;
  readonly reason: string;
}

/** What was found about a path of certificates (native/pki/trust_store.h). */
export interface PathResult {
  /** An X509_V_ERR of OpenSSL for the certificate at `depth`, 0 being the leaf; 0: all is well. */
  readonly code: number;
  readonly reason: string;
  readonly depth: number;
  /** In DER, leaf first, the trust anchor last; as far as it was built. */
  readonly path: readonly Uint8Array[];
  /** What CRLs say of each but the anchor. */
  readonly revocation: readonly RevocationStatus[];
}

export interface NativeTrustStore {
  /** @param time seconds since 1970 */
  verify(certificates: readonly Uint8Array[], time: number): PathResult;
}

/** What `makeCertificate` makes (native/pki/issue.h). Times are seconds since 1970. */
export interface CertificateOrder {
  /** Name in DER. */
  readonly subject: Uint8Array;
  /** SubjectPublicKeyInfo in DER. */
  readonly publicKey: Uint8Array;
  /** Absent: it is self-signed. */
  readonly issuer?: Uint8Array;
  /** The issuer's, PKCS #8 in DER. */
  readonly signingKey: Uint8Array;
  readonly serial: Uint8Array;
  readonly notBefore: number;
  readonly notAfter: number;
  /** In the words of OpenSSL's x509v3_config(5). */
  readonly extensions: readonly { readonly name: string; readonly value: string }[];
}

export interface CrlOrder {
  readonly issuer: Uint8Array;
  readonly signingKey: Uint8Array;
  readonly number: number;
  readonly thisUpdate: number;
  readonly nextUpdate: number;
  readonly revoked: readonly { readonly serial: Uint8Array; readonly time: number }[];
}

/** native/addon/pki_binding.cc. All certificates and CRLs are in DER. */
export interface PkiBinding {
  /** Null where it is no certificate. */
  certificateFacts(certificate: Uint8Array): CertificateFacts | null;
  /** An OCSPRequest in DER (native/pki/ocsp.h). */
  ocspRequest(certificate: Uint8Array, issuer: Uint8Array): Uint8Array;
  /** What a responder says; any octets may be given. `time`: seconds since 1970. */
  ocspStatus(
    response: Uint8Array,
    certificate: Uint8Array,
    issuer: Uint8Array,
    time: number,
  ): RevocationStatus;
  /** Both answer DER, and throw TypeError for what OpenSSL does not take. */
  makeCertificate(order: CertificateOrder): Uint8Array;
  makeCrl(order: CrlOrder): Uint8Array;
  /** Throws TypeError for what does not parse. */
  readonly TrustStore: new (
    anchors: readonly Uint8Array[],
    crls: readonly Uint8Array[],
  ) => NativeTrustStore;
}

/** native/addon/watch_binding.cc; see watch.ts. */
export interface WatchBinding {
  readonly Capture: new (dataplane: number, options: CaptureOptions) => NativeCapture;
  readonly Trace: new (
    dataplane: number,
    options: { readonly filter: PacketFilter },
  ) => NativeTrace;
}

export type Addon = BulkEspBinding &
  CryptoBinding &
  SuiteBinding &
  DataplaneBinding &
  IkeSocketsBinding &
  MemoryHostBinding &
  PkiBinding &
  PortBenchBinding &
  ProcessBinding &
  SadBenchBinding &
  TapBinding &
  TrafficSinkBinding &
  TrafficSourceBinding &
  TunnelBenchBinding &
  WatchBinding;

/** The addon's exports, loaded when this file is first imported. */
export const addon = loadAddon() as Addon;
