/** `esplane check`: validates a configuration and says what it means. */
import type { Command } from 'commander';
import { type GatewayConfig, tunName } from '../config/gateway-config.js';
import { hintsForFiles, hintsForHost } from '../config/host-hints.js';
import { loadConfig } from '../config/load.js';
import { ConfigError } from '../config/problem.js';
import { configJsonSchema } from '../config/schema.js';
import { shadowedPolicies } from '../config/shadowed.js';
import { guardRuleset } from '../net/guard.js';
import { wipeKeys } from '../policy/authentication.js';
import { formatSelector } from '../wire/index.js';
import { readsConfig } from './config-option.js';
import { EXIT_CODES } from './exit.js';

interface CheckOptions {
  readonly config: string;
  readonly json?: boolean;
  readonly schema?: boolean;
  readonly guard?: boolean;
}

export function addCheck(program: Command): void {
  readsConfig(
    program
      .command('check')
      .description('validate a configuration; every problem with its file, line and key'),
  )
    .option('--json', 'print one JSON object')
    .option('--schema', 'print the JSON Schema of the configuration instead')
    .option('--guard', 'print the nftables rules of the guard instead, to be loaded at boot')
    .action((options: CheckOptions) => {
      if (options.schema === true) print(JSON.stringify(configJsonSchema(), null, 2));
      else check(options);
    });
}

function check({ config: path, json, guard }: CheckOptions): void {
  try {
    const unread: string[] = [];
    const config = loadConfig(path, (connection, credential) => {
      unread.push(`the key of connection "${connection}", ${credential}, only the unit can read`);
    });
    wipeKeys(config.connections);
    const hints = [
      ...unread,
      ...shadowedPolicies(config),
      ...hintsForHost(config),
      ...hintsForFiles(path),
    ];
    if (guard === true) print(guardOf(config).trimEnd());
    else if (json === true) print(JSON.stringify({ ok: true, problems: [], hints }));
    else print([`${path}: ok`, ...summarize(config), ...hints.map((h) => `hint: ${h}`)].join('\n'));
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    process.exitCode = EXIT_CODES.config;
    if (json === true) print(JSON.stringify({ ok: false, problems: error.problems, hints: [] }));
    else process.stderr.write(`${error.message}\n`);
  }
}

function guardOf({ name, spd }: GatewayConfig): string {
  return guardRuleset({ name, spd, tun: tunName(name) });
}

/** What the configuration means, without its secrets. */
function summarize(config: GatewayConfig): string[] {
  const devices = (role: 'lan' | 'wan') =>
    config.ports.filter((port) => port.role === role).map((port) => port.device);
  const lines = [`  gateway ${config.name}: lan ${devices('lan')}, wan ${devices('wan')}`];
  for (const { name, local, remote, children } of config.connections) {
    lines.push(`  connection ${name}: ${local.address} <-> ${remote.address}`);
    for (const child of children) {
      const here = child.localSelectors.map(formatSelector).join(', ');
      lines.push(
        `    ${child.name} (${child.start}) protects ` +
          `${here} <-> ${child.remoteSelectors.map(formatSelector).join(', ')}`,
      );
    }
  }
  for (const entry of config.spd.filter(({ action }) => action !== 'protect')) {
    const here = entry.localSelectors.map(formatSelector).join(', ');
    const there = entry.remoteSelectors.map(formatSelector).join(', ');
    const arrow = entry.direction === 'outbound' ? '->' : '<-';
    lines.push(`  ${entry.action}: ${here} ${arrow} ${there}`);
  }
  return lines;
}

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}
