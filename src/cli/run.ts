/**
 * `esplane run`: the daemon, in the foreground, until SIGTERM or SIGINT; SIGHUP reads the
 * configuration again. A second signal ends it at once; so does an error that nobody expected,
 * after the dataplane has let go of the ports.
 */
import { type Command, Option } from 'commander';
import { refuseSecond } from '../api/server.js';
import type { GatewayConfig } from '../config/gateway-config.js';
import { hintsForFiles } from '../config/host-hints.js';
import { loadConfig } from '../config/load.js';
import { ConfigError } from '../config/problem.js';
import { disableCoreDumps, keepCapabilities, RUNNING_CAPABILITIES } from '../dataplane/process.js';
import { type Supervisor, systemd } from '../gateway/systemd.js';
import { createLog, type Log } from '../log.js';
import { type Gateway, hostParts, runGateway } from '../main.js';
import { readsConfig } from './config-option.js';
import { EXIT_CODES, ExitError } from './exit.js';

interface RunOptions {
  readonly config: string;
  readonly logFormat: 'text' | 'json';
  readonly json?: boolean;
}

export function addRun(program: Command): void {
  const format = new Option('--log-format <format>', 'how the log is written to standard error');
  readsConfig(program.command('run').description('run the gateway until SIGTERM or SIGINT'))
    .addOption(format.choices(['text', 'json']).default('text'))
    .option('--json', 'the same as --log-format json')
    .action(run);
}

async function run(options: RunOptions): Promise<void> {
  disableCoreDumps();
  const config = loadOrExplain(options.config);
  const format = options.json === true ? 'json' : options.logFormat;
  const log = createLog({ level: config.logLevel, format });
  for (const hint of hintsForFiles(options.config)) log.warn(hint);
  await refuseSecond(config.apiSocket);
  const signals = listenForSignals();
  const parts = hostParts(config, log, () => loadConfig(options.config));
  const starting = runGateway(config, parts);
  const supervisor = systemd(process.env, async () => (await starting).isAlive(), log);
  process.on('SIGHUP', () => void starting.then((gateway) => reload(gateway, supervisor, log)));
  const gateway = await starting;
  exitOnError(gateway, log);
  keepCapabilities(RUNNING_CAPABILITIES);
  supervisor.ready(summary(config));
  const signal = await signals.first;
  log.info(`${signal}: stopping`);
  supervisor.stopping();
  signals.onSecond(() => {
    gateway.abort();
    process.exit(EXIT_CODES.failed);
  });
  await gateway.stop();
  log.info('stopped');
  process.exit(EXIT_CODES.ok);
}

function loadOrExplain(path: string) {
  try {
    return loadConfig(path);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    const message = `the configuration cannot be used\n${error.message}`;
    throw new ExitError(EXIT_CODES.config, message);
  }
}

/** A configuration that cannot be used is told in the log, and changes nothing. */
async function reload(gateway: Gateway, supervisor: Supervisor, log: Log): Promise<void> {
  supervisor.reloading();
  try {
    await gateway.apply();
    supervisor.ready('the configuration is read again');
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    log.error(`the configuration cannot be used, nothing has changed: ${reason}`);
    supervisor.ready('the configuration cannot be used, the one before is in force');
  }
}

function summary({ name, connections }: GatewayConfig): string {
  const count = connections.length;
  return `gateway ${name} runs, ${count} ${count === 1 ? 'connection' : 'connections'}`;
}

/** Signals count from the beginning: one during the start stops the gateway once it has started. */
function listenForSignals(): {
  readonly first: Promise<string>;
  onSecond(action: () => void): void;
} {
  let count = 0;
  let second = () => process.exit(EXIT_CODES.failed);
  const first = new Promise<string>((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) {
      process.on(signal, () => {
        count++;
        if (count === 1) resolve(signal);
        else second();
      });
    }
  });
  return {
    first,
    onSecond(action) {
      second = action as () => never;
      if (count > 1) action();
    },
  };
}

/** Clean-up hooks of the addon do not run on an uncaught error, so the dataplane is stopped here. */
function exitOnError(gateway: Gateway, log: Log): void {
  const die = (error: unknown) => {
    const reason = error instanceof Error ? (error.stack ?? error.message) : String(error);
    log.error(`a bug, please report it: ${reason}`);
    gateway.abort();
    process.exit(EXIT_CODES.failed);
  };
  process.on('uncaughtException', die);
  process.on('unhandledRejection', die);
}
