/**
 * How many dataplane workers there are and where they run, for what the configuration leaves to
 * us. Pure; `doctor/cpus.ts` reads the machine.
 */
import type { GatewayConfig } from '../config/gateway-config.js';
import type { WorkerPlan } from '../dataplane/dataplane.js';
import type { Cpu } from '../doctor/cpus.js';

const MOST_WORKERS = 64;

/**
 * "auto" is one worker a core, hyperthreads left alone: two that share a core do little more than
 * one. Cores of the ports' NUMA node come first. Where there are more than two cores, one of them
 * is left to the control plane and the kernel, and workers are pinned; on one or two cores they
 * have to share, and the kernel does that better than we.
 * @param cpus       those that this process may use
 * @param portNodes  NUMA nodes of the ports, as far as they tell
 */
export function planWorkers(
  { workers, cpus: wanted, queueWorkers }: Pick<GatewayConfig, 'workers' | 'cpus' | 'queueWorkers'>,
  cpus: readonly Cpu[],
  portNodes: readonly number[],
): WorkerPlan {
  const order = inOrder(cpus, portNodes);
  const cores = new Set(cpus.map(({ core }) => core)).size;
  const count = workers === 'auto' ? autoWorkers(wanted, cores) : workers;
  const pinned = wanted === 'auto' && cores > 2 && count <= order.length ? order : [];
  return {
    workers: count,
    cpus: typeof wanted === 'string' ? pinned.slice(0, count) : wanted,
    queueWorkers: queueWorkers ?? [],
  };
}

/** CPUs that were named are meant to be used, all of them. */
function autoWorkers(wanted: GatewayConfig['cpus'], cores: number): number {
  const count = typeof wanted === 'string' ? (cores > 2 ? cores - 1 : cores) : wanted.length;
  return Math.max(1, Math.min(count, MOST_WORKERS));
}

/**
 * One CPU of each core, those of the ports' nodes first; then the core that is the control
 * plane's, the first one that is not on the ports' node, or the very first; then hyperthreads.
 */
function inOrder(cpus: readonly Cpu[], portNodes: readonly number[]): number[] {
  const isNear = ({ node }: Cpu) => portNodes.length === 0 || portNodes.includes(node);
  const sorted = [...cpus].sort(
    (a, b) => Number(isNear(b)) - Number(isNear(a)) || a.number - b.number,
  );
  const seen = new Set<string>();
  const first = sorted.filter(({ core }) => !seen.has(core) && seen.add(core));
  const control = first.find((cpu) => !isNear(cpu)) ?? first[0];
  const rank = (cpu: Cpu) => (cpu === control ? 1 : first.includes(cpu) ? 0 : 2);
  return [...sorted].sort((a, b) => rank(a) - rank(b)).map(({ number }) => number);
}
