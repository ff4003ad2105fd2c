/**
 * The native addon, typed: the functions of each native/addon/*_binding.cc, here or in bindings/,
 * but for those of IKE's cryptography (crypto/libcrypto.ts).
 */
import { loadAddon } from '../addon/load.js';
import type { ChildSa, ChildSaCounters, Endpoint } from '../sad/sad.js';
import type {
  PortBenchBinding,
  SadBenchBinding,
  TrafficSinkBinding,
  TrafficSourceBinding,
  TunnelBenchBinding,
} from './bindings/bench.js';
import type { CryptoBinding, SuiteBinding } from './bindings/crypto.js';
import type { PkiBinding } from './bindings/pki.js';
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
import type { CaptureOptions, NativeCapture, NativeTrace, PacketChoice } from './watch.js';

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
  refreshPort(ifindex: number): void;
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
    /** On port 4500, and no IKE: a lone 0xFF, ESP that the dataplane has not taken. */
    readonly keepalives: number;
    readonly espInUdp: number;
    /** Empty, or too short for anything. */
    readonly short: number;
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

/** native/addon/watch_binding.cc; see watch.ts. */
export interface WatchBinding {
  readonly Capture: new (dataplane: number, options: CaptureOptions) => NativeCapture;
  readonly Trace: new (dataplane: number, packets: PacketChoice) => NativeTrace;
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
