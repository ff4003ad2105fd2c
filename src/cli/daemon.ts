/** A running daemon, asked over its API: which one, how its answer is shown, what its refusal means. */
import { readdirSync } from 'node:fs';
import type { Command } from 'commander';
import { ApiClient, RefusedError, UnreachableError } from '../api/client.js';
import { EXIT_CODES, ExitError } from './exit.js';
import { withProgress } from './progress.js';

export interface DaemonOptions {
  readonly json?: boolean;
  readonly name?: string;
  readonly socket?: string;
}

const SOCKET_DIRECTORY = '/run/esplane';

/** Adds the options by which a command finds its daemon. */
export function asksDaemon(command: Command): Command {
  return command
    .option('--json', 'print the API’s answer as it is')
    .option('-n, --name <name>', 'name of the gateway, where several run')
    .option('--socket <path>', 'API socket of the gateway');
}

/**
 * Asks and prints the answer, as JSON or rendered.
 * @param doing  what is shown while it takes its time
 */
export async function ask<T extends object>(
  options: DaemonOptions,
  doing: string,
  question: (client: ApiClient) => Promise<T>,
  render: (answer: T) => string,
): Promise<void> {
  const answer = await explained(withProgress(doing, question(openClient(options))));
  process.stdout.write(options.json === true ? `${JSON.stringify(answer)}\n` : render(answer));
}

export function openClient(options: DaemonOptions): ApiClient {
  return new ApiClient(socketPath(options));
}

/** Of the gateway asked for, or of all that run. */
export function openClients(options: DaemonOptions): ApiClient[] {
  if (options.socket !== undefined || options.name !== undefined) return [openClient(options)];
  return gatewayNames().map((one) => openClient({ name: one }));
}

/** The same, with the daemon's refusals as the exit codes of the command. */
export async function explained<T>(asked: Promise<T>): Promise<T> {
  try {
    return await asked;
  } catch (error) {
    if (error instanceof UnreachableError) {
      throw new ExitError(EXIT_CODES.unreachable, error.message);
    }
    if (error instanceof RefusedError) {
      if (error.problems.length > 0) throw new ExitError(EXIT_CODES.config, `\n${error.message}`);
      throw new ExitError(EXIT_CODES.failed, error.message);
    }
    throw error;
  }
}

/** The socket asked for, or that of the one gateway that runs. */
function socketPath({ name, socket }: DaemonOptions): string {
  if (socket !== undefined) return socket;
  if (name !== undefined) return `${SOCKET_DIRECTORY}/${name}.sock`;
  const names = gatewayNames();
  if (names.length > 1) {
    const list = names.join(', ');
    throw new ExitError(EXIT_CODES.usage, `several gateways run, choose one with --name: ${list}`);
  }
  return `${SOCKET_DIRECTORY}/${names[0] ?? 'main'}.sock`;
}

/** Those whose sockets lie where they are by default. */
export function gatewayNames(): string[] {
  try {
    return readdirSync(SOCKET_DIRECTORY)
      .filter((file) => file.endsWith('.sock'))
      .map((file) => file.slice(0, -'.sock'.length));
  } catch {
    return [];
  }
}
