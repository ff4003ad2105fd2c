/** Two gateways in namespaces with a generator and a sink, made and removed again. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TrafficPair } from '../bench/traffic.js';
import { NamespaceLab } from './namespace-lab.js';
import { makeTopology } from './topology.js';
import { LabTrafficPair } from './traffic-pair.js';

/** @param plain  forward in clear: what ports and kernel cost without the transform */
export async function withLoopback<T>(
  plain: boolean,
  measure: (pair: TrafficPair, modes: readonly string[]) => Promise<T>,
): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), 'esplane-bench-'));
  const topology = makeTopology();
  let lab: NamespaceLab | undefined;
  let pair: LabTrafficPair | undefined;
  try {
    lab = await NamespaceLab.start(topology, folder, plain);
    const { ports } = await lab.a.status();
    pair = await LabTrafficPair.start(topology);
    return await measure(pair, [...new Set(ports.map(({ mode }) => mode))]);
  } finally {
    await pair?.stop();
    await lab?.stop();
    await lab?.tap.stop();
    topology.remove();
    rmSync(folder, { recursive: true, force: true });
  }
}
