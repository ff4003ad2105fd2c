/**
 * All commands of `esplane`: what each does stands in a file of its own, which is loaded when it
 * is called for, as most of the time that a short command takes is that of loading.
 */
import { Command } from 'commander';
import { version } from '../version.js';
import { EXIT_CODES, exitCodeHelp } from './exit.js';

type Add = (program: Command) => void;

/** Files and the commands that they add, by heading, in the order of the help. */
const COMMANDS: readonly {
  readonly heading: string;
  readonly names: readonly string[];
  readonly load: () => Promise<Add>;
}[] = [
  {
    heading: 'Tunnels:',
    names: ['status', 'up', 'down', 'rekey'],
    load: async () => (await import('./control.js')).addControl,
  },
  {
    heading: 'Tunnels:',
    names: ['explain'],
    load: async () => (await import('./explain.js')).addExplain,
  },
  {
    heading: 'Tunnels:',
    names: ['top'],
    load: async () => (await import('./top.js')).addTop,
  },
  {
    heading: 'Tunnels:',
    names: ['logs', 'events'],
    load: async () => (await import('./logs.js')).addLogs,
  },
  {
    heading: 'Tunnels:',
    names: ['probe'],
    load: async () => (await import('./probe.js')).addProbe,
  },
  {
    heading: 'Tunnels:',
    names: ['trace'],
    load: async () => (await import('./trace.js')).addTrace,
  },
  {
    heading: 'Tunnels:',
    names: ['capture'],
    load: async () => (await import('./capture.js')).addCapture,
  },
  {
    heading: 'Configuration:',
    names: ['check'],
    load: async () => (await import('./check.js')).addCheck,
  },
  {
    heading: 'Configuration:',
    names: ['plan', 'apply'],
    load: async () => (await import('./change.js')).addChange,
  },
  {
    heading: 'Configuration:',
    names: ['pki'],
    load: async () => (await import('./pki.js')).addPki,
  },
  {
    heading: 'This machine:',
    names: ['run'],
    load: async () => (await import('./run.js')).addRun,
  },
  {
    heading: 'This machine:',
    names: ['doctor'],
    load: async () => (await import('./doctor.js')).addDoctor,
  },
  {
    heading: 'This machine:',
    names: ['tune'],
    load: async () => (await import('./tune.js')).addTune,
  },
  {
    heading: 'This machine:',
    names: ['lab'],
    load: async () => (await import('./lab.js')).addLab,
  },
  {
    heading: 'This machine:',
    names: ['bench'],
    load: async () => (await import('./bench.js')).addBench,
  },
  {
    heading: 'Shell and manual:',
    names: ['connection-names', 'gateway-names'],
    load: async () => (await import('./completion.js')).addNames,
  },
  {
    heading: 'Shell and manual:',
    names: ['completion'],
    load: async () => (await import('./completion.js')).addCompletion,
  },
  {
    heading: 'Shell and manual:',
    names: ['man'],
    load: async () => (await import('./man.js')).addMan,
  },
];

/** Those that read the others. */
const READERS = ['completion', 'man', 'help'];
const DEFAULT_COMMAND = 'status';

/** @param words  of the command line: only the commands that they call for; default: all */
export async function makeProgram(words?: readonly string[]): Promise<Command> {
  const program = new Command('esplane')
    .description('An IPsec gateway: IKEv2 and an AF_XDP dataplane')
    .version(version)
    .showHelpAfterError()
    .addHelpText('after', exitCodeHelp())
    // Before the commands, which inherit it.
    .exitOverride((error) => {
      process.exit(error.exitCode === 0 ? EXIT_CODES.ok : EXIT_CODES.usage);
    });
  const wanted = words === undefined ? COMMANDS : commandsFor(words);
  const adding = await Promise.all(wanted.map(({ load }) => load()));
  for (const [i, add] of adding.entries()) {
    program.commandsGroup(wanted[i]!.heading);
    add(program);
  }
  program.helpCommand('help [command]', 'show the help of a command');
  const [first = ''] = words ?? [];
  if (first !== '' && !first.startsWith('-') && !isKnown(first)) program.error(unknown(first));
  return program;
}

function isKnown(name: string): boolean {
  return name === 'help' || COMMANDS.some(({ names }) => names.includes(name));
}

/** Without it, the word would be taken for an argument of the default command. */
function unknown(word: string): string {
  const similar = COMMANDS.flatMap(({ names }) => names).filter((name) =>
    name.startsWith(word.slice(0, 2)),
  );
  const hint = similar.length === 0 ? '' : `; is it ${similar.join(' or ')}?`;
  return `error: unknown command '${word}'${hint}`;
}

function commandsFor(words: readonly string[]) {
  const [first = ''] = words;
  const isOption = first === '' || first.startsWith('-');
  const asksForAll = isOption && words.some((word) => /^(-h|--help|-V|--version)$/.test(word));
  const name = isOption ? DEFAULT_COMMAND : first;
  const known = COMMANDS.filter(({ names }) => names.includes(name));
  // All of them, where the name is unknown, so that the help behind the error lists them.
  return asksForAll || READERS.includes(name) || known.length === 0 ? COMMANDS : known;
}
