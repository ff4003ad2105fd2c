/** ESP on batches in a thread of its own, as bench/esp/workers.ts asks for it. */
import { parentPort } from 'node:worker_threads';
import { addon } from '../src/dataplane/addon.js';
import type { TunnelBenchOptions } from '../src/dataplane/bindings/bench.js';

parentPort!.on('message', (options: TunnelBenchOptions) => {
  parentPort!.postMessage(addon.benchEsp(options));
});
