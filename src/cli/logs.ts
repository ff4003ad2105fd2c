/** `esplane logs` and `esplane events`: what happens in a running daemon, as it happens. */
import { type Command, InvalidArgumentError, Option } from 'commander';
import type { Lost } from '../api/client.js';
import { formatEntry, LEVELS, type LogEntry, SUBSYSTEMS, type Subsystem } from '../log.js';
import type { TimedEvent } from '../workers/gateway-event.js';
import { ask, asksDaemon, type DaemonOptions, explained, openClient } from './daemon.js';
import { EXIT_CODES, ExitError } from './exit.js';

type Level = LogEntry['level'];

interface StreamOptions extends DaemonOptions {
  readonly follow?: boolean;
  readonly lines: number;
  readonly connection?: string;
}

interface LogsOptions extends StreamOptions {
  readonly level: Level;
  readonly subsystem?: Subsystem;
  readonly set?: Level | 'default';
}

export function addLogs(program: Command): void {
  const stream = (name: string, description: string) =>
    asksDaemon(program.command(name).description(description))
      .option('-f, --follow', 'go on with what comes, until Ctrl-C')
      .option('--lines <number>', 'lines of the past to begin with', wholeNumber, 100)
      .option('--connection <connection>', 'of this connection only');
  stream('logs', 'show the log, also in more detail than the daemon writes it')
    .addOption(new Option('--level <level>', 'least level shown').choices(LEVELS).default('info'))
    .addOption(new Option('--subsystem <name>', 'of this subsystem only').choices([...SUBSYSTEMS]))
    .addOption(
      new Option(
        '--set <level>',
        'instead, set what the daemon writes: for the connection or subsystem, or for everything',
      ).choices([...LEVELS, 'default']),
    )
    .action(logs);
  stream('events', 'show what happens to connections: up, down, rekeyed, failed').action(events);
}

async function logs(options: LogsOptions): Promise<void> {
  const { level, subsystem, connection, set } = options;
  if (set !== undefined) return setLevel(set, options);
  const query = { level, subsystem, connection, ...extent(options) };
  const print = (entry: LogEntry | Lost) => show(options, entry, formatEntry);
  await explained(openClient(options).logs(query, print));
}

async function events(options: StreamOptions): Promise<void> {
  const query = { connection: options.connection, ...extent(options) };
  const print = (event: TimedEvent | Lost) => show(options, event, formatEvent);
  await explained(openClient(options).events(query, print));
}

function setLevel(level: Level | 'default', options: LogsOptions): Promise<void> {
  const { subsystem, connection } = options;
  const scope = {
    ...(subsystem === undefined ? {} : { subsystem }),
    ...(connection === undefined ? {} : { connection }),
  };
  const what = Object.values(scope).join(' and ') || 'everything';
  if (level === 'default' && what === 'everything') {
    throw new ExitError(EXIT_CODES.usage, '"default" is for a --connection or a --subsystem');
  }
  return ask(
    options,
    'setting the level',
    (client) => client.setLevel(level === 'default' ? undefined : level, scope),
    () => `the daemon's log of ${what}: ${level === 'default' ? 'as of everything else' : level}\n`,
  );
}

function extent({ lines, follow }: StreamOptions) {
  return { recent: lines, follow: follow === true };
}

function show<T extends object>(
  { json }: DaemonOptions,
  item: T | Lost,
  format: (item: T) => string,
): void {
  if (json === true) process.stdout.write(`${JSON.stringify(item)}\n`);
  else if ('lost' in item) process.stdout.write(`… ${item.lost} lines were too fast for us\n`);
  else process.stdout.write(`${format(item)}\n`);
}

/** `10:20:30.456 office: rekeyed (what=child)`. */
function formatEvent({ time, type, ...rest }: TimedEvent): string {
  const { connection, explanation, ...fields } = rest as Record<string, unknown>;
  const subject = connection === undefined ? '' : `${connection}: `;
  const pairs = Object.entries(fields).map(([name, value]) => `${name}=${value}`);
  const detail = pairs.length === 0 ? '' : ` (${pairs.join(', ')})`;
  const reason =
    explanation === undefined ? '' : `\n    ${String(explanation).replaceAll('\n', '\n    ')}`;
  return `${new Date(time).toISOString().slice(11, 23)} ${subject}${type}${detail}${reason}`;
}

function wholeNumber(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 0) throw new InvalidArgumentError('a whole number.');
  return value;
}
