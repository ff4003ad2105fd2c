/** What a packet costs among up to a million SAs, chosen at random, and what an SA takes. */
import { addon } from '../../src/dataplane/addon.js';
import { type BenchTable, describeMachine, printIfMain } from '../table.js';

const PAIRS = [1, 1_000, 100_000, 1_000_000];
const MILLISECONDS = 500;

export async function benchSad(): Promise<BenchTable> {
  return {
    name: 'sad',
    title: 'Pairs of AES-128-GCM SAs in one policy, packets of SAs at random',
    notes: [
      'From the headers of an inner packet of 64 bytes to the sealed one, without a flow cache, and back.',
      'Medians of batches of 32. Install: SPI, both SAs with their keys, policy; of the thread’s own CPU time.',
      'Memory: resident, of the process, with a replay window of 4096 packets; a few pairs say nothing.',
      'Of it: both key tables, the window, the hot and cold lines of both SAs; the rest is policy and indices.',
    ],
    machine: describeMachine(),
    columns: [
      { key: 'pairs', title: 'pairs', digits: 0 },
      { key: 'outbound', title: 'outbound', unit: 'ticks/packet', digits: 0 },
      { key: 'inbound', title: 'inbound', unit: 'ticks/packet', digits: 0 },
      { key: 'install', title: 'install', unit: 'µs/pair', digits: 2 },
      { key: 'remove', title: 'remove', unit: 'µs/pair', digits: 2 },
      { key: 'bytes', title: 'memory', unit: 'bytes/pair', digits: 0 },
      { key: 'keys', title: 'keys', unit: 'bytes/pair', digits: 0 },
      { key: 'window', title: 'window', unit: 'bytes/pair', digits: 0 },
      { key: 'sas', title: 'SAs', unit: 'bytes/pair', digits: 0 },
    ],
    rows: PAIRS.map((pairs) => {
      const result = addon.benchSad(pairs, MILLISECONDS);
      return {
        pairs,
        outbound: result.outboundTicks,
        inbound: result.inboundTicks,
        install: result.installNanoseconds / 1e3,
        remove: result.removeNanoseconds / 1e3,
        bytes: pairs < 100_000 ? undefined : result.bytesPerPair,
        keys: result.keyTableBytes,
        window: result.windowBytes,
        sas: result.saBytes,
      };
    }),
  };
}

await printIfMain(import.meta.url, benchSad);
