/**
 * A real Linux kernel as the peer: User Mode Linux (Debian: user-mode-linux), whose network card
 * `vec0` is one end of a veth, or of a wire in this process. Programs of this machine run in it,
 * such as ip and charon.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { createWriteStream, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { execute, inNamespace, ip } from '../../../src/lab/namespaces.js';
import type { GuestWire } from './guest-wire.js';

const init = fileURLToPath(new URL('./guest-init.sh', import.meta.url));
const xstateShim = fileURLToPath(new URL('./xstate-shim.cc', import.meta.url));
const BOOT_SECONDS = 60;

/** The end of a veth; it gets no address of ours. */
export interface VethCard {
  readonly namespace: string;
  readonly device: string;
}

export interface WireCard {
  readonly wire: GuestWire;
}

export type KernelOptions = (VethCard | WireCard) & { readonly folder: string };

export interface Outcome {
  readonly code: number;
  readonly output: string;
}

export class LinuxKernel {
  readonly #child: ChildProcess;
  readonly #console: string;
  readonly #waiting = new Map<string, (outcome: Outcome) => void>();
  #last = 0;

  private constructor(child: ChildProcess, console: string) {
    this.#child = child;
    this.#console = console;
  }

  static async boot(options: KernelOptions): Promise<LinuxKernel> {
    const { folder } = options;
    mkdirSync(folder, { recursive: true });
    const shim = join(folder, 'xstate-shim.so');
    execute(['g++', '-O1', '-shared', '-fPIC', '-o', shim, xstateShim]);
    const guest = [
      ...['linux.uml', 'mem=192M', 'umid=guest', `uml_dir=${folder}`, 'quiet', 'panic=1'],
      ...['root=/dev/root', 'rootfstype=hostfs', 'rootflags=/', 'ro', `init=${init}`],
      ...['con=null', 'con0=null,fd:2', 'ssl0=fd:0,fd:1'],
    ];
    const card = 'wire' in options ? options.wire.card : vethCard(options);
    // A guest is several processes, which end with the first of a PID namespace.
    const alone = ['unshare', '--pid', '--fork', '--kill-child'];
    const bound = ['setpriv', '--pdeathsig', 'KILL', ...alone, ...guest, card];
    const [file, ...args] = 'wire' in options ? bound : inNamespace(options.namespace, bound);
    const child = spawn(file!, args, {
      stdio: ['pipe', 'pipe', 'pipe'],
      env: { ...process.env, TMPDIR: '/dev/shm', LD_PRELOAD: shim },
    });
    const console = join(folder, 'console.log');
    child.stderr!.pipe(createWriteStream(console));
    const kernel = new LinuxKernel(child, console);
    await kernel.#ready();
    return kernel;
  }

  /** Lets the guest see a folder of this machine; the guest's /tmp and /run are its own. */
  async share(folder: string, guestFolder: string): Promise<void> {
    await this.run(`mkdir -p ${guestFolder}; mount -t hostfs none ${guestFolder} -o ${folder}`);
  }

  /** Runs a shell script in the guest to its end. */
  exec(script: string, seconds = 30): Promise<Outcome> {
    const id = String(++this.#last);
    this.#child.stdin!.write(`${id} ${Buffer.from(script).toString('base64')}\n`);
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#waiting.delete(id);
        reject(new Error(`the guest is not done within ${seconds} s: ${script}`));
      }, seconds * 1000);
      this.#waiting.set(id, (outcome) => {
        clearTimeout(timer);
        resolve(outcome);
      });
    });
  }

  /** The same, and it must succeed. */
  async run(script: string, seconds = 30): Promise<string> {
    const { code, output } = await this.exec(`set -e\n${script}`, seconds);
    if (code !== 0) throw new Error(`exit code ${code} in the guest: ${script}\n${output}`);
    return output;
  }

  /** A guest has nothing to lose: it is killed. */
  async stop(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const ended = new Promise((resolve) => this.#child.once('exit', resolve));
    this.#child.kill('SIGKILL');
    await ended;
  }

  #ready(): Promise<void> {
    return new Promise((resolve, reject) => {
      const fail = (what: string) => (): void => {
        reject(
          new Error(`the guest ${what}:\n${readFileSync(this.#console, 'utf8').slice(-2000)}`),
        );
      };
      const timer = setTimeout(fail(`did not boot within ${BOOT_SECONDS} s`), BOOT_SECONDS * 1000);
      this.#child.once('exit', fail('ended'));
      createInterface(this.#child.stdout!).on('line', (line) => {
        if (line.trim() === 'ready') {
          clearTimeout(timer);
          resolve();
        } else this.#answer(line.trim());
      });
    });
  }

  #answer(line: string): void {
    const [id = '', code, output = ''] = line.split(' ');
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    waiting?.({ code: Number(code), output: Buffer.from(output, 'base64').toString() });
  }
}

function vethCard({ namespace, device }: VethCard): string {
  // The guest speaks for the device's address: this machine must not answer on it.
  execute(inNamespace(namespace, ['sysctl', '-qw', `net.ipv6.conf.${device}.disable_ipv6=1`]));
  ip(['-n', namespace, 'link', 'set', device, 'promisc', 'on', 'up']);
  return `vec0:transport=raw,ifname=${device},depth=128`;
}
