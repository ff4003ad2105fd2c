/** The main job as a user runs it: `esplane lab`, in namespaces and over memory ports. */
import { spawn } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { waitFor } from '../../src/lab/program.js';
import type { LabReport } from '../../src/lab/report.js';
import { whyNot } from '../interop/support/network.js';

const program = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));
const why = whyNot('ip', 'ethtool', 'nft', 'ping');

interface Run {
  readonly code: number | null;
  readonly output: string;
  readonly report: LabReport;
}

function start(args: readonly string[]) {
  const child = spawn(process.execPath, [program, 'lab', ...args]);
  let output = '';
  let errors = '';
  child.stdout.on('data', (data) => {
    output += data;
  });
  child.stderr.on('data', (data) => {
    errors += data;
  });
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
  return { child, ended, output: () => output, errors: () => errors };
}

async function runLab(...args: readonly string[]): Promise<Run> {
  const { ended, output, errors } = start([...args, '--json']);
  const code = await ended;
  const last = output().trimEnd().split('\n').at(-1) ?? '';
  if (!last.startsWith('{')) throw new Error(`no report, exit code ${code}: ${errors()}`);
  return { code, output: output(), report: JSON.parse(last) as LabReport };
}

/** Namespaces of the lab that a process has left behind. */
function leftBy(pid: number | undefined): string[] {
  return readdirSync('/run/netns').filter((name) => name.startsWith(`esplane-${pid}.`));
}

describe.skipIf(why)(`the lab in namespaces${why === undefined ? '' : ` (${why})`}`, () => {
  it('carries ping and TCP through AF_XDP, loses no ping and shows no clear text', async () => {
    const { code, report } = await runLab('--duration', '10');
    expect(report.problems).toEqual([]);
    expect(code).toBe(0);
    expect(report).toMatchObject({ ok: true, network: 'namespaces', ikeSas: 1, childSas: 1 });
    for (const port of ['a/lan', 'a/wan', 'b/lan', 'b/wan']) {
      expect(report.ports[port]).toMatch(/^xdp-/);
    }
    expect(report.ping.received).toBe(report.ping.sent);
    expect(report.ping.sent).toBeGreaterThan(40);
    expect(report.tcp!.aToB).toBeGreaterThan(50e6);
    expect(report.tcp!.bToA).toBeGreaterThan(50e6);
    expect(report.cleartextPackets).toBe(0);
    expect(report.wire.espPackets).toBe(report.esp.outPackets);
    expect(report.esp.outPackets).toBeGreaterThan(1000);
  });

  it('shows clear text to its tap when encryption is off', async () => {
    const { code, report } = await runLab('--duration', '4', '--plain');
    expect(report.problems).toEqual([]);
    expect(code).toBe(0);
    expect(report.cleartextPackets).toBeGreaterThan(1000);
    expect(report.esp).toEqual({ outPackets: 0, inPackets: 0 });
  });

  it('ends on Ctrl-C and leaves nothing behind', async () => {
    const { child, ended, output, errors } = start([]);
    await waitFor('traffic', 40, () => /ping [1-9]/.test(output()) || undefined).catch(
      (error: Error) => {
        throw new Error(`${error.message}: ${output()}${errors()}`);
      },
    );
    expect(leftBy(child.pid)).toHaveLength(5);
    child.kill('SIGINT');
    expect(await ended).toBe(0);
    expect(leftBy(child.pid)).toEqual([]);
  });
});

describe('the lab over memory ports', () => {
  it('runs both gateways in one process', async () => {
    const { code, report } = await runLab('--duration', '4', '--memory');
    expect(report.problems).toEqual([]);
    expect(code).toBe(0);
    expect(report).toMatchObject({ ok: true, network: 'memory', ikeSas: 1, childSas: 1 });
    expect(report.ping.received).toBe(report.ping.sent);
    expect(report.bulk!.bitsPerSecond).toBeGreaterThan(1e6);
    expect(report.cleartextPackets).toBe(0);
  });
});
