/** `esplane trace`: the way of the next packet through a running gateway, stage by stage. */
import { type Command, InvalidArgumentError } from 'commander';
import type { TracedHeaders, TraceReport } from '../dataplane/watch.js';
import type { TraceAnswer } from '../watch/packet-watcher.js';
import { IP_PROTOCOL, nameOf } from '../wire/index.js';
import { FILTER_HELP } from './capture.js';
import { ask, asksDaemon, type DaemonOptions } from './daemon.js';
import { EXIT_CODES } from './exit.js';

interface TraceOptions extends DaemonOptions {
  readonly connection?: string;
  readonly seconds: number;
}

export function addTrace(program: Command): void {
  const command = program
    .command('trace')
    .description(
      'show what becomes of the next packet that passes the filter: stages, SA, verdict, cycles',
    )
    .argument('[filter...]', 'such as: host 10.1.0.5 and icmp; default: any packet')
    .option('--connection <connection>', 'of this connection only')
    .option('--seconds <n>', 'how long to wait for one, 1 to 30', seconds, 10)
    .addHelpText('after', FILTER_HELP);
  asksDaemon(command).action(trace);
}

function trace(words: readonly string[], options: TraceOptions): Promise<void> {
  const query = {
    filter: words.join(' '),
    seconds: options.seconds,
    ...(options.connection === undefined ? {} : { connection: options.connection }),
  };
  return ask(
    options,
    'waiting for a packet',
    async (client) => {
      const answer = await client.trace(query);
      if (answer.report === undefined) process.exitCode = EXIT_CODES.failed;
      return answer;
    },
    (answer) => renderTrace(answer, options.seconds),
  );
}

/** @param waited  seconds */
function renderTrace(answer: TraceAnswer, waited: number): string {
  const { report } = answer;
  if (report === undefined) return `no packet that passes the filter within ${waited} s\n`;
  const stages = stagesOf(report);
  const width = Math.max(...stages.map(([name]) => name.length));
  const total = stages.reduce((sum, [, ticks]) => sum + ticks, 0);
  const lines = [...stages, ['together', total] as const].map(
    ([name, ticks]) => `  ${name.padEnd(width)}  ${ticks.toLocaleString('en').padStart(9)} cycles`,
  );
  return `${[
    `received on ${answer.receivedOn} in lane ${report.lane}: ${describe(report.received, report.receivedBytes)}`,
    ...lines,
    `SA: ${describeSa(answer)}`,
    `sent: ${describeSent(answer, report)}`,
    `verdict: ${report.verdict} (${report.meaning})`,
  ].join('\n')}\n`;
}

/** What each phase of the pipeline does, by the way of the packet. */
function stagesOf(report: TraceReport): readonly (readonly [string, number])[] {
  const { beginTicks, workTicks, finishTicks, sendTicks, sentAt } = report;
  const sending = sentAt !== undefined && 'interface' in sentAt ? 'into the host' : 'transmit ring';
  return report.outbound
    ? [
        ['headers, policy, path, number', beginTicks],
        ['encryption', workTicks],
        ['next hop', finishTicks],
        [sending, sendTicks],
      ]
    : [
        ['begin', beginTicks],
        ['headers, SA, decryption, selectors', workTicks],
        ['replay window, next hop', finishTicks],
        [sending, sendTicks],
      ];
}

function describeSa({ report, connection, child }: TraceAnswer): string {
  if (report?.spi === undefined) return 'none';
  const owner = connection === undefined ? 'gone meanwhile' : `${connection}/${child}`;
  return `${owner}, SPI ${report.spi.toString(16).padStart(8, '0')}`;
}

function describeSent({ sentOn }: TraceAnswer, report: TraceReport): string {
  if (report.turned) return 'into another tunnel';
  if (sentOn === undefined) return 'nothing';
  const pieces = report.sentFrames > 1 ? `${report.sentFrames} fragments, the first ` : '';
  return `${pieces}${describe(report.sent, report.sentBytes)} on ${sentOn}`;
}

/** @param frameBytes  with the Ethernet header, where it has one */
function describe(headers: TracedHeaders | null, frameBytes: number): string {
  if (headers === null) return `a frame of ${frameBytes} bytes that is no IP packet`;
  const { source, destination, sourcePort, destinationPort, protocol, bytes } = headers;
  const hasPorts = protocol === 6 || protocol === 17;
  const port = (value: number | undefined) =>
    hasPorts && value !== undefined ? ` port ${value}` : '';
  const name = nameOf(IP_PROTOCOL, protocol).toUpperCase();
  return `${source}${port(sourcePort)} -> ${destination}${port(destinationPort)}, ${name}, ${bytes} bytes`;
}

function seconds(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1 || value > 30) {
    throw new InvalidArgumentError('a whole number from 1 to 30.');
  }
  return value;
}
