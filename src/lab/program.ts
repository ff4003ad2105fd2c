/** A program in a namespace, such as a daemon: its output in a file, its end awaited. */
import { spawn } from 'node:child_process';
import { closeSync, existsSync, openSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { inNamespace } from './namespaces.js';

/**
 * A compiled file of ours as a program to start, such as `cli/main.js`; also from a test or a
 * benchmark, which are compiled elsewhere.
 */
export function compiledProgram(path: string): string {
  let folder = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(folder, 'package.json'))) folder = dirname(folder);
  return join(folder, 'dist', path);
}

export interface ProgramOptions {
  readonly namespace: string;
  readonly command: readonly string[];
  /** Gets standard output and standard error. */
  readonly logFile: string;
  readonly environment?: Readonly<Record<string, string>>;
}

export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export class Program {
  readonly pid: number;
  readonly exited: Promise<Exit>;
  readonly #logFile: string;
  #running = true;

  constructor({ namespace, command, logFile, environment = {} }: ProgramOptions) {
    // It ends with us even where we are killed: nobody else would end it.
    const guarded = ['setpriv', '--pdeathsig', 'TERM', ...command];
    const [file, ...args] = inNamespace(namespace, guarded);
    const log = openSync(logFile, 'a');
    const child = spawn(file!, args, {
      stdio: ['ignore', log, log],
      env: { ...process.env, ...environment },
    });
    closeSync(log);
    this.#logFile = logFile;
    this.pid = child.pid ?? 0;
    this.exited = new Promise((resolve) => {
      child.once('error', () => resolve({ code: 127, signal: null }));
      child.once('exit', (code, signal) => resolve({ code, signal }));
    });
    void this.exited.then(() => {
      this.#running = false;
    });
  }

  get running(): boolean {
    return this.#running;
  }

  kill(signal: NodeJS.Signals): void {
    if (this.#running && this.pid > 0) process.kill(this.pid, signal);
  }

  /** SIGTERM; SIGKILL for one that does not listen. */
  async stop(graceSeconds = 10): Promise<Exit> {
    this.kill('SIGTERM');
    const impatience = setTimeout(() => this.kill('SIGKILL'), graceSeconds * 1000);
    const exit = await this.exited;
    clearTimeout(impatience);
    return exit;
  }

  log(): string {
    return readFileSync(this.#logFile, 'utf8');
  }

  /** The last lines of its output, for an error's text. */
  lastLines(count = 25): string {
    return this.log().trimEnd().split('\n').slice(-count).join('\n');
  }
}

/** Asks again and again until `probe` gives something; throws an error that says what was awaited. */
export async function waitFor<T>(
  what: string,
  seconds: number,
  probe: () => Promise<T | undefined> | T | undefined,
): Promise<T> {
  const end = performance.now() + seconds * 1000;
  for (;;) {
    const found = await probe();
    if (found !== undefined && found !== false) return found;
    if (performance.now() > end) throw new Error(`${what}: not within ${seconds} s`);
    await sleep(50);
  }
}

export function sleep(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
