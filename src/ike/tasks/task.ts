/**
 * A request of ours and what its response leads to. A procedure of several exchanges is several
 * tasks, each of which starts the next one.
 */
import type { Payload, PeekedHeader, Story } from '../../wire/index.js';

export interface Task {
  /** Exchange type of the request. */
  readonly exchange: number;
  /** How many times the request is sent before the peer counts as gone. */
  readonly tries: number;
  /** The payloads of the request. */
  build(): readonly Payload[];
  /** Handles a response; what it is and that it is complete was found by `validate`. */
  process(response: Response): void;
  /** The peer's response is authentic, and no such response. */
  malformed(problem: string): void;
  /** The request was sent as often as it may be, and there is no response. */
  timedOut(): void;
  /** The IKE SA is closed: gives back what was reserved, wipes secrets. */
  abandon(): void;
}

export interface Response {
  readonly story: Story;
  readonly payloads: readonly Payload[];
  readonly header: PeekedHeader;
  /** The whole message as it came, without a non-ESP marker. */
  readonly message: Uint8Array;
}
