/** Where a command finds the configuration. */
import { existsSync } from 'node:fs';
import { type Command, Option } from 'commander';

const HERE = 'gateway.toml';
const INSTALLED = '/etc/esplane';

/** Adds `-c, --config <path>`. */
export function readsConfig(command: Command): Command {
  return command.addOption(
    new Option('-c, --config <path>', 'configuration: a file, or a folder of files').default(
      existsSync(HERE) ? HERE : INSTALLED,
      `${HERE} here, else ${INSTALLED}`,
    ),
  );
}
