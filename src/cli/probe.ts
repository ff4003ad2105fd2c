/** `esplane probe`: whether a peer answers, how fast, through which NAT, and what the path takes. */
import type { Command } from 'commander';
import type { ProbeResult } from '../watch/probe.js';
import { ask, asksDaemon, type DaemonOptions } from './daemon.js';
import { EXIT_CODES } from './exit.js';

export function addProbe(program: Command): void {
  asksDaemon(
    program
      .command('probe <connection>')
      .description(
        'measure the path to a peer: round trips, loss, NAT, and its MTU, by IKE messages that every peer answers',
      ),
  ).action((name: string, options: DaemonOptions) =>
    ask(
      options,
      `probing ${name}`,
      async (client) => {
        const result = await client.probe(name);
        if (result.liveness?.roundTripMilliseconds == null) process.exitCode = EXIT_CODES.failed;
        return result;
      },
      renderProbe,
    ),
  );
}

const NAT = {
  none: 'none on the way',
  local: 'we are behind one',
  remote: 'the peer is behind one',
  both: 'both are behind one',
} as const;

function renderProbe(result: ProbeResult): string {
  const { connection, liveness, local, remote, nat, pathMtu, tried, children } = result;
  if (liveness === undefined || nat === undefined) {
    return `${connection}: there is no IKE SA to ask over (esplane up ${connection})\n`;
  }
  const lines = [
    `${connection}: ${local} <-> ${remote}`,
    `  NAT: ${NAT[nat]}`,
    `  liveness: ${describeLiveness(liveness)}`,
  ];
  if (liveness.roundTripMilliseconds !== null) {
    lines.push(`  path MTU: ${describePath(pathMtu, tried ?? [])}`);
  }
  for (const child of children ?? []) {
    const mtu =
      child.pathMtu === 0
        ? 'nothing sent yet'
        : `packets up to ${child.innerMtu} bytes inside, ${child.pathMtu} outside`;
    lines.push(
      `  Child SA ${child.name}: ${mtu}; ${child.lost} lost on the way to us, ${child.received} received`,
    );
  }
  return `${lines.join('\n')}\n`;
}

function describeLiveness({
  requests,
  lost,
  roundTripMilliseconds: times,
}: NonNullable<ProbeResult['liveness']>): string {
  if (times === null) return 'no answer';
  const { least, median, most } = times;
  const trips = [least, median, most].map((time) => time.toFixed(1)).join(' / ');
  return `${requests} requests, ${lost} lost, round trip ${trips} ms (least / median / most)`;
}

function describePath(
  pathMtu: number | undefined,
  tried: NonNullable<ProbeResult['tried']>,
): string {
  if (pathMtu === undefined) {
    return tried.length === 0
      ? 'not tried: the peer takes no IKE fragments, so a lost probe would cost the IKE SA'
      : `not found: nothing from ${tried.at(-1)!.bytes} bytes on arrived whole`;
  }
  const lost = tried.filter(({ arrived }) => !arrived).map(({ bytes }) => bytes);
  const beyond = lost.length === 0 ? '' : `, ${Math.min(...lost)} bytes do not arrive`;
  return `${pathMtu} bytes${beyond}`;
}
