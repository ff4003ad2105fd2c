/**
 * Network namespaces of one run of the lab or of a test: made, entered, and removed with all that
 * runs inside. Their names carry the process that made them, so that a later run can sweep what a
 * crash left behind. Needs root and iproute2.
 */
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';

const PREFIX = 'esplane-';

let made = 0;

export class Namespaces {
  /**
   * Such as `esplane-4711.28051-1-`: process ID and start time, which never occur twice, and a
   * number of this process's own.
   */
  readonly prefix = `${PREFIX}${process.pid}.${startTime(process.pid)}-${++made}-`;
  readonly #names: string[] = [];
  readonly #remove = (): void => this.remove();

  constructor() {
    sweepStaleNamespaces();
    process.once('exit', this.#remove);
  }

  /** Makes a namespace with its loopback up, as a router and without IPv6's waiting times. */
  add(role: string): string {
    const name = `${this.prefix}${role}`;
    ip(['netns', 'add', name]);
    this.#names.push(name);
    execute(inNamespace(name, ['sysctl', '-qw', ...SYSCTLS]));
    ip(['-n', name, 'link', 'set', 'lo', 'up']);
    return name;
  }

  /** Kills whatever runs in the namespaces and deletes them. May be called twice. */
  remove(): void {
    process.off('exit', this.#remove);
    for (const name of this.#names.splice(0)) deleteNamespace(name);
  }
}

const SYSCTLS = [
  'net.ipv4.ip_forward=1',
  'net.ipv6.conf.all.forwarding=1',
  // A tunnel's inner packets enter by another interface than the route back leaves by.
  'net.ipv4.conf.all.rp_filter=0',
  'net.ipv4.conf.default.rp_filter=0',
  // Duplicate address detection would take a second.
  'net.ipv6.conf.all.accept_dad=0',
  'net.ipv6.conf.default.accept_dad=0',
  'net.ipv6.conf.default.accept_ra=0',
  'net.ipv6.conf.default.router_solicitations=0',
  // A route through the gateway that sent the packet is no reason to tell the host of a better one.
  'net.ipv4.conf.all.send_redirects=0',
  'net.ipv4.conf.default.send_redirects=0',
];

/** The command line that runs a command in a namespace. */
export function inNamespace(name: string, command: readonly string[]): string[] {
  return ['ip', 'netns', 'exec', name, ...command];
}

/** Runs a command to its end; throws an error with its standard error. */
export function execute(command: readonly string[], input = ''): string {
  try {
    const [file, ...args] = command;
    return execFileSync(file!, args, { encoding: 'utf8', input, stdio: 'pipe' });
  } catch (error) {
    const { stderr } = error as { stderr?: string };
    const reason = stderr?.trim() || (error as Error).message;
    throw new Error(`${command.join(' ')}: ${reason}`);
  }
}

export function ip(args: readonly string[]): string {
  return execute(['ip', ...args]);
}

/** Runs lines of `ip` commands in a namespace. */
export function ipBatch(namespace: string, lines: readonly string[]): void {
  execute(['ip', '-n', namespace, '-batch', '-'], `${lines.join('\n')}\n`);
}

/** Turns off what makes a veth pass unfinished checksums and oversized segments. */
export function switchOffOffloads(namespace: string, device: string): void {
  // A NIC would finish them in hardware; AF_XDP and taps see what the stack left undone.
  const off = ['tx', 'off', 'tso', 'off', 'gso', 'off', 'gro', 'off'];
  execute(inNamespace(namespace, ['ethtool', '-K', device, ...off]));
}

/** Undefined where namespaces can be made and entered here, else the reason. */
export function whyNoNamespaces(): string | undefined {
  if (process.getuid?.() !== 0) return 'not root';
  const name = `${PREFIX}${process.pid}.${startTime(process.pid)}-probe`;
  try {
    ip(['netns', 'add', name]);
    // Entering it mounts a /sys of its own, which is more than making it.
    execute(inNamespace(name, ['true']));
    return undefined;
  } catch (error) {
    return (error as Error).message;
  } finally {
    deleteNamespace(name);
  }
}

/** Deletes namespaces of runs that are no more, with what still runs in them. */
export function sweepStaleNamespaces(): void {
  for (const name of namesOfNamespaces()) {
    const [, pid, start] = /^esplane-(\d+)\.(\d+)-/.exec(name) ?? [];
    if (pid !== undefined && startTime(Number(pid)) !== start) deleteNamespace(name);
  }
}

function namesOfNamespaces(): string[] {
  try {
    return readdirSync('/run/netns').filter((name) => name.startsWith(PREFIX));
  } catch {
    return []; // none was ever made
  }
}

function deleteNamespace(name: string): void {
  try {
    for (const pid of ip(['netns', 'pids', name]).split('\n').filter(Boolean)) {
      process.kill(Number(pid), 'SIGKILL');
    }
  } catch {
    // ended by itself, or the namespace is half made
  }
  try {
    ip(['netns', 'del', name]);
  } catch {
    // another run swept it
  }
}

/** When a process started, in clock ticks since boot; undefined where there is none. */
function startTime(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // Field 22 (proc(5)); the name in parentheses may hold anything.
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
  } catch {
    return undefined;
  }
}
