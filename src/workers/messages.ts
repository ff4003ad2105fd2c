/** What the main thread and an IKE worker say to each other. Each worker serves one shard. */
import type { Effect, Event, IkeSaView, LogLevel, Untimed } from '../ike/event.js';
import type { EspSpi } from '../sad/sad.js';
import type { IkeSpi } from '../wire/index.js';
import type { PortableConnection, PortableJob, PortableJobResult } from './portable.js';

/** Events that the main thread hands on as they are. */
type Handed = Untimed<
  Extract<
    Event,
    {
      type:
        | 'datagram'
        | 'initiate'
        | 'acquire'
        | 'terminate'
        | 'rekey'
        | 'expire'
        | 'nat-mapping-changed'
        | 'recheck'
        | 'addresses'
        | 'probe'
        | 'superseded'
        /** Answered with `stopped` once no IKE SA is left. */
        | 'stop';
    }
  >
>;

export type ToWorker =
  | Handed
  /** All connections there are from now on, in order; those that are not handed over stay. */
  | {
      readonly type: 'connections';
      readonly names: readonly string[];
      readonly connections: readonly PortableConnection[];
    }
  | { readonly type: 'computed'; readonly job: string; readonly result: PortableJobResult }
  /** Lines of the log below this level are of use to nobody. */
  | { readonly type: 'log-level'; readonly least: LogLevel }
  /** Answered with `view`. */
  | { readonly type: 'view'; readonly id: number }
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
  /** An IKE_SA_INIT message of ours leaves that begins an IKE SA, or answers who does. */
  | {
      readonly type: 'half-open';
      readonly address: string;
      readonly initiatorSpi: IkeSpi;
      /** The same as `initiatorSpi` where we have begun. */
      readonly ourSpi: IkeSpi;
    }
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
      /** A part of them; the others follow, unless it is the last. */
      readonly ikeSas: readonly IkeSaView[];
      readonly isLast: boolean;
      /** Messages that were not served since the worker began, by name. */
      readonly drops: Readonly<Record<string, number>>;
    }
  | { readonly type: 'stopped' };

/** Posts to the main thread; the listed memory is moved. */
export type PostToMain = (message: FromWorker, transfer?: readonly ArrayBuffer[]) => void;
