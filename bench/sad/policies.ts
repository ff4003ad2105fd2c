/** What the SPD costs a packet that the flow cache does not know, among up to ten thousand policies. */
import { addon } from '../../src/dataplane/addon.js';
import { type BenchTable, describeMachine, printIfMain } from '../table.js';

const POLICIES = [10, 100, 1_000, 10_000];
const MILLISECONDS = 200;

export async function benchPolicies(): Promise<BenchTable> {
  return {
    name: 'policies',
    title: 'Ordered policies with disjoint networks, a third of them with protocol and ports',
    notes: [
      '4096 packets in turn, medians of 32. Build: from the entries to the published snapshot.',
    ],
    machine: describeMachine(),
    columns: [
      { key: 'policies', title: 'policies', digits: 0 },
      { key: 'lookup', title: 'look-up', unit: 'ns', digits: 0 },
      { key: 'best', title: 'best', unit: 'ns', digits: 0 },
      { key: 'build', title: 'build', unit: 'ms', digits: 2 },
    ],
    rows: POLICIES.map((policies) => {
      const result = addon.benchPolicies(policies, MILLISECONDS);
      return {
        policies,
        lookup: result.lookupNanoseconds,
        best: result.bestLookupNanoseconds,
        build: result.buildMilliseconds,
      };
    }),
  };
}

await printIfMain(import.meta.url, benchPolicies);
