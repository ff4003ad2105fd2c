/**
 * A liveness check (RFC 7296 §2.4) that tells how it went, and may be made as long as the path is
 * to carry. What fills it is a notification of a private status type, which every peer ignores
 * (§3.10.1). It goes with DF at first; when that brings no answer, the same octets (§2.1) go without,
 * so that a probe which is too long does not end the IKE SA: IP fragments bring them. Where these
 * are lost, as many firewalls have it, or no router cuts it, because a link drops what is too long
 * for it, fragments of IKE do (RFC 7383).
 *
 * And where those bring no answer either, because strongSwan with mediation, as Debian has it,
 * ignores an INFORMATIONAL request in them, it is said empty: no retransmission to the letter (§2.1),
 * but else the peer would be taken for dead. All of these take turns then.
 */
import { EXCHANGE, type Payload } from '../../wire/index.js';
import type { Core } from '../core.js';
import { notify } from '../messages/payloads.js';
import type { IkeSa } from '../sa/ike-sa.js';
import type { Task } from './task.js';

/** Of the private status types, 40960 to 65535. */
const FILLING = 40_960;
/** Octets of a cipher's block, at most. */
const MOST_BLOCK = 16;
/** Times that it is sent in one message, before it is sent in other forms. */
const WHOLE_TRIES = 2;
/** In fragments of IKE, empty, and in one message again. */
const FORMS = 3;

class Probe implements Task {
  readonly kind = 'liveness';
  readonly exchange = EXCHANGE.INFORMATIONAL;
  readonly tries: number;
  readonly measures: boolean;
  readonly #sa: IkeSa;
  readonly #core: Core;
  readonly #probe: number;
  readonly #bytes: number;
  #startedAt = 0;

  /**
   * @param probe  by which the answer is known
   * @param bytes  of the IP datagram, at most; 0: as short as it can be
   */
  constructor(sa: IkeSa, core: Core, probe: number, bytes: number) {
    this.#sa = sa;
    this.#core = core;
    this.#probe = probe;
    this.#bytes = bytes;
    this.measures = bytes > 0;
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
    return filled(isBeyond ? room - MOST_BLOCK : room);
  }

  goesWhole(sent: number): boolean {
    return sent < WHOLE_TRIES || formOf(sent) === 2;
  }

  again(sent: number): readonly Payload[] | undefined {
    return this.#bytes > 0 && sent >= WHOLE_TRIES && formOf(sent) === 1 ? [] : undefined;
  }

  process(): void {
    const { sent, first } = this.#sa.window.byTask(this)!;
    this.#tell({
      sent,
      milliseconds: this.#core.now - this.#startedAt,
      ...(sent === 1 ? { bytes: this.#sa.channel.ipBytes(first[0]!) } : {}),
    });
    this.#sa.finishRequest(this);
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

function formOf(sent: number): number {
  return (sent - WHOLE_TRIES) % FORMS;
}

/** Sees how the peer answers; a long probe is only made where IKE can bring it in fragments too. */
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
  /** Of the IP datagram that was answered; undefined: not the first one, with DF if it is long. */
  readonly bytes?: number;
}
