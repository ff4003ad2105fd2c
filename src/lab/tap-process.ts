/**
 * The wire's tap in a process of its own, since a process lives in one namespace: started with
 * `WireTapProcess.start`, asked and answered by messages. As a program:
 *
 *     node tap-process.js INTERFACE,INTERFACE NETWORK,NETWORK...
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { pathToFileURL } from 'node:url';
import { inNamespace } from './namespaces.js';
import { compiledProgram } from './program.js';
import { type TapCounts, WireTap } from './wire-tap.js';

const self = compiledProgram('lab/tap-process.js');

export class WireTapProcess {
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess) {
    this.#child = child;
  }

  /** Counts from now on; packets to or from `networks` are the clear text. */
  static async start(
    namespace: string,
    interfaces: readonly string[],
    networks: readonly string[],
  ): Promise<WireTapProcess> {
    const command = [process.execPath, self, interfaces.join(','), networks.join(',')];
    const [file, ...args] = inNamespace(namespace, ['setpriv', '--pdeathsig', 'KILL', ...command]);
    const child = spawn(file!, args, { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
    const tap = new WireTapProcess(child);
    await tap.counts();
    return tap;
  }

  counts(): Promise<TapCounts> {
    return new Promise((resolve, reject) => {
      const onExit = (code: number | null): void => {
        reject(new Error(`the wire's tap ended with exit code ${code}`));
      };
      this.#child.once('exit', onExit);
      this.#child.once('message', (counts) => {
        this.#child.off('exit', onExit);
        resolve(counts as TapCounts);
      });
      this.#child.send('counts', (error) => {
        if (error) reject(error);
      });
    });
  }

  stop(): void {
    this.#child.kill('SIGKILL');
  }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const [interfaces = '', networks = ''] = process.argv.slice(2);
  const tap = new WireTap(interfaces.split(','), networks.split(','));
  process.on('message', () => process.send?.(tap.counts()));
}
