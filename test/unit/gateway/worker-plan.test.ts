import { describe, expect, it } from 'vitest';
import type { Cpu } from '../../../src/doctor/cpus.js';
import { numbersOf } from '../../../src/doctor/cpus.js';
import { planWorkers } from '../../../src/gateway/worker-plan.js';

/** Nodes of `cores` cores each, with their second hyperthreads numbered behind all first ones. */
function machine(nodes: number, cores: number, threads = 1): Cpu[] {
  return Array.from({ length: nodes * cores * threads }, (_, number) => {
    const core = number % (nodes * cores);
    return { number, core: `${core}`, node: Math.floor(core / cores) };
  });
}

const AUTO = { workers: 'auto', cpus: 'auto', queueWorkers: undefined } as const;

describe('a plan of the workers', () => {
  it('leaves one core of more than two to the control plane', () => {
    expect(planWorkers(AUTO, machine(1, 1), [])).toMatchObject({ workers: 1, cpus: [] });
    expect(planWorkers(AUTO, machine(1, 2), [])).toMatchObject({ workers: 2, cpus: [] });
    expect(planWorkers(AUTO, machine(1, 4), [])).toMatchObject({ workers: 3, cpus: [1, 2, 3] });
  });

  it('has one worker a core, not one a hyperthread', () => {
    expect(planWorkers(AUTO, machine(1, 4, 2), [])).toMatchObject({ workers: 3, cpus: [1, 2, 3] });
    expect(planWorkers(AUTO, machine(1, 1, 2), [])).toMatchObject({ workers: 1, cpus: [] });
  });

  it("takes cores of the ports' NUMA node first, and leaves another one to the control plane", () => {
    const two = { ...AUTO, workers: 2 };
    expect(planWorkers(two, machine(2, 4, 2), [1])).toMatchObject({ workers: 2, cpus: [4, 5] });
    const six = { ...AUTO, workers: 6 };
    expect(planWorkers(six, machine(2, 4, 2), [1]).cpus).toEqual([4, 5, 6, 7, 1, 2]);
    expect(planWorkers(AUTO, machine(2, 4), [0, 1]).cpus).toEqual([1, 2, 3, 4, 5, 6, 7]);
  });

  it('shares cores only where more workers are asked for than there are cores', () => {
    const all = { ...AUTO, workers: 6 };
    expect(planWorkers(all, machine(1, 4, 2), []).cpus).toEqual([1, 2, 3, 0, 4, 5]);
    expect(planWorkers({ ...AUTO, workers: 9 }, machine(1, 4, 2), []).cpus).toEqual([]);
  });

  it('takes what the configuration says', () => {
    const said = { workers: 2, cpus: [5, 7], queueWorkers: [0, 1, 1] };
    expect(planWorkers(said, machine(1, 8), [])).toEqual(said);
    expect(planWorkers({ ...AUTO, cpus: [1, 3] }, machine(1, 8), []).workers).toBe(2);
    expect(planWorkers({ ...AUTO, cpus: 'any' }, machine(1, 4), [])).toMatchObject({
      workers: 3,
      cpus: [],
    });
  });

  it('reads the lists of the kernel', () => {
    expect(numbersOf('0,2-4,7')).toEqual([0, 2, 3, 4, 7]);
  });
});
