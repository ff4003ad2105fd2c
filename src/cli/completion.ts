/**
 * `esplane completion bash|zsh|fish`: completions, made from the commands as they are defined.
 * Names of connections are asked of the running daemon.
 */
import type { Command, Option } from 'commander';
import type { ApiClient } from '../api/client.js';
import { asksDaemon, type DaemonOptions, gatewayNames, openClients } from './daemon.js';

const SHELLS = ['bash', 'zsh', 'fish'] as const;
type Shell = (typeof SHELLS)[number];

export function addCompletion(program: Command): void {
  program
    .command('completion')
    .description('print completions for a shell, such as: source <(esplane completion bash)')
    .addArgument(program.createArgument('<shell>', 'the shell').choices(SHELLS))
    .action((shell: Shell) => {
      process.stdout.write(completion(program, shell));
    });
}

/** What completions ask for names, of connections and of gateways. */
export function addNames(program: Command): void {
  asksDaemon(program.command('connection-names', { hidden: true })).action(printConnections);
  program.command('gateway-names', { hidden: true }).action(() => {
    for (const name of gatewayNames()) process.stdout.write(`${name}\n`);
  });
}

/** Of all gateways, unless one is named; nothing at all where none runs. */
async function printConnections(options: DaemonOptions): Promise<void> {
  const names = openClients(options).map((client) => connectionNames(client));
  for (const name of new Set((await Promise.all(names)).flat())) process.stdout.write(`${name}\n`);
}

async function connectionNames(client: ApiClient): Promise<string[]> {
  const status = await client.status().catch(() => undefined);
  return (status?.connections ?? []).map(({ name }) => name);
}

export function completion(program: Command, shell: Shell): string {
  const commands = visibleCommands(program);
  return { bash, zsh, fish }[shell](commands);
}

interface CompletedCommand {
  readonly name: string;
  readonly description: string;
  readonly options: readonly Option[];
  /** Its first argument is the name of a connection. */
  readonly takesConnection: boolean;
  /** What its first argument, or its subcommand, may be. */
  readonly words: readonly string[];
}

function visibleCommands(program: Command): CompletedCommand[] {
  return program
    .createHelp()
    .visibleCommands(program)
    .filter((command) => command.name() !== 'help')
    .map((command) => {
      const [first] = command.registeredArguments;
      return {
        name: command.name(),
        description: command.description(),
        options: command.options.filter(({ hidden }) => !hidden),
        takesConnection: first?.name() === 'connection',
        words: [...(first?.argChoices ?? []), ...command.commands.map((one) => one.name())],
      };
    });
}

const NAMES = 'esplane connection-names 2>/dev/null';
const GATEWAYS = 'esplane gateway-names 2>/dev/null';

function bash(commands: readonly CompletedCommand[]): string {
  const flags = ({ options }: CompletedCommand) =>
    options.flatMap(({ short, long }) => [short, long].filter(Boolean)).join(' ');
  const cases = commands.map((command) => {
    const words = [flags(command), ...command.words].join(' ').trim();
    const names = command.takesConnection ? ` $(${NAMES})` : '';
    return `    ${command.name}) words="${words}${names}" ;;`;
  });
  const choices = optionChoices(commands).map(
    ({ flag, values }) =>
      `    ${flag}) COMPREPLY=($(compgen -W "${values}" -- "$word")); return ;;`,
  );
  return `# bash completions of esplane, made by: esplane completion bash
_esplane() {
  local word=\${COMP_WORDS[COMP_CWORD]} before=\${COMP_WORDS[COMP_CWORD-1]} words
  case $before in
${choices.join('\n')}
    --connection) COMPREPLY=($(compgen -W "$(${NAMES})" -- "$word")); return ;;
    -n|--name) COMPREPLY=($(compgen -W "$(${GATEWAYS})" -- "$word")); return ;;
    -c|--config|--socket) COMPREPLY=($(compgen -f -- "$word")); return ;;
  esac
  case \${COMP_CWORD}:\${COMP_WORDS[1]} in
    1:*) words="${commands.map(({ name }) => name).join(' ')} --help --version" ;;
  esac
  [ $COMP_CWORD -gt 1 ] && case \${COMP_WORDS[1]} in
${cases.join('\n')}
  esac
  COMPREPLY=($(compgen -W "$words" -- "$word"))
}
complete -o default -F _esplane esplane
`;
}

