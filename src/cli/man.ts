/**
 * Man pages, made from the commands and from the configuration's schema as they are defined:
 * esplane(1) and esplane.toml(5).
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Command, Option } from 'commander';
import { configJsonSchema } from '../config/schema.js';
import { version } from '../version.js';
import { EXIT_CODES } from './exit.js';

export function addMan(program: Command): void {
  program
    .command('man')
    .description('write the man pages esplane(1) and esplane.toml(5) into a folder')
    .argument('<folder>', 'where to, such as /usr/local/share/man')
    .action((folder: string) => {
      for (const [path, text] of Object.entries(manPages(program))) {
        const file = join(folder, path);
        mkdirSync(join(file, '..'), { recursive: true });
        writeFileSync(file, text);
        process.stdout.write(`${file}\n`);
      }
    });
}

/** Pages by path below a man folder. */
export function manPages(program: Command): Readonly<Record<string, string>> {
  return {
    'man1/esplane.1': commandPage(program),
    'man5/esplane.toml.5': configPage(configJsonSchema() as Schema),
  };
}

// --- esplane(1) ---------------------------------------------------------------------------------

const EXIT_MEANINGS: Readonly<Record<keyof typeof EXIT_CODES, string>> = {
  ok: 'Done.',
  failed: 'Failed; also: a connection did not come up, or the daemon could not start.',
  usage: 'Wrong usage.',
  config: 'The configuration has problems.',
  unreachable: 'No daemon can be reached.',
};

function commandPage(program: Command): string {
  const commands = program
    .createHelp()
    .visibleCommands(program)
    .filter((command) => command.name() !== 'help');
  return page('ESPLANE', 1, [
    '.SH NAME',
    `esplane \\- ${roff(program.description())}`,
    '.SH SYNOPSIS',
    '.B esplane',
    '.RI [ command "] [" options ]',
    '.SH DESCRIPTION',
    'Alone, it shows tunnels, SAs, traffic and drops of the gateway that runs.',
    '.SH COMMANDS',
    ...commands.flatMap((command) => commandLines(command, 'esplane')),
    '.SH EXIT STATUS',
    ...Object.entries(EXIT_CODES).flatMap(([name, code]) => [
      '.TP',
      `.B ${code}`,
      EXIT_MEANINGS[name as keyof typeof EXIT_CODES],
    ]),
    '.SH FILES',
    ...tagged('/etc/esplane', 'The configuration, see esplane.toml(5).'),
    ...tagged('/run/esplane/<name>.sock', 'The API of the gateway called <name>: HTTP and JSON.'),
    '.SH SEE ALSO',
    '.BR esplane.toml (5)',
  ]);
}

function commandLines(command: Command, parent: string): string[] {
  const name = `${parent} ${command.name()}`;
  if (command.commands.length > 0) {
    return command.commands.flatMap((child) => commandLines(child, name));
  }
  return [
    `.SS "${roff(`${name} ${command.usage()}`)}"`,
    sentence(command.description()),
    ...command.registeredArguments
      .filter(({ description }) => description !== '')
      .flatMap((argument) => tagged(`<${argument.name()}>`, sentence(argument.description))),
    ...command.options.filter(({ hidden }) => !hidden).flatMap(optionLines),
  ];
}

function optionLines(option: Option): string[] {
  const { flags, description, argChoices, defaultValue, defaultValueDescription } = option;
  const choices = argChoices === undefined ? '' : ` (${argChoices.join(', ')})`;
  const usual = defaultValueDescription ?? (defaultValue === undefined ? '' : String(defaultValue));
  const ending = usual === '' || usual === 'false' ? '' : `; default: ${usual}`;
  return tagged(flags, sentence(`${description}${choices}${ending}`));
}

// --- esplane.toml(5) ----------------------------------------------------------------------------

