/** What the main thread and an IKE worker say to each other. Each worker serves one shard. */
import type { CookieProof, Effect, IkeSaView, IkeSpi, LogLevel, RekeyWhat } from '../ike/event.js';
import type { Endpoint, EspSpi } from '../sad/sad.js';
import type { PortableConnection, PortableJob, PortableJobResult } from './portable.js';

export type ToWorker =
  /** All connections there are from now on, in order; those that are not handed over stay. */
  | {
      readonly type: 'connections';
      readonly names: readonly string[];
      readonly connections: readonly PortableConnection[];
    }
  | {
      readonly type: 'datagram';
      readonly local: Endpoint;
      readonly remote: Endpoint;
      readonly data: Uint8Array;
      readonly proof?: CookieProof | undefined;
    }
  | { readonly type: 'initiate'; readonly connection: string; readonly child?: string }
  | { readonly type: 'terminate'; readonly connection: string }
  | { readonly type: 'rekey'; readonly connection: string; readonly what: RekeyWhat }
  | {
      readonly type: 'expire';
      readonly inboundSpi: EspSpi;
      readonly hard: boolean;
      readonly cause: string;
    }
  | {
      readonly type: 'nat-mapping-changed';
      readonly inboundSpi: EspSpi;
      readonly remote: Endpoint;
    }
  | { readonly type: 'recheck'; readonly connection: string }
  | { readonly type: 'addresses'; readonly present: readonly string[] }
  /** Answered with `probed`. */
  | {
      readonly type: 'probe';
      readonly ikeSpi: IkeSpi;
      readonly probe: number;
      readonly bytes: number;
    }
  | { readonly type: 'superseded'; readonly ikeSpi: IkeSpi }
  | { readonly type: 'computed'; readonly job: string; readonly result: PortableJobResult }
  /** Lines of the log below this level are of use to nobody. */
  | { readonly type: 'log-level'; readonly least: LogLevel }
  /** Answered with `view`. */
  | { readonly type: 'view'; readonly id: number }
  /** Delete everything; answered with `stopped` once no IKE SA is left. */
  | { readonly type: 'stop' }
  /** End the thread; SAs are dropped as they are. */
  | { readonly type: 'close' };

type Told = Extract<
  Effect,
  {
    type: 'send' | 'ike-established' | 'ike-closed' | 'failed' | 'log' | 'child-rekeyed' | 'probed';
  }
>;

export type FromWorker =
  | { readonly type: 'ready' }
  | Told
  | { readonly type: 'compute'; readonly id: string; readonly job: PortableJob }
  /**
   * What becomes of an inbound SPI, so that nothing is left behind if the worker dies; with
   * `installed`, for which policy.
   */
  | {
      readonly type: 'spi';
      readonly spi: EspSpi;
      readonly state: 'reserved' | 'installed' | 'free';
      readonly policy?: string;
    }
  | {
      readonly type: 'view';
      readonly id: number;
      readonly ikeSas: readonly IkeSaView[];
      /** Messages that were not served since the worker began, by name. */
      readonly drops: Readonly<Record<string, number>>;
    }
  | { readonly type: 'stopped' };

/** Posts to the main thread; the listed memory is moved. */
export type PostToMain = (message: FromWorker, transfer?: readonly ArrayBuffer[]) => void;
