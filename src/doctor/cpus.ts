/** The CPUs that this process may use and the interfaces' places among them, from /proc and /sys. */
import { list, read } from './files.js';

export interface Cpu {
  readonly number: number;
  /** Hyperthreads of one core have the same. */
  readonly core: string;
  /** NUMA node. */
  readonly node: number;
}

/** In order of their numbers; where the kernel does not tell, each is a core of node 0. */
export function readCpus(): Cpu[] {
  const allowed = /^Cpus_allowed_list:\s+(\S+)/m.exec(read('/proc/self/status') ?? '')?.[1] ?? '0';
  return numbersOf(allowed).map((number) => {
    const at = `/sys/devices/system/cpu/cpu${number}`;
    const ids = ['physical_package_id', 'core_id'].map((id) => read(`${at}/topology/${id}`));
    const node = list(at).find((name) => /^node\d+$/.test(name));
    return {
      number,
      core: ids.includes(undefined) ? `cpu${number}` : ids.join(':'),
      node: Number(node?.slice('node'.length) ?? 0),
    };
  });
}

/** The numbers that a list such as `0,2-3` names. */
export function numbersOf(text: string): number[] {
  return text.split(',').flatMap((part) => {
    const [first = 0, last = first] = part.split('-').map(Number);
    return Array.from({ length: last - first + 1 }, (_, i) => first + i);
  });
}

/** NUMA nodes of interfaces, as far as their drivers tell. */
export function numaNodesOf(devices: readonly string[]): number[] {
  const nodes = devices.map((name) =>
    Number(read(`/sys/class/net/${name}/device/numa_node`) ?? -1),
  );
  return [...new Set(nodes)].filter((node) => node >= 0);
}

/** Queues that an interface receives on; 0 where it does not tell. */
export function receiveQueuesOf(device: string): number {
  return list(`/sys/class/net/${device}/queues`).filter((name) => name.startsWith('rx-')).length;
}
