#!/usr/bin/env node
/** The command `esplane`: what each command does stands in a file of its own. */
import { Command } from 'commander';
import { version } from '../version.js';
import { addBench } from './bench.js';
import { addChange } from './change.js';
import { addCheck } from './check.js';
import { addControl } from './control.js';
import { EXIT_CODES, ExitError, exitCodeHelp } from './exit.js';
import { addLab } from './lab.js';
import { addRun } from './run.js';

const program = new Command('esplane')
  .description('An IPsec gateway: IKEv2 and an AF_XDP dataplane')
  .version(version)
  .showHelpAfterError()
  .addHelpText('after', exitCodeHelp())
  .exitOverride((error) => {
    process.exit(error.exitCode === 0 ? 0 : EXIT_CODES.usage);
  });

addRun(program);
addCheck(program);
addChange(program);
addControl(program);
addLab(program);
addBench(program);

try {
  await program.parseAsync();
} catch (error) {
  process.stderr.write(`esplane: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = error instanceof ExitError ? error.exitCode : EXIT_CODES.failed;
}
