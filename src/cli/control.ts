/** `esplane status`, `up`, `down` and `rekey`: what a running daemon is asked over its API. */
import { readdirSync } from 'node:fs';
import type { Command } from 'commander';
import { ApiClient, RefusedError, UnreachableError } from '../api/client.js';
import type { RekeyResult } from '../api/routes.js';
import type { RekeyWhat } from '../ike/event.js';
import { EXIT_CODES, ExitError } from './exit.js';
import { renderStatus } from './render-status.js';

interface ControlOptions {
  readonly json?: boolean;
  readonly name?: string;
  readonly socket?: string;
}

const SOCKET_DIRECTORY = '/run/esplane';

export function addControl(program: Command): void {
  const command = (usage: string, description: string, isDefault = false) =>
    program
      .command(usage, { isDefault })
      .description(description)
      .option('--json', 'print the API’s answer as it is')
      .option('-n, --name <name>', 'name of the gateway, where several run')
      .option('--socket <path>', 'API socket of the gateway');
  command('status', 'show tunnels, SAs, traffic and drops (also: esplane alone)', true).action(
    (options: ControlOptions) => ask(options, (client) => client.status(), renderStatus),
  );
  command('up <connection>', 'bring a connection up and wait for it').action(
    (name: string, options: ControlOptions) => ask(options, (client) => client.up(name), renderUp),
  );
  command('down <connection>', 'delete the SAs of a connection and keep it down').action(
    (name: string, options: ControlOptions) =>
      ask(
        options,
        (client) => client.down(name),
        (result) => `${result.connection}: ${result.deletedIkeSas} IKE SA(s) deleted\n`,
      ),
  );
  command('rekey <connection>', 'renew the keys of the Child SAs of a connection, losing no packet')
    .option('--ike', 'those of the IKE SA instead')
    .option('--reauth', 'set the connection up anew, with authentication, then drop the old SAs')
    .action((name: string, options: ControlOptions & RekeyOptions) =>
      ask(options, (client) => client.rekey(name, rekeyWhat(options)), renderRekey),
    );
}

interface RekeyOptions {
  readonly ike?: boolean;
  readonly reauth?: boolean;
}

function rekeyWhat({ ike, reauth }: RekeyOptions): RekeyWhat {
  if (reauth === true) return 'reauth';
  return ike === true ? 'ike' : 'child';
}

function renderRekey({ connection, what, begun }: RekeyResult): string {
  if (begun === 0)
    throw new ExitError(EXIT_CODES.failed, `${connection}: there is nothing to rekey`);
  const sas = what === 'child' ? 'Child SA(s)' : 'IKE SA(s)';
  return `${connection}: ${begun} ${sas} ${what === 'reauth' ? 'set up anew' : 'rekeyed'}\n`;
}

async function ask<T extends object>(
  options: ControlOptions,
  question: (client: ApiClient) => Promise<T>,
  render: (answer: T) => string,
): Promise<void> {
  try {
    const answer = await question(new ApiClient(socketPath(options)));
    process.stdout.write(options.json === true ? `${JSON.stringify(answer)}\n` : render(answer));
    if ('result' in answer && answer.result !== 'established') {
      process.exitCode = EXIT_CODES.failed;
    }
  } catch (error) {
    if (error instanceof UnreachableError) {
      throw new ExitError(EXIT_CODES.unreachable, error.message);
    }
    if (error instanceof RefusedError) throw new ExitError(EXIT_CODES.failed, error.message);
    throw error;
  }
}

function renderUp(answer: { connection: string; result: string; explanation?: string }): string {
  const reason = answer.explanation === undefined ? '' : `: ${answer.explanation}`;
  return `${answer.connection}: ${answer.result}${reason}\n`;
}

/** The socket asked for, or that of the one gateway that runs. */
function socketPath({ name, socket }: ControlOptions): string {
  if (socket !== undefined) return socket;
  if (name !== undefined) return `${SOCKET_DIRECTORY}/${name}.sock`;
  const names = socketNames();
  if (names.length > 1) {
    const list = names.join(', ');
    throw new ExitError(EXIT_CODES.usage, `several gateways run, choose one with --name: ${list}`);
  }
  return `${SOCKET_DIRECTORY}/${names[0] ?? 'main'}.sock`;
}

function socketNames(): string[] {
  try {
    return readdirSync(SOCKET_DIRECTORY)
      .filter((file) => file.endsWith('.sock'))
      .map((file) => file.slice(0, -'.sock'.length));
  } catch {
    return [];
  }
}