/** As much of JSON Schema as zod writes for us. */
interface Schema {
  readonly type?: string;
  readonly description?: string;
  readonly default?: unknown;
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly items?: Schema;
  readonly anyOf?: readonly Schema[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly additionalProperties?: Schema | boolean;
  readonly required?: readonly string[];
}

const EXAMPLE = `[gateway]
lan = ["lan0"]
wan = ["wan0"]

[connection.office]
local  = { address = "192.0.2.1", id = "a.example", networks = ["10.1.0.0/16"] }
remote = { address = "192.0.2.2", id = "b.example", networks = ["10.2.0.0/16"] }
psk_file = "office.psk"`;

function configPage(schema: Schema): string {
  const { gateway, connection, policy } = schema.properties!;
  const entry = connection!.additionalProperties as Schema;
  return page('ESPLANE.TOML', 5, [
    '.SH NAME',
    'esplane.toml \\- configuration of the esplane gateway',
    '.SH DESCRIPTION',
    'One TOML file, or a folder: its files that end in .toml, then those of its folder conf.d, each in',
    'the order of their names, are read as one. Secrets stand in files of their own.',
    '.SH EXAMPLE',
    '.nf',
    ...EXAMPLE.split('\n').map(roff),
    '.fi',
    '.SH "[gateway]"',
    ...tableLines(gateway!),
    '.SH "[connection.<name>]"',
    ...tableLines(entry),
    '.SH "[connection.<name>.child.<name>]"',
    ...tableLines(childTables(entry)),
    '.SH "[[policy]]"',
    ...tableLines(policy!.items!),
    '.SH SEE ALSO',
    '.BR esplane (1)',
  ]);
}

function childTables({ properties = {} }: Schema): Schema {
  const { child } = properties as { readonly child: Schema };
  return child.additionalProperties as Schema;
}

/** The keys of a table; those of a table within it follow with its name before theirs. */
function tableLines(table: Schema, prefix = ''): string[] {
  return Object.entries(table.properties ?? {}).flatMap(([key, value]) => {
    if (value.properties !== undefined) return tableLines(value, `${prefix}${key}.`);
    const required = table.required?.includes(key) === true ? ' Required.' : '';
    const usual = value.default === undefined ? '' : ` Default: ${JSON.stringify(value.default)}.`;
    const text = `${sentence(value.description ?? '')}${usual}${required}`;
    return tagged(`${prefix}${key} = ${typeOf(value)}`, text);
  });
}

function typeOf(schema: Schema): string {
  if (schema.enum !== undefined)
    return schema.enum.map((value) => JSON.stringify(value)).join(' | ');
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (schema.anyOf !== undefined) return schema.anyOf.map(typeOf).join(' | ');
  switch (schema.type) {
    case 'array':
      return `[${schema.items === undefined ? '' : typeOf(schema.items)}, …]`;
    case 'integer':
    case 'number':
      return schema.minimum === undefined ? 'number' : `${schema.minimum}–${schema.maximum}`;
    case 'boolean':
      return 'true | false';
    case 'object':
      return 'tables';
    default:
      return '"text"';
  }
}

// --- troff --------------------------------------------------------------------------------------

function page(title: string, section: number, lines: readonly string[]): string {
  const head = `.TH ${title} ${section} "" "esplane ${version}" ""`;
  return `${[head, '.nh', '.ad l', ...lines].join('\n')}\n`;
}

/** A term in bold, and what it means, indented. */
function tagged(term: string, text: string): string[] {
  return ['.TP', `.B "${roff(term).replaceAll('"', '\\(dq')}"`, roff(text)];
}

function sentence(text: string): string {
  if (text === '') return text;
  const first = `${text[0]!.toUpperCase()}${text.slice(1)}`;
  return /[.:]$/.test(first) ? first : `${first}.`;
}

/** A text in which troff finds no command of its own. */
function roff(text: string): string {
  return text
    .replaceAll('\\', '\\e')
    .replaceAll('-', '\\-')
    .replaceAll("'", '\\(aq')
    .replaceAll('…', '...')
    .replaceAll('–', ' to ')
    .replaceAll(
      /[^\n-~]/g,
      (c) => `\\[u${c.charCodeAt(0).toString(16).toUpperCase().padStart(4, '0')}]`,
    )
    .replace(/^\./, '\\&.');
}
