/**
 * A liveness check (RFC 7296 §2.4) that tells how it went, and may be made as long as the path is
 * to carry. What fills it is a notification of a private status type, which every peer ignores
 * (§3.10.1). It goes whole at first; when that brings no answer, empty and in fragments by turns,
 * so that a probe which is too long does not end the IKE SA. Fragments (RFC 7383 §2.5.2) are for a
 * peer that has seen the long one, and takes nothing else for it; an empty request, which is no
 * retransmission to the letter (§2.1), for one that has not: strongSwan with mediation, as Debian
 * has it, ignores an INFORMATIONAL request in fragments.
 */
import { EXCHANGE, type Payload } from '../../wire/index.js';
import type { Core } from '../core.js';
import type { IkeSa } from '../ike-sa.js';
import { notify } from '../payloads.js';
import type { Task } from './task.js';

/** Of the private status types, 40960 to 65535. */
const FILLING = 40_960;
/** Octets of a cipher's block, at most. */
const MOST_BLOCK = 16;

class Probe implements Task {
  readonly kind = 'liveness';
  readonly exchange = EXCHANGE.INFORMATIONAL;
  readonly tries: number;
  readonly wholeTries = 2;
  readonly #sa: IkeSa;
  readonly #core: Core;
  readonly #probe: number;
  readonly #bytes: number;
  #startedAt = 0;
  #filled: readonly Payload[] = [];

  /**
   * @param probe  by which the answer is known
   * @param bytes  of the IP datagram, at most; 0: as short as it can be
   */
  constructor(sa: IkeSa, core: Core, probe: number, bytes: number) {
    this.#sa = sa;
    this.#core = core;
    this.#probe = probe;
    this.#bytes = bytes;
    this.tries = core.options.requestTries;
  }

  build(): readonly Payload[] {
    this.#startedAt = this.#core.now;
    if (this.#bytes === 0) return [];
    const filled = (octets: number) => [notify(FILLING, new Uint8Array(Math.max(0, octets)))];
    const { channel } = this.#sa;
    const room = this.#bytes - channel.datagramBytes(filled(0));
    // A cipher that pads to whole blocks may have gone beyond.
    const isBeyond = channel.datagramBytes(filled(room)) > this.#bytes;
    this.#filled = filled(isBeyond ? room - MOST_BLOCK : room);
    return this.#filled;
  }

  again(sent: number): readonly Payload[] | undefined {
    if (this.#bytes === 0 || sent < this.wholeTries) return undefined;
    return (sent - this.wholeTries) % 2 === 0 ? [] : this.#filled;
  }

  process(): void {
    const { sent, datagrams } = this.#sa.window.outstanding!;
    const asBuilt = this.#bytes === 0 || (sent <= this.wholeTries && datagrams.length === 1);
    this.#tell({
      sent,
      milliseconds: this.#core.now - this.#startedAt,
      ...(asBuilt ? { bytes: this.#sa.channel.ipBytes(datagrams[0]!) } : {}),
    });
    this.#sa.finishRequest();
  }

  malformed(problem: string): void {
    this.#tell(undefined);
    this.#sa.misanswered(problem);
  }

  timedOut(): void {
    this.#tell(undefined);
    this.#sa.lost();
  }

  abandon(): void {
    this.#tell(undefined);
  }

  #tell(answer: ProbeAnswer | undefined): void {
    this.#core.emit({
      type: 'probed',
      probe: this.#probe,
      ...(answer === undefined ? {} : { answer }),
    });
  }
}

/** Sees how the peer answers; a long probe is only made where it can be said again in fragments. */
export function probePeer(sa: IkeSa | undefined, core: Core, probe: number, bytes: number): void {
  if (sa?.state.name === 'established' && (bytes === 0 || sa.supportsFragments)) {
    sa.request(new Probe(sa, core, probe, bytes));
  } else core.emit({ type: 'probed', probe });
}

export interface ProbeAnswer {
  /** How many times the request was sent. */
  readonly sent: number;
  /** From the first time to the answer. */
  readonly milliseconds: number;
  /** Of the IP datagram that was answered; undefined: not as long as asked for, or in fragments. */
  readonly bytes?: number;
}
