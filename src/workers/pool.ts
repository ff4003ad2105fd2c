/**
 * Threads for key exchange jobs that would hold up an IKE worker. They keep no state; secrets
 * reach them and come back by transfer, and each side wipes what it has done with.
 */
import { Piscina } from 'piscina';
import { type PortableJob, type PortableJobResult, transferOf } from './portable.js';
import { threadScript } from './script.js';

export interface JobRunner {
  /** Never rejects: what goes wrong is a `failed` result. */
  run(job: PortableJob): Promise<PortableJobResult>;
  close(): Promise<void>;
}

/** Jobs that wait at once; more are refused, since their exchanges would time out anyway. */
const MAX_QUEUE = 1024;

export function openPool(threads: number): JobRunner {
  const pool = new Piscina({
    filename: threadScript('pool-job'),
    minThreads: 0,
    maxThreads: threads,
    idleTimeout: 10_000,
    maxQueue: MAX_QUEUE,
    // An idle thread that waits by Atomics.wait costs nothing and wakes fast; these hold no state.
    atomics: 'sync',
  });
  return {
    async run(job) {
      try {
        return await pool.run(job, { transferList: transferOf(job) });
      } catch (error) {
        return { type: 'failed', reason: error instanceof Error ? error.message : String(error) };
      }
    },
    close: () => pool.destroy(),
  };
}
