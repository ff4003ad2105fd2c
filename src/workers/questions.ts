/** What workers are asked, and what they answer; no answer in time is one too. */
import type { IkeSaView, IkeSpi } from '../ike/event.js';
import type { ProbeAnswer } from '../ike/tasks/probe.js';
import type { WorkerLink } from './link.js';
import type { FromWorker } from './messages.js';

const VIEW_MS = 2_000;
/** Long enough for a few retransmissions. */
const PROBE_MS = 6_000;

export class Questions {
  readonly #views = new Map<number, (part: readonly IkeSaView[], isLast: boolean) => void>();
  readonly #probes = new Map<number, (answer?: ProbeAnswer) => void>();
  #next = 0;

  /** The IKE SAs of a worker; undefined where it does not answer in time. */
  view(link: WorkerLink): Promise<readonly IkeSaView[] | undefined> {
    const id = this.#next++;
    const all: IkeSaView[] = [];
    return new Promise((resolve) => {
      const end = (ikeSas?: readonly IkeSaView[]) => {
        clearTimeout(timer);
        this.#views.delete(id);
        resolve(ikeSas);
      };
      // As long as parts come the worker lives.
      let timer = setTimeout(end, VIEW_MS);
      this.#views.set(id, (part, isLast) => {
        for (const ikeSa of part) all.push(ikeSa);
        if (isLast) end(all);
        else timer = timer.refresh();
      });
      link.post({ type: 'view', id });
    });
  }

  /** A part of an answer to `view`. */
  viewed({ id, ikeSas, isLast }: Extract<FromWorker, { type: 'view' }>): void {
    this.#views.get(id)?.(ikeSas, isLast);
  }

  /**
   * Has the peer answer on an IKE SA of the worker, in a datagram of so many bytes (0: no matter
   * which). Undefined: it does not, within some seconds.
   */
  probe(link: WorkerLink, ikeSpi: IkeSpi, bytes: number): Promise<ProbeAnswer | undefined> {
    const probe = this.#next++;
    return new Promise((resolve) => {
      const answer = (got?: ProbeAnswer) => {
        clearTimeout(timer);
        this.#probes.delete(probe);
        resolve(got);
      };
      const timer = setTimeout(answer, PROBE_MS);
      this.#probes.set(probe, answer);
      link.post({ type: 'probe', ikeSpi, probe, bytes });
    });
  }

  /** The answer to `probe`. */
  probed({ probe, answer }: Extract<FromWorker, { type: 'probed' }>): void {
    this.#probes.get(probe)?.(answer);
  }
}
