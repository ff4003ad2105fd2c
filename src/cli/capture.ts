/** `esplane capture`: packets of a running gateway as a pcapng file. */
import { createWriteStream } from 'node:fs';
import { type Command, InvalidArgumentError, Option } from 'commander';
import { BlockCounter } from '../watch/pcapng.js';
import { asksDaemon, type DaemonOptions, explained, openClient } from './daemon.js';
import { EXIT_CODES, ExitError } from './exit.js';

interface CaptureCommandOptions extends DaemonOptions {
  readonly write?: string;
  readonly connection?: string;
  readonly where: 'outside' | 'inside' | 'both';
  readonly count?: number;
  readonly seconds?: number;
  readonly snap?: number;
}

export const FILTER_HELP = `
Filters are a part of tcpdump's language: host, net, port, each also after src or dst;
proto, tcp, udp, icmp, icmp6, sctp, esp, ah, ip, ip6; spi 0xNNNNNNNN; and, or, not, ().`;

export function addCapture(program: Command): void {
  const command = program
    .command('capture')
    .description('write packets into a pcapng file, as they are outside or inside the tunnels')
    .argument('[filter...]', 'such as: host 10.1.0.5 and tcp port 443')
    .option('-w, --write <file>', 'file to write, mode 0600; - or a pipe: standard output')
    .option('--connection <connection>', 'of this connection only')
    .addOption(
      new Option(
        '--where <side>',
        'outside: as ESP, on WAN ports; inside: on LAN ports, tunnels, the host',
      )
        .choices(['outside', 'inside', 'both'])
        .default('both'),
    )
    .option('--count <packets>', 'stop after so many', wholeNumber)
    .option('--seconds <n>', 'stop after so long', seconds)
    .option('--snap <bytes>', 'of each packet at most', wholeNumber)
    .addHelpText('after', FILTER_HELP);
  asksDaemon(command).action(capture);
}

async function capture(words: readonly string[], options: CaptureCommandOptions): Promise<void> {
  const { connection, where, snap, count = Number.POSITIVE_INFINITY } = options;
  const out = outputOf(options);
  const stop = new AbortController();
  const end = () => stop.abort();
  process.once('SIGINT', end).once('SIGTERM', end);
  const timer = options.seconds === undefined ? undefined : setTimeout(end, options.seconds * 1000);
  const counter = new BlockCounter();
  const query = {
    ...{ filter: words.join(' '), where },
    ...(connection === undefined ? {} : { connection }),
    ...(snap === undefined ? {} : { snap }),
  };
  const each = (chunk: Buffer) => {
    if (stop.signal.aborted) return;
    out.write(counter.take(chunk, count));
    if (counter.packets >= count) end();
  };
  try {
    await explained(openClient(options).capture(query, each, stop.signal));
  } finally {
    clearTimeout(timer);
    process.off('SIGINT', end).off('SIGTERM', end);
  }
  await new Promise<void>((resolve) => out.end(resolve));
  const figures = { packets: counter.packets, lost: counter.lost };
  process.stderr.write(
    options.json === true
      ? `${JSON.stringify(figures)}\n`
      : `${figures.packets} packets, ${figures.lost} lost because they were too fast for us\n`,
  );
}

function outputOf({ write }: CaptureCommandOptions): NodeJS.WritableStream {
  if (write !== undefined && write !== '-') {
    return createWriteStream(write, { mode: 0o600 }).on('error', (error) => {
      process.stderr.write(`esplane: cannot write ${write}: ${error.message}\n`);
      process.exit(EXIT_CODES.failed);
    });
  }
  if (write === undefined && process.stdout.isTTY) {
    throw new ExitError(
      EXIT_CODES.usage,
      'a capture is no text: -w FILE, or a pipe such as | tshark -r -',
    );
  }
  return process.stdout;
}

function wholeNumber(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1)
    throw new InvalidArgumentError('a whole number above 0.');
  return value;
}

function seconds(text: string): number {
  const value = Number(text);
  if (!(value > 0 && value <= 86_400)) throw new InvalidArgumentError('above 0, at most 86400.');
  return value;
}
