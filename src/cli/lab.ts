/** `esplane lab`: two gateways on this machine, with traffic through the tunnel between them. */
import type { Command } from 'commander';
import { InvalidArgumentError } from 'commander';
import { runLab } from '../lab/lab.js';
import { EXIT_CODES } from './exit.js';

interface Options {
  readonly duration?: number;
  readonly json?: boolean;
  readonly memory?: boolean;
  readonly plain?: boolean;
}

export function addLab(program: Command): void {
  program
    .command('lab')
    .description('run two gateways on this machine and traffic through the tunnel between them')
    .option('--duration <seconds>', 'end after so many seconds of traffic', seconds)
    .option('--json', 'print the results as one JSON object on the last line')
    .option('--memory', 'in one process over memory ports, as without root')
    .option('--plain', 'encryption off: the control run, which must show clear text')
    .action(async ({ duration, json = false, memory = false, plain = false }: Options) => {
      const ok = await runLab({ durationSeconds: duration, json, memory, plain });
      // A start that a signal interrupted may still be going on.
      process.exit(ok ? EXIT_CODES.ok : EXIT_CODES.failed);
    });
}

function seconds(text: string): number {
  const value = Number(text);
  if (!(value >= 3 && value <= 86_400)) throw new InvalidArgumentError('3 to 86400 seconds.');
  return value;
}
