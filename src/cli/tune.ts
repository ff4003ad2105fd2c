/** `esplane tune`: measures this machine, shows the curves, recommends settings, and writes them. */
import { chownSync, existsSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { availableParallelism, cpus, loadavg, release } from 'node:os';
import { type Command, InvalidArgumentError } from 'commander';
import { recommend, type Setting } from '../bench/recommend.js';
import { measureMachine } from '../bench/tune.js';
import { type TunedMachine, tuneReport } from '../bench/tune-report.js';
import { type EditedText, setGatewayNumbers } from '../config/edit.js';
import { parseConfig } from '../config/parse.js';
import { ConfigError } from '../config/problem.js';
import { readSources } from '../config/source.js';
import { htmlReport } from '../report/html-report.js';
import { renderReport } from '../report/render-report.js';
import type { Report } from '../report/report.js';
import { version } from '../version.js';
import { readsConfig } from './config-option.js';
import { EXIT_CODES, ExitError } from './exit.js';
import { StepProgress } from './progress.js';

interface TuneCommandOptions {
  readonly config: string;
  readonly port?: readonly string[];
  readonly keyBits: 128 | 256;
  readonly seconds: number;
  readonly html?: string;
  readonly write?: boolean;
  readonly json?: boolean;
}

const MOST_PORTS = 2;

export function addTune(program: Command): void {
  readsConfig(
    program
      .command('tune')
      .description(
        'measure this machine, show the curves, and recommend settings with the evidence',
      ),
  )
    .option(
      '--port <interface>',
      'measure a network port, which is taken from its traffic meanwhile; with a second one, joined to it by a cable, receiving too',
      addPort,
    )
    .option('--key-bits <n>', 'of AES-GCM: 128 or 256', parseKeyBits, 128)
    .option('--seconds <n>', 'for each point of a curve', parseSeconds, 0.3)
    .option('--html <file>', 'write the report as one page, with plots')
    .option('--write', 'show how the configuration changes, then write it')
    .option('--json', 'print what was measured and recommended as one JSON object')
    .action(tune);
}

function tune(options: TuneCommandOptions): void {
  const target = configTarget(options);
  const machine = describe();
  const progress = new StepProgress();
  const { keyBits, seconds, port: ports = [] } = options;
  const measured = explainPorts(() => {
    try {
      return measureMachine({ keyBits, seconds, ports }, (...step) => progress.show(...step));
    } finally {
      progress.clear();
    }
  });
  const settings = recommend(measured, machine.cpus);
  const change = target === undefined ? undefined : changeOf(target, settings);
  const report = tuneReport(measured, settings, machine, listingOf(settings, target, change));
  if (options.html !== undefined) writeFileSync(options.html, htmlReport(report));
  if (options.json === true) {
    process.stdout.write(`${JSON.stringify({ machine, measured, settings })}\n`);
  } else {
    process.stdout.write(renderReport(report));
  }
  if (options.write === true) writeConfig(target!, change!, options);
}

function addPort(name: string, before: readonly string[] = []): string[] {
  if (before.length === MOST_PORTS) throw new InvalidArgumentError('at most two ports.');
  if (!existsSync(`/sys/class/net/${name}`)) {
    throw new InvalidArgumentError(`there is no interface "${name}" on this machine.`);
  }
  return [...before, name];
}

function parseKeyBits(text: string): 128 | 256 {
  if (text === '128') return 128;
  if (text === '256') return 256;
  throw new InvalidArgumentError('128 or 256.');
}

function parseSeconds(text: string): number {
  const seconds = Number(text);
  if (seconds > 0 && seconds <= 60) return seconds;
  throw new InvalidArgumentError('above 0, at most 60.');
}

function describe(): TunedMachine {
  return {
    cpu: cpus()[0]?.model.trim() ?? 'an unknown CPU',
    cpus: availableParallelism(),
    kernel: release(),
    version,
    load: loadavg()[0]!,
  };
}

function explainPorts<T>(measure: () => T): T {
  try {
    return measure();
  } catch (error) {
    throw new ExitError(EXIT_CODES.failed, error instanceof Error ? error.message : String(error));
  }
}

// --- the configuration --------------------------------------------------------------------------

/** The file that holds `[gateway]`, and its text. */
interface Target {
  readonly file: string;
  readonly text: string;
}

/** Undefined where there is no configuration; throws where one is to be written and cannot be. */
function configTarget({ config, write }: TuneCommandOptions): Target | undefined {
  try {
    const sources = readSources(config);
    const file = parseConfig(sources).fileOf(['gateway']);
    return { file, text: sources.find((source) => source.file === file)!.text };
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    if (write === true) throw new ExitError(EXIT_CODES.config, `\n${error.message}`);
    return undefined;
  }
}

function changeOf({ text }: Target, settings: readonly Setting[]): EditedText | undefined {
  return setGatewayNumbers(
    text,
    Object.fromEntries(settings.map(({ key, value }) => [key, value])),
  );
}

/** The difference to the configuration, or the lines that a new one would have. */
function listingOf(
  settings: readonly Setting[],
  target: Target | undefined,
  change: EditedText | undefined,
): Report['listing'] {
  if (target === undefined || change === undefined) {
    const lines = settings.map(({ key, value }) => `${key} = ${value}`);
    return { title: 'For the configuration', lines: ['[gateway]', ...lines] };
  }
  if (change.lines.length === 0) {
    return { title: `${target.file} has these settings already`, lines: ['nothing to change'] };
  }
  const lines = change.lines.flatMap(({ line, before, after }) => [
    `@@ line ${line}`,
    ...(before === undefined ? [] : [`-${before}`]),
    `+${after}`,
  ]);
  return { title: `The difference to ${target.file}`, lines };
}

/** The whole configuration is held against the schema as changed, before it is written. */
function writeConfig(
  target: Target,
  change: EditedText | undefined,
  { config }: TuneCommandOptions,
) {
  if (change === undefined) {
    throw new ExitError(
      EXIT_CODES.config,
      `${target.file}: [gateway] is not written line by line; set it by hand`,
    );
  }
  if (change.lines.length === 0) return;
  const changed = readSources(config).map((source) =>
    source.file === target.file ? { ...source, text: change.text } : source,
  );
  parseConfig(changed);
  const { mode, uid, gid } = statSync(target.file);
  const temporary = `${target.file}.new`;
  writeFileSync(temporary, change.text, { mode });
  chownSync(temporary, uid, gid);
  renameSync(temporary, target.file);
  process.stderr.write(`written: ${target.file}; esplane plan tells what comes into force when\n`);
}
