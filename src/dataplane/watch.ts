/** Packets of a running dataplane watched: captured, or one of them traced. */
import { addon } from './addon.js';

/** native/pipeline/packet_filter.h */
export type FilterCondition = { readonly negated?: boolean } & (
  | {
      readonly field: 'address' | 'source' | 'destination';
      /** A range of addresses of one family, both ends in it. */
      readonly first: string;
      readonly last: string;
    }
  | {
      readonly field: 'port' | 'sourcePort' | 'destinationPort' | 'protocol' | 'family' | 'spi';
      readonly value: number;
    }
);

/** A packet passes where all conditions of one of the lists hold; without any list, always. */
export type PacketFilter = readonly (readonly FilterCondition[])[];

/** native/pipeline/packet_filter.h, WatchedPackets */
export interface PacketChoice {
  /** At ports; and at interfaces, that of the host (`HOST_SCOPE`) among them. */
  readonly filter: PacketFilter;
  readonly interfaceFilter: PacketFilter;
  /** Interfaces of these scopes only. */
  readonly interfaces?: readonly number[];
}

export interface CaptureOptions extends PacketChoice {
  /** WAN ports; LAN ports and interfaces. */
  readonly outside: boolean;
  readonly inside: boolean;
  /** Of each packet at most, 1 to 65535. */
  readonly snapBytes: number;
  /** Of each lane, a power of two; packets that find theirs full are counted and left out. */
  readonly ringBytes: number;
}

export interface NativeCapture {
  /** What has come since, about a MiB at most: Enhanced Packet Blocks of pcapng. */
  read(): Uint8Array;
  counts(): { readonly passed: number; readonly dropped: number };
  /**
   * Packets name the number of their port; or this and the scope of their interface together, and
   * begin with their IP headers then.
   */
  portPlaces(): number;
  stop(): void;
}

/** Of the headers of an IP packet; null where it was none. */
export interface TracedHeaders {
  readonly source: string;
  readonly destination: string;
  /** Of the upper layer. */
  readonly protocol: number;
  readonly bytes: number;
  readonly sourcePort?: number;
  readonly destinationPort?: number;
}

/** A port by its number, or an interface by its scope. */
export type TracedPlace = { readonly port: number } | { readonly interface: number };

/** native/pipeline/trace.h */
export interface TraceReport {
  /** Its number among the lanes (native/pipeline/lane.h). */
  readonly lane: number;
  readonly receivedAt: TracedPlace;
  /** From a LAN port, or from the host. */
  readonly outbound: boolean;
  readonly received: TracedHeaders | null;
  /** Of the frame. */
  readonly receivedBytes: number;
  readonly beginTicks: number;
  readonly workTicks: number;
  readonly finishTicks: number;
  readonly sendTicks: number;
  /** Of the SA that it went through. */
  readonly spi?: number;
  readonly sent: TracedHeaders | null;
  readonly sentBytes: number;
  /** 0: none left; more than one: fragments. */
  readonly sentFrames: number;
  readonly sentAt?: TracedPlace;
  /** From one tunnel it went into another. */
  readonly turned: boolean;
  readonly verdict: string;
  readonly meaning: string;
  readonly dropped: boolean;
}

export interface NativeTrace {
  /** Null while no packet has passed the filter. */
  report(): TraceReport | null;
  stop(): void;
}

/** One at a time; throws where one runs. @param id  of the dataplane */
export function startCapture(id: number, options: CaptureOptions): NativeCapture {
  return new addon.Capture(id, options);
}

/** Likewise. */
export function startTrace(id: number, packets: PacketChoice): NativeTrace {
  return new addon.Trace(id, packets);
}
