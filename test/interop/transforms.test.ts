/**
 * Every transform in every mode, family and with ESN and without, with static keys: the dataplane
 * and a real Linux kernel, and what Linux lacks with an implementation in Python. The SAs of a
 * transform stand side by side; pings go out through each, and come back through its other half.
 * Payloads, counters at both ends, and the form of every packet on the wire must be right.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TRANSFORMS } from '../transforms.js';
import { makeCells, nameOf } from './matrix/cells.js';
import { MatrixGateway } from './matrix/gateway.js';
import { LinuxPeer } from './matrix/linux-peer.js';
import { PythonPeer } from './matrix/python-peer.js';
import { MatrixRun } from './matrix/run.js';
import { renderTable } from './matrix/table.js';
import { whyNoPrograms } from './support/network.js';

const why = whyNoPrograms('linux.uml', 'modprobe', 'g++');

describe.skipIf(why)(`every transform${why === undefined ? '' : ` (${why})`}`, () => {
  const cells = makeCells();
  const folder = mkdtempSync(join(tmpdir(), 'esplane-matrix-'));
  let gateway: MatrixGateway;
  let linux: LinuxPeer;
  let python: PythonPeer;
  let run: MatrixRun;

  beforeAll(async () => {
    gateway = new MatrixGateway(`matrix-${process.pid}`, cells);
    linux = await LinuxPeer.start(folder);
    python = PythonPeer.start();
    run = new MatrixRun(gateway, [linux, python], ({ transform }) =>
      transform.linux === undefined ? python : linux,
    );
  });

  afterAll(async () => {
    if (run !== undefined) process.stdout.write(`\n${renderTable(TRANSFORMS, run.outcomes)}\n\n`);
    gateway?.stop();
    await linux?.stop();
    await python?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  it.each(TRANSFORMS)('$name', async (transform) => {
    const own = cells.filter((cell) => cell.transform === transform);
    await run.install(own);
    await run.ping(own);
    const shown = { type: 'shown', by: transform.linux === undefined ? 'python' : 'linux' };
    expect(own.map((cell) => [nameOf(cell.column), run.outcomes.get(cell)])).toEqual(
      own.map(({ column }) => [nameOf(column), shown]),
    );
  });

  it('leaves nothing else on the wire, and no error at either end', async () => {
    expect(run.strays).toEqual([]);
    expect(gateway.drops).toEqual({});
    expect(await linux.errors()).toBe('');
    expect(await python.errors()).toBe('');
  });
});
