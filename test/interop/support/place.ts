/** Where a peer's programs run: in a namespace of this machine, or in a guest kernel. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { execute, inNamespace } from '../../../src/lab/namespaces.js';
import { Program } from '../../../src/lab/program.js';
import type { LinuxKernel } from './linux-kernel.js';

export interface Place {
  /** A folder there, for the peer's files. */
  readonly folder: string;
  write(name: string, text: string): Promise<void>;
  read(name: string): Promise<string>;
  /** Runs a command to its end; throws where it fails. */
  run(command: readonly string[]): Promise<string>;
  /** Starts a program; its output goes to `<folder>/output.log`. */
  start(command: readonly string[]): Promise<Running>;
}

export interface Running {
  stop(): Promise<void>;
}

export function namespacePlace(namespace: string, folder: string): Place {
  mkdirSync(folder, { recursive: true });
  return {
    folder,
    write: async (name, text) => {
      mkdirSync(dirname(join(folder, name)), { recursive: true });
      writeFileSync(join(folder, name), text, { mode: 0o600 });
    },
    read: async (name) => readFileSync(join(folder, name), 'utf8'),
    run: async (command) => execute(inNamespace(namespace, command)),
    start: async (command) => {
      const program = new Program({ namespace, command, logFile: join(folder, 'output.log') });
      return {
        stop: async () => {
          await program.stop();
        },
      };
    },
  };
}

export function guestPlace(kernel: LinuxKernel): Place {
  const folder = '/run/peer';
  const quoted = (command: readonly string[]): string =>
    command.map((word) => `'${word.replaceAll("'", "'\\''")}'`).join(' ');
  return {
    folder,
    write: async (name, text) => {
      const file = `${folder}/${name}`;
      await kernel.run(`mkdir -p $(dirname ${file}); : > ${file}`);
      // The guest's serial line holds some thousand characters.
      for (const [piece] of text.matchAll(/.{1,2000}/gs)) {
        await kernel.run(`base64 -d >> ${file} <<<${Buffer.from(piece).toString('base64')}`);
      }
    },
    read: (name) => kernel.run(`cat ${folder}/${name}`),
    run: (command) => kernel.run(quoted(command)),
    start: async (command) => {
      const output = `>${folder}/output.log 2>&1 </dev/null`;
      const pid = await kernel.run(`setsid ${quoted(command)} ${output} &\necho $!`);
      return {
        stop: async () => {
          await kernel.run(`kill ${pid.trim()}; while kill -0 ${pid.trim()}; do sleep 0.05; done`);
        },
      };
    },
  };
}
