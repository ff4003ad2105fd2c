/** A `udp-gateway.ts` in a namespace, seen from a test. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { IkeSaView } from '../../../src/ike/event.js';
import type { IkeOptions } from '../../../src/ike/options.js';
import { inNamespace } from '../../../src/lab/namespaces.js';
import { waitFor } from '../../../src/lab/program.js';
import type { Command, Report } from './udp-gateway.js';

const root = fileURLToPath(new URL('../../../', import.meta.url));
const program = `${root}build/interop/test/interop/support/udp-gateway.js`;

type Of<T extends Report['type']> = Extract<Report, { type: T }>;

export class GatewayProcess {
  readonly reports: Report[] = [];
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess) {
    this.#child = child;
    createInterface(child.stdout!).on('line', (line) => {
      this.reports.push(JSON.parse(line) as Report);
    });
  }

  static async start(
    namespace: string,
    address: string,
    options: Partial<IkeOptions> = {},
  ): Promise<GatewayProcess> {
    execFileSync(`${root}node_modules/.bin/tsc`, ['-p', `${root}test/interop`], {
      stdio: 'inherit',
    });
    const node = [process.execPath, program, address, JSON.stringify(options)];
    const command = inNamespace(namespace, ['setpriv', '--pdeathsig', 'TERM', ...node]);
    const child = spawn(command[0]!, command.slice(1), { stdio: ['pipe', 'pipe', 'inherit'] });
    const gateway = new GatewayProcess(child);
    await gateway.next('ready');
    return gateway;
  }

  command(command: Command): void {
    this.#child.stdin!.write(`${JSON.stringify(command)}\n`);
  }

  /** The next report of this type that nobody has taken. */
  async next<T extends Report['type']>(type: T, seconds = 10): Promise<Of<T>> {
    const found = await waitFor(`a report of type ${type}`, seconds, async () =>
      this.reports.find((report): report is Of<T> => report.type === type),
    );
    this.reports.splice(this.reports.indexOf(found), 1);
    return found;
  }

  async view(): Promise<readonly IkeSaView[]> {
    this.command({ type: 'view' });
    return (await this.next('view')).ikeSas;
  }

  /** The log so far, which is forgotten with all other reports. */
  drain(): string {
    const reports = this.reports.splice(0);
    return reports.map((report) => (report.type === 'log' ? report.message : '')).join('\n');
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode !== null) return;
    const ended = new Promise((resolve) => this.#child.once('exit', resolve));
    this.#child.kill('SIGTERM');
    await ended;
  }
}
