/** What a thread of the pool runs: one key exchange job, its secrets moved in and out. */
import { move, transferableSymbol, valueSymbol } from 'piscina';
import { runJob } from '../crypto/jobs.js';
import { keepCapabilities } from '../dataplane/process.js';
import { type PortableJob, packResult, transferOf, unpackJob } from './portable.js';

keepCapabilities([]);

export default function job(portable: PortableJob): unknown {
  const result = packResult(runJob(unpackJob(portable)));
  const [memory] = transferOf(result);
  if (memory === undefined) return result;
  return move({ [transferableSymbol]: memory, [valueSymbol]: result } as never);
}
