/** The main thread's end of an IKE worker: in a thread of its own, or in this one. */
import { Worker } from 'node:worker_threads';
import type { IkeOptions } from '../ike/options.js';
import { monotonicNow } from '../net/clock.js';
import type { Sad } from '../sad/sad.js';
import { IkeShard } from './ike-shard.js';
import type { FromWorker, ToWorker } from './messages.js';
import { Packer, type Parcel, unpack } from './parcel.js';
import { threadScript } from './script.js';

export interface WorkerLink {
  /** The listed memory is moved. */
  post(message: ToWorker, transfer?: readonly ArrayBuffer[]): void;
  /** Messages that the worker has not handled yet. */
  backlog(): number;
  close(): Promise<void>;
}

export interface LinkHandlers {
  readonly message: (message: FromWorker) => void;
  /** The worker ended by itself; the link is of no use any more. */
  readonly died: (reason: string) => void;
}

export type OpenLink = (shard: number, shards: number, handlers: LinkHandlers) => WorkerLink;

/** What a worker thread is started with. */
export interface IkeWorkerData {
  readonly shard: number;
  readonly shards: number;
  readonly dataplaneId: number;
  /** What it sends by (`Transport.senderId`); undefined: the main thread. */
  readonly senderId: number | undefined;
  readonly ikeOptions: Partial<IkeOptions>;
  /** Of the mark in our SPIs. */
  readonly spiKey: Uint8Array;
  /** Of `lab_esp_keys`. */
  readonly espKeysFile: string | undefined;
  /** One counter of handled messages. */
  readonly handled: Int32Array;
}

/** How long a worker may take to end before it is terminated. */
const CLOSE_MS = 1_000;

export type ThreadOptions = Pick<
  IkeWorkerData,
  'dataplaneId' | 'senderId' | 'ikeOptions' | 'spiKey' | 'espKeysFile'
>;

/** Workers in threads, which reach dataplane and sockets through an addon instance of their own. */
export function threadLinks(options: ThreadOptions): OpenLink {
  return (shard, shards, handlers) => {
    const handled = new Int32Array(new SharedArrayBuffer(4));
    const workerData: IkeWorkerData = { ...options, shard, shards, handled };
    const worker = new Worker(threadScript('ike-worker'), { workerData, name: `ike-${shard}` });
    let posted = 0;
    let closing = false;
    let reason = '';
    worker.on('message', (parcel: Parcel) => unpack<FromWorker>(parcel, handlers.message));
    worker.on('error', (error) => {
      reason = error.stack ?? error.message;
    });
    const exited = new Promise<void>((resolve) => {
      worker.once('exit', (code) => {
        resolve();
        if (!closing) handlers.died(reason === '' ? `exit code ${code}` : reason);
      });
    });
    const packer = new Packer();
    const flush = () => {
      const { parcel, transfer } = packer.take();
      worker.postMessage(parcel, transfer);
    };
    // What is posted in one turn, such as a burst of datagrams, goes as one message.
    const post: WorkerLink['post'] = (message, transfer) => {
      posted++;
      if (packer.isEmpty) setImmediate(flush);
      packer.add(message, transfer);
    };
    return {
      post,
      // Both counters wrap at 2^32.
      backlog: () => (posted - Atomics.load(handled, 0)) >>> 0,
      async close() {
        closing = true;
        post({ type: 'close' });
        const timer = setTimeout(() => void worker.terminate(), CLOSE_MS);
        await exited;
        clearTimeout(timer);
      },
    };
  };
}

export interface InlineOptions {
  readonly sad: Sad;
  readonly makeCore: ConstructorParameters<typeof IkeShard>[0]['makeCore'];
}

/** All shards in the calling thread, for tests and the in-process lab. */
export function inlineLinks({ sad, makeCore }: InlineOptions): OpenLink {
  return (shard, shards, handlers) => {
    let closed = false;
    let waiting = 0;
    // Messages are delivered in a later turn, as between threads: a core is never re-entered.
    const later = (action: () => void) => {
      waiting++;
      queueMicrotask(() => {
        waiting--;
        if (!closed) action();
      });
    };
    const post = (message: FromWorker) => later(() => handlers.message(message));
    const now = monotonicNow;
    const ikeShard = new IkeShard({ shard, shards, makeCore, sad, now, post });
    post({ type: 'ready' });
    return {
      post: (message) => later(() => ikeShard.receive(message)),
      backlog: () => waiting,
      async close() {
        closed = true;
        ikeShard.close();
      },
    };
  };
}