function optionChoices(commands: readonly CompletedCommand[]): { flag: string; values: string }[] {
  const found = new Map<string, Set<string>>();
  for (const { long, argChoices } of commands.flatMap(({ options }) => options)) {
    if (long === undefined || long === null || argChoices === undefined) continue;
    found.set(long, new Set([...(found.get(long) ?? []), ...argChoices]));
  }
  return [...found].map(([flag, values]) => ({ flag, values: [...values].join(' ') }));
}

function zsh(commands: readonly CompletedCommand[]): string {
  const cases = commands.map(({ name, options, takesConnection, words }) => {
    const first = takesConnection
      ? ["'1:connection:_esplane_connections'"]
      : words.length > 0
        ? [`'1:what:(${words.join(' ')})'`]
        : [];
    return `    ${name}) _arguments ${[...options.map(zshOption), ...first].join(' ')} ;;`;
  });
  return `#compdef esplane
# zsh completions of esplane, made by: esplane completion zsh
_esplane_connections() {
  local -a names
  names=(\${(f)"$(${NAMES})"})
  _describe connection names
}
_esplane_gateways() {
  local -a names
  names=(\${(f)"$(${GATEWAYS})"})
  _describe gateway names
}
_esplane() {
  local -a commands
  commands=(
${commands.map(({ name, description }) => `    '${name}:${zshText(description)}'`).join('\n')}
  )
  if (( CURRENT == 2 )); then
    _describe command commands
    return
  fi
  local command=$words[2]
  shift words
  (( CURRENT-- ))
  case $command in
${cases.join('\n')}
  esac
}
if [ "$funcstack[1]" = _esplane ]; then _esplane "$@"; else compdef _esplane esplane; fi
`;
}

/** Such as `'(-f --follow)'{-f,--follow}'[go on]'` (zshcompsys, _arguments). */
function zshOption(option: Option): string {
  const names = [option.short, option.long].filter((name) => typeof name === 'string');
  const value = option.required ? `:${option.attributeName()}:${zshValues(option)}` : '';
  const meaning = `[${zshText(option.description)}]${value}'`;
  return names.length > 1
    ? `'(${names.join(' ')})'{${names.join(',')}}'${meaning}`
    : `'${names[0]}${meaning}`;
}

function zshValues({ long, argChoices }: Option): string {
  if (argChoices !== undefined) return `(${argChoices.join(' ')})`;
  if (long === '--connection') return '_esplane_connections';
  if (long === '--name') return '_esplane_gateways';
  return long === '--config' || long === '--socket' ? '_files' : ' ';
}

/** In single quotes, within brackets or behind a colon. */
function zshText(text: string): string {
  return text.replaceAll(/[[\]:\\]/g, (c) => `\\${c}`).replaceAll("'", "'\\''");
}

function fish(commands: readonly CompletedCommand[]): string {
  const quote = (text: string) => `'${text.replaceAll(/['\\]/g, (c) => `\\${c}`)}'`;
  const lines = commands.flatMap((command) => {
    const { name, description, options, words } = command;
    const seen = `-n '__fish_seen_subcommand_from ${name}'`;
    return [
      `complete -c esplane -n __fish_use_subcommand -a ${name} -d ${quote(description)}`,
      ...options.map((option) => fishOption(option, seen, quote)),
      ...(command.takesConnection ? [`complete -c esplane ${seen} -a '(${NAMES})'`] : []),
      ...(words.length > 0 ? [`complete -c esplane ${seen} -a ${quote(words.join(' '))}`] : []),
    ];
  });
  return [
    '# fish completions of esplane, made by: esplane completion fish',
    'complete -c esplane -f',
    ...lines,
    '',
  ].join('\n');
}

function fishOption(option: Option, seen: string, quote: (text: string) => string): string {
  const { short, long, description, argChoices, required } = option;
  const isPath = long === '--config' || long === '--socket';
  const asked = { '--connection': `(${NAMES})`, '--name': `(${GATEWAYS})` };
  const values = argChoices?.join(' ') ?? asked[long as keyof typeof asked];
  return [
    'complete -c esplane',
    seen,
    ...(short === undefined || short === null ? [] : [`-s ${short.slice(1)}`]),
    ...(long === undefined || long === null ? [] : [`-l ${long.slice(2)}`]),
    ...(required ? [isPath ? '-rF' : '-x'] : []),
    ...(values === undefined ? [] : [`-a ${quote(values)}`]),
    `-d ${quote(description)}`,
  ].join(' ');
}
