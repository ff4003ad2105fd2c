/** All commands of `esplane`: what each does stands in a file of its own. */
import { Command } from 'commander';
import { version } from '../version.js';
import { addBench } from './bench.js';
import { addChange } from './change.js';
import { addCheck } from './check.js';
import { addCompletion } from './completion.js';
import { addControl } from './control.js';
import { addDoctor } from './doctor.js';
import { EXIT_CODES, exitCodeHelp } from './exit.js';
import { addExplain } from './explain.js';
import { addLab } from './lab.js';
import { addLogs } from './logs.js';
import { addMan } from './man.js';
import { addPki } from './pki.js';
import { addRun } from './run.js';
import { addTop } from './top.js';
import { addTune } from './tune.js';

export function makeProgram(): Command {
  const program = new Command('esplane')
    .description('An IPsec gateway: IKEv2 and an AF_XDP dataplane')
    .version(version)
    .showHelpAfterError()
    .addHelpText('after', exitCodeHelp())
    // Before the commands, which inherit it.
    .exitOverride((error) => {
      process.exit(error.exitCode === 0 ? EXIT_CODES.ok : EXIT_CODES.usage);
    });
  program.commandsGroup('Tunnels:');
  addControl(program);
  addExplain(program);
  addTop(program);
  addLogs(program);
  program.commandsGroup('Configuration:');
  addCheck(program);
  addChange(program);
  addPki(program);
  program.commandsGroup('This machine:');
  addRun(program);
  addDoctor(program);
  addTune(program);
  addLab(program);
  addBench(program);
  program.commandsGroup('Shell and manual:');
  addCompletion(program);
  addMan(program);
  program.helpCommand('help [command]', 'show the help of a command');
  return program;
}
