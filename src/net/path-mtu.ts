/** What the kernel knows of MTUs: of an interface, and of the path to an address. */
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { promisify } from 'node:util';

/** Undefined where there is no such interface. */
export function interfaceMtu(device: string): number | undefined {
  try {
    return Number(readFileSync(`/sys/class/net/${device}/mtu`, 'utf8'));
  } catch {
    return undefined;
  }
}

/** What ICMP has told of the path of late; undefined: nothing. */
export async function knownPathMtu(address: string): Promise<number | undefined> {
  try {
    const { stdout } = await promisify(execFile)('ip', ['-j', 'route', 'get', address]);
    const [route] = JSON.parse(stdout) as { metrics?: { mtu?: number }[] }[];
    return route?.metrics?.find(({ mtu }) => mtu !== undefined)?.mtu;
  } catch {
    return undefined;
  }
}
