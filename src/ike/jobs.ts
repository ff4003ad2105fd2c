/** What others compute for the IKE SAs, and who waits for it. */
import { ChurnMap } from '../churn-map.js';
import type { Effect, Job, JobResult } from './event.js';
import type { IkeSa } from './sa/ike-sa.js';

export class Jobs {
  readonly #emit: (effect: Effect) => void;
  readonly #waiting = new ChurnMap<string, { sa: IkeSa; resume: (result: JobResult) => void }>();
  #count = 0;

  constructor(emit: (effect: Effect) => void) {
    this.#emit = emit;
  }

  /** Asks for a job; `resume` is called with its result unless the IKE SA is gone by then. */
  ask(sa: IkeSa, job: Job, resume: (result: JobResult) => void): void {
    const id = `${sa.localSpi}/${this.#count++}`;
    this.#waiting.set(id, { sa, resume });
    this.#emit({ type: 'compute', id, job });
  }

  done(id: string, result: JobResult): void {
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    if (waiting !== undefined && waiting.sa.state.name !== 'closed') waiting.resume(result);
    else if (result.type === 'generated') result.privateKey.wipe();
    else if ('sharedSecret' in result) result.sharedSecret.wipe();
  }
}
