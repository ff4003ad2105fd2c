/** `esplane explain <connection>`: why it is not up, and what to change. */
import type { Command } from 'commander';
import type { ExplainedFailure, Explanation } from '../api/explain.js';
import { ask, asksDaemon, type DaemonOptions } from './daemon.js';
import { duration } from './render-status.js';

export function addExplain(program: Command): void {
  asksDaemon(
    program
      .command('explain <connection>')
      .description('why a connection is not up: what was compared, what differs, what to change'),
  ).action((name: string, options: DaemonOptions) =>
    ask(options, 'asking the daemon', (client) => client.explain(name), renderExplanation),
  );
}

export function renderExplanation({ connection, summary, failure, advice }: Explanation): string {
  return [
    `${connection}: ${summary}`,
    ...(failure === undefined ? [] : renderFailure(failure)),
    ...(advice.length === 0 ? [] : ['', 'what to do:', ...advice.map((line) => `  - ${line}`)]),
    '',
  ].join('\n');
}

function renderFailure({ notify, explanation, secondsAgo, unproved }: ExplainedFailure): string[] {
  return [
    '',
    `${secondsAgo < 1 ? 'just now' : `${duration(secondsAgo)} ago`}: ${notify}`,
    ...explanation.split('\n').map((line) => `  ${line}`),
    ...(unproved ? ['  (who sent this has not proved who it is)'] : []),
  ];
}
