/** `esplane top`: rates of workers and tunnels, drawn again and again. */
import { type Command, InvalidArgumentError } from 'commander';
import type { Status } from '../api/status.js';
import { asksDaemon, type DaemonOptions, explained, openClient } from './daemon.js';
import { renderTop, topOf } from './render-top.js';

interface TopOptions extends DaemonOptions {
  readonly interval: number;
  readonly count?: number;
}

const HOME_AND_CLEAR = '\u001b[H\u001b[J';

export function addTop(program: Command): void {
  asksDaemon(
    program.command('top').description('show the load of workers and tunnels, live, until Ctrl-C'),
  )
    .option('--interval <seconds>', 'time between two drawings', positive, 1)
    .option('--count <number>', 'end after so many drawings', positive)
    .action(top);
}

async function top(options: TopOptions): Promise<void> {
  const client = openClient(options);
  const { isTTY, rows } = process.stdout;
  let before: Status = await explained(client.status());
  for (let left = options.count ?? Number.POSITIVE_INFINITY; left > 0; left--) {
    await new Promise((resolve) => setTimeout(resolve, options.interval * 1000));
    const now = await explained(client.status());
    const rates = topOf(before, now);
    before = now;
    if (options.json === true) process.stdout.write(`${JSON.stringify(rates)}\n`);
    else if (isTTY) process.stdout.write(`${HOME_AND_CLEAR}${renderTop(rates, rows)}`);
    else process.stdout.write(`${renderTop(rates)}\n`);
  }
}

function positive(text: string): number {
  const value = Number(text);
  if (!(value > 0)) throw new InvalidArgumentError('a number above zero.');
  return value;
}
