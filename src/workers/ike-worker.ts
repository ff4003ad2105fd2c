/** The thread of one IKE worker: a shard between the main thread's messages and the dataplane. */
import { parentPort, workerData } from 'node:worker_threads';
import { NativeDataplane } from '../dataplane/native.js';
import { keepCapabilities } from '../dataplane/process.js';
import { Ike } from '../ike/ike.js';
import { monotonicNow } from '../net/clock.js';
import { UdpSender } from '../net/udp-sender.js';
import { logKeys } from '../sad/key-log.js';
import type { ChildSa } from '../sad/sad.js';
import { askByHttp } from './ask-by-http.js';
import { IkeShard } from './ike-shard.js';
import type { IkeWorkerData } from './link.js';
import type { FromWorker, ToWorker } from './messages.js';
import { Packer, type Parcel, unpack } from './parcel.js';

// What peers send is read here: whoever breaks in has nothing.
keepCapabilities([]);

const port = parentPort!;
const { shard, shards, dataplaneId, senderId, ikeOptions, spiKey, espKeysFile, handled } =
  workerData as IkeWorkerData;

/**
 * Each parcel wakes the main thread. What is posted in one turn goes as one; and what it only takes
 * note of waits this long for company.
 */
const NEWS_WAIT_MS = 5;
const NEWS: ReadonlySet<FromWorker['type']> = new Set([
  ...(['half-open', 'spi', 'ike-established', 'ike-closed', 'child-rekeyed', 'log'] as const),
]);

const packer = new Packer();
let urgent = false;
let patience: NodeJS.Timeout | undefined;

function post(message: FromWorker, transfer: readonly ArrayBuffer[] = []): void {
  packer.add(message, transfer);
  if (NEWS.has(message.type)) patience ??= setTimeout(flush, NEWS_WAIT_MS);
  else if (!urgent) {
    urgent = true;
    setImmediate(flush);
  }
}

function flush(): void {
  clearTimeout(patience);
  patience = undefined;
  urgent = false;
  if (packer.isEmpty) return;
  const { parcel, transfer } = packer.take();
  port.postMessage(parcel, transfer);
}

function noteKeys(file: string, sa: ChildSa): void {
  try {
    logKeys(file, sa);
  } catch (error) {
    post({ type: 'log', level: 'error', message: `lab_esp_keys: ${(error as Error).message}` });
  }
}

const sender = senderId === undefined ? undefined : new UdpSender(senderId);

const ikeShard = new IkeShard({
  shard,
  shards,
  makeCore: (environment) => new Ike(environment, ikeOptions),
  sad: NativeDataplane.attach(dataplaneId),
  now: monotonicNow,
  ask: askByHttp,
  spiKey,
  noteKeys: espKeysFile === undefined ? undefined : (sa) => noteKeys(espKeysFile, sa),
  post,
  send:
    sender &&
    (({ local, remote, marker, data, whole }) => sender.send(local, remote, marker, data, whole)),
});

port.on('message', (parcel: Parcel) =>
  unpack<ToWorker>(parcel, (message) => {
    ikeShard.receive(message);
    Atomics.add(handled, 0, 1);
    if (message.type !== 'close') return;
    flush();
    port.close();
  }),
);
// What is left behind of a worker that dies the main thread has to know.
process.once('exit', flush);
post({ type: 'ready' });
