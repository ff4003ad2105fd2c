/** `esplane plan` and `esplane apply`: a changed configuration, before and after. */
import type { Command } from 'commander';
import { loadConfig } from '../config/load.js';
import {
  type ConnectionAction,
  type ConnectionChange,
  isEmptyPlan,
  type Plan,
  type PlannedPort,
  planChange,
} from '../config/plan.js';
import { ConfigError } from '../config/problem.js';
import { wipeKeys } from '../policy/authentication.js';
import { ask, asksDaemon, type DaemonOptions } from './daemon.js';
import { EXIT_CODES, ExitError } from './exit.js';

interface PlanOptions extends DaemonOptions {
  readonly compare?: boolean;
}

export function addChange(program: Command): void {
  asksDaemon(
    program
      .command('plan')
      .description('show what apply would do: which tunnels start, stop, are set up anew, or stay')
      .argument('[old]', 'with --compare: the configuration before')
      .argument('[new]', 'with --compare: the configuration after'),
  )
    .option('--compare', 'compare two configurations instead, without a daemon')
    .action(plan);
  asksDaemon(
    program
      .command('apply')
      .description(
        'have the daemon read its configuration again; tunnels that have not changed go on',
      ),
  ).action((options: DaemonOptions) =>
    ask(
      options,
      'applying the configuration',
      (client) => client.apply(),
      (done) => renderPlan(done, 'done'),
    ),
  );
}

async function plan(from: string | undefined, to: string | undefined, options: PlanOptions) {
  if (options.compare !== true) {
    if (from !== undefined) {
      throw new ExitError(EXIT_CODES.usage, 'two configurations are compared with --compare');
    }
    const render = (planned: Plan) => renderPlan(planned, 'planned');
    await ask(options, 'asking the daemon', (client) => client.plan(), render);
    return;
  }
  if (from === undefined || to === undefined) {
    throw new ExitError(EXIT_CODES.usage, '--compare needs two configurations: old and new');
  }
  const compared = compare(from, to);
  const text =
    options.json === true ? `${JSON.stringify(compared)}\n` : renderPlan(compared, 'planned');
  process.stdout.write(text);
}

function compare(from: string, to: string): Plan {
  const configs = [from, to].map((path) => {
    try {
      return loadConfig(path, () => {});
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      throw new ExitError(EXIT_CODES.config, `\n${error.message}`);
    }
  });
  try {
    return planChange(configs[0]!, configs[1]!);
  } finally {
    for (const { connections } of configs) wipeKeys(connections);
  }
}

const MEANING: Readonly<Record<ConnectionAction, string>> = {
  start: 'new',
  stop: 'gone from the configuration: its SAs are deleted',
  restart: 'its SAs end and new ones are set up: traffic waits meanwhile',
  renew: 'new SAs are set up beside the old ones: no packet is lost',
  adjust: 'its SAs stay as they are',
  stay: '',
};

/** @param tense  whether it has been carried out */
export function renderPlan(plan: Plan, tense: 'planned' | 'done'): string {
  if (isEmptyPlan(plan)) return 'nothing changes\n';
  const changing = plan.connections.filter(({ action }) => action !== 'stay');
  const width = Math.max(0, ...changing.map(({ connection }) => connection.length));
  const staying = plan.connections.length - changing.length;
  const settings = plan.settings.map(
    ({ key, from, to, when }) =>
      `  gateway.${key}: ${from} -> ${to}${when === 'now' ? '' : ", from the daemon's next start"}`,
  );
  return [
    tense === 'done' ? 'done:' : 'apply would do this:',
    ...changing.map((change) => renderChange(change, width)),
    ...(staying === 0
      ? []
      : [`  stay     ${staying} ${staying === 1 ? 'connection' : 'connections'}`]),
    ...(plan.policies ? ['  policies: other entries, or in another order'] : []),
    ...plan.ports.map(renderPort),
    ...settings,
    '',
  ].join('\n');
}

const PORT_MEANING: Readonly<Record<PlannedPort['action'], string>> = {
  add: 'it is opened while the others go on',
  remove: "what comes there is the kernel's alone, which drops what is protected",
  reopen: 'it is closed and opened again: packets of its own are lost meanwhile',
};

function renderPort({ port, action, from, to }: PlannedPort): string {
  const change = [from, to].filter((one) => one !== undefined).join(' -> ');
  return `  ${action.padEnd(8)} port ${port} (${change})  ${PORT_MEANING[action]}`;
}

function renderChange({ connection, action, changed }: ConnectionChange, width: number): string {
  const because = changed.length === 0 ? '' : `${changed.join(', ')}; `;
  return `  ${action.padEnd(8)} ${connection.padEnd(width)}  ${because}${MEANING[action]}`;
}
