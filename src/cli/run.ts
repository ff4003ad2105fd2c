/** `esplane run`: the daemon, in the foreground. */
import type { Command } from 'commander';
import { EXIT_CODES, ExitError } from './exit.js';

export function addRun(program: Command): void {
  program
    .command('run')
    .description('run the gateway until SIGTERM or SIGINT')
    .option('-c, --config <file>', 'configuration file', 'gateway.toml')
    .option('--log-format <format>', 'text or json', 'text')
    .option('--json', 'the same as --log-format json')
    .action(() => {
      throw new ExitError(EXIT_CODES.failed, 'the daemon is not wired yet');
    });
}
