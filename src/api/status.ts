import type { QueueRings } from '../dataplane/dataplane.js';

/**
 * The status document: what the daemon's API serves, `esplane status --json` prints and the lab
 * draws. Numbers that may exceed 2^53 do not occur: counters are JavaScript numbers here.
 */
export interface Status {
  readonly version: string;
  readonly name: string;
  readonly uptimeSeconds: number;
  readonly cryptoKernel: string;
  readonly workers: number;
  /** What each worker has done since the start. */
  readonly workerLoads: readonly {
    /** Received from its own queues. */
    readonly packets: number;
    /** Groups of up to 64 packets of other workers' queues that it encrypted or decrypted. */
    readonly helpedBursts: number;
    /** Ticks of the time stamp counter in loops that had work, and in all. */
    readonly busyCycles: number;
    readonly cycles: number;
    /** Of the queues that it serves, as they are now; of AF_XDP ports alone. */
    readonly rings: readonly QueueRings[];
  }[];
  readonly ports: readonly {
    readonly name: string;
    readonly role: 'lan' | 'wan';
    readonly device: string;
    readonly mode: string;
    readonly note: string;
    readonly queues: number;
    readonly rxPackets: number;
    readonly txPackets: number;
  }[];
  readonly connections: readonly ConnectionStatus[];
  readonly esp: {
    readonly outPackets: number;
    readonly inPackets: number;
    readonly outBytes: number;
    readonly inBytes: number;
  };
  /** Drops by name; names with zero are left out. */
  readonly drops: Readonly<Record<string, number>>;
}

export interface ConnectionStatus {
  readonly name: string;
  readonly wanted: 'up' | 'down' | 'on-demand';
  readonly lastError?: string;
  /** Of a route-based tunnel. */
  readonly interface?: {
    readonly name: string;
    /** The largest packet that fits the tunnel, in bytes. */
    readonly mtu: number;
    /** Sent into it by the host, and let in there by the tunnel. */
    readonly outPackets: number;
    readonly inPackets: number;
  };
  readonly ikeSas: readonly IkeSaStatus[];
}

export interface IkeSaStatus {
  readonly initiatorSpi: string;
  readonly responderSpi: string;
  readonly role: 'initiator' | 'responder';
  readonly state: 'connecting' | 'established' | 'replaced' | 'deleting';
  readonly local: string;
  readonly remote: string;
  readonly localId: string;
  readonly remoteId: string;
  readonly proposal: string;
  readonly nat: 'none' | 'local' | 'remote' | 'both';
  /** Since it was established; while it is connecting: since it was begun. */
  readonly ageSeconds: number;
  readonly childSas: readonly ChildSaStatus[];
}

export interface ChildSaStatus {
  readonly name: string;
  readonly state: 'installed' | 'rekeying' | 'replaced' | 'deleting';
  /** Eight hexadecimal digits. */
  readonly inboundSpi: string;
  readonly outboundSpi: string;
  readonly proposal: string;
  readonly protocol: 'esp' | 'ah';
  readonly mode: 'tunnel' | 'transport';
  readonly udpEncapsulation: boolean;
  readonly esn: boolean;
  readonly localSelectors: readonly string[];
  readonly remoteSelectors: readonly string[];
  /** Of a group (RFC 9611): the queue that sends on it, or all that have none of their own. */
  readonly resource?: number | 'all';
  /** What the peer calls its own resource, in hexadecimal digits. */
  readonly peerResource?: string;
  readonly ageSeconds: number;
  readonly inPackets: number;
  readonly inBytes: number;
  readonly outPackets: number;
  readonly outBytes: number;
}
