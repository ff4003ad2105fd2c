/** `esplane status`, `up`, `down` and `rekey`: what a running daemon is asked over its API. */
import type { Command } from 'commander';
import type { ApiClient } from '../api/client.js';
import type { DownResult, RekeyResult, UpResult } from '../api/routes.js';
import type { Status } from '../api/status.js';
import type { RekeyWhat } from '../ike/event.js';
import { ask, asksDaemon, type DaemonOptions } from './daemon.js';
import { EXIT_CODES, ExitError } from './exit.js';
import { renderStatus } from './render-status.js';

export function addControl(program: Command): void {
  const command = (usage: string, description: string, isDefault = false) =>
    asksDaemon(program.command(usage, { isDefault }).description(description));
  command(
    'status [connection]',
    'show tunnels, or one of them, SAs, traffic and drops (also: esplane alone)',
    true,
  ).action((name: string | undefined, options: DaemonOptions) =>
    ask(options, 'asking the daemon', (client) => statusOf(client, name), renderStatus),
  );
  command('up <connection>', 'bring a connection up and wait for it').action(up);
  command('down <connection>', 'delete the SAs of a connection and keep it down').action(
    (name: string, options: DaemonOptions) =>
      ask(options, `taking ${name} down`, (client) => client.down(name), renderDown),
  );
  command('rekey <connection>', 'renew the keys of the Child SAs of a connection, losing no packet')
    .option('--ike', 'those of the IKE SA instead')
    .option('--reauth', 'set the connection up anew, with authentication, then drop the old SAs')
    .action((name: string, options: DaemonOptions & RekeyOptions) =>
      ask(
        options,
        `rekeying ${name}`,
        (client) => client.rekey(name, rekeyWhat(options)),
        renderRekey,
      ),
    );
}

/** @param name  of the only connection that is wanted */
async function statusOf(client: ApiClient, name: string | undefined): Promise<Status> {
  const status = await client.status();
  if (name === undefined) return status;
  const connections = status.connections.filter((connection) => connection.name === name);
  if (connections.length > 0) return { ...status, connections };
  const names = status.connections.map((connection) => connection.name).join(', ');
  const there = names === '' ? 'there is none' : `there are: ${names}`;
  throw new ExitError(EXIT_CODES.failed, `there is no connection "${name}"; ${there}`);
}

function up(name: string, options: DaemonOptions): Promise<void> {
  const question = async (client: ApiClient) => {
    const answer = await client.up(name);
    if (answer.result !== 'established') process.exitCode = EXIT_CODES.failed;
    return answer;
  };
  return ask(options, `bringing ${name} up`, question, (answer) => renderUp(answer, options));
}

function renderUp(
  { connection, result, explanation }: UpResult,
  { name, socket }: DaemonOptions,
): string {
  if (result === 'established') return `${connection}: established\n`;
  const reason = (explanation ?? 'no answer yet; it is tried on').split('\n');
  const daemon = `${name === undefined ? '' : ` -n ${name}`}${socket === undefined ? '' : ` --socket ${socket}`}`;
  const hint = `what to do: esplane explain ${connection}${daemon}`;
  return `${[`${connection}: ${result}`, ...reason.map((line) => `  ${line}`), hint].join('\n')}\n`;
}

function renderDown({ connection, deletedIkeSas }: DownResult): string {
  return `${connection}: ${deletedIkeSas} IKE SA(s) deleted\n`;
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
