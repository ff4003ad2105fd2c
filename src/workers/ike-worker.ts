/** The thread of one IKE worker: a shard between the main thread's messages and the dataplane. */
import { parentPort, workerData } from 'node:worker_threads';
import { NativeDataplane } from '../dataplane/native.js';
import { keepCapabilities } from '../dataplane/process.js';
import { Ike } from '../ike/ike.js';
import { monotonicNow } from '../net/clock.js';
import { askByHttp } from './ask-by-http.js';
import { IkeShard } from './ike-shard.js';
import type { IkeWorkerData } from './link.js';
import type { FromWorker, ToWorker } from './messages.js';

// What peers send is read here: whoever breaks in has nothing.
keepCapabilities([]);

const port = parentPort!;
const { shard, shards, dataplaneId, ikeOptions, handled } = workerData as IkeWorkerData;

const ikeShard = new IkeShard({
  shard,
  shards,
  makeCore: (environment) => new Ike(environment, ikeOptions),
  sad: NativeDataplane.attach(dataplaneId),
  now: monotonicNow,
  ask: askByHttp,
  post: (message: FromWorker, transfer = []) => port.postMessage(message, transfer),
});

port.on('message', (message: ToWorker) => {
  ikeShard.receive(message);
  Atomics.add(handled, 0, 1);
  if (message.type === 'close') port.close();
});
port.postMessage({ type: 'ready' } satisfies FromWorker);
