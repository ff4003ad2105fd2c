/**
 * A newcomer's first tunnel: what README.md has under "Both on one machine" is done as it stands
 * there, then two mistakes are made that everybody makes once, and mended by doing what
 * `esplane explain` says and nothing else.
 */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ApiClient } from '../../src/api/client.js';
import { renderExplanation } from '../../src/cli/explain.js';
import { renderStatus } from '../../src/cli/render-status.js';
import { execute, inNamespace, Namespaces, whyNoNamespaces } from '../../src/lab/namespaces.js';
import { Program, waitFor } from '../../src/lab/program.js';
import { compileIfStale, program } from '../compiled.js';

const reason = whyNoNamespaces();
if (reason !== undefined) console.warn(`skipped: ${reason}`);

const readme = readFileSync(fileURLToPath(new URL('../../README.md', import.meta.url)), 'utf8');

/** The first block of code behind a heading of the README. */
function blockOf(heading: string): string {
  const section = readme.slice(readme.indexOf(`\n${heading}\n`));
  return /^```\w*\n([\s\S]*?)^```$/m.exec(section)![1]!;
}

type Name = 'left' | 'right';
const NAMES: readonly Name[] = ['left', 'right'];

describe.skipIf(reason !== undefined)('a newcomer', () => {
  const namespaces = new Namespaces();
  const daemons: Program[] = [];
  let folder: string;

  const namespaceOf = (name: Name) => `${namespaces.prefix}${name}`;
  const fileOf = (name: Name, file: string) => join(folder, name, file);
  const socketOf = (name: Name) => fileOf(name, 'api.sock');

  beforeAll(() => {
    compileIfStale();
    folder = mkdtempSync(join(tmpdir(), 'esplane-newcomer-'));
    for (const name of NAMES) namespaces.add(name);
    // Our namespaces have names of their own, and are there already, to be removed with the test.
    const commands = blockOf('### Both on one machine')
      .replaceAll(/^ *ip netns add .*$/gm, '')
      .replaceAll(/'(left|right) (\d)'/g, `'${namespaces.prefix}$1 $2'`)
      .replaceAll(/(-n|netns) (left|right)\b/g, `$1 ${namespaces.prefix}$2`);
    execute(['sh', '-e', '-c', commands]);
  });

  afterAll(async () => {
    for (const daemon of daemons) await daemon.stop();
    namespaces.remove();
    rmSync(folder, { recursive: true });
  });

  /** The configuration of the README, for either side. */
  function configure(name: Name, ...lines: readonly string[]): void {
    const swapped: Readonly<Record<string, string>> = { local: 'remote', remote: 'local ' };
    const sides = blockOf('## A site-to-site tunnel');
    const mine =
      name === 'left'
        ? sides
        : sides.replaceAll(/^(local|remote) *=/gm, (_, side: string) => `${swapped[side]} =`);
    const named = `[gateway]\nname = "${name}"\napi_socket = "${socketOf(name)}"`;
    mkdirSync(join(folder, name), { recursive: true });
    const text = [mine.replace('[gateway]', named), ...lines, ''].join('\n');
    writeFileSync(fileOf(name, 'gateway.toml'), text);
  }

  const writeKey = (name: Name, key: string) =>
    writeFileSync(fileOf(name, 'office.psk'), `${key}\n`, { mode: 0o600 });

  async function run(name: Name): Promise<void> {
    const command = [process.execPath, program, 'run', '-c', fileOf(name, 'gateway.toml')];
    const logFile = fileOf(name, 'log');
    daemons.push(new Program({ namespace: namespaceOf(name), command, logFile }));
    await waitFor(`gateway ${name}`, 20, () =>
      apiOf(name)
        .health()
        .catch(() => undefined),
    );
  }

  const apiOf = (name: Name) => new ApiClient(socketOf(name));

  /** What `esplane explain office` prints. */
  const explain = async (name: Name) => renderExplanation(await apiOf(name).explain('office'));

  const ping = () =>
    execute(inNamespace(namespaceOf('left'), 'ping -c 2 -W 2 -I 10.1.0.1 10.2.0.1'.split(' ')));

  it('has a tunnel by what the README says, and mends two mistakes by what explain says', async () => {
    configure('left', 'esp = ["aes256gcm16"]');
    configure('right', 'esp = ["aes256-sha256"]');
    writeKey('left', 'correct horse battery staple');
    writeKey('right', 'correct horse battery stable');
    await Promise.all(NAMES.map(run));

    expect(await apiOf('left').up('office')).toMatchObject({ result: 'failed' });
    expect(await explain('left')).toContain('AUTHENTICATION_FAILED');
    const key = await explain('right');
    expect(key).toContain('AUTH of a.example does not verify: the pre-shared keys differ');
    expect(key).toContain(
      '- psk_file of [connection.office] has to hold the same key on both gateways',
    );
    expect(key).toContain('- then, on the gateway that was changed: esplane apply');
    writeKey('right', 'correct horse battery staple');
    await apiOf('right').apply();

    expect(await apiOf('left').up('office')).toMatchObject({ result: 'failed' });
    expect(await explain('left')).toContain('NO_PROPOSAL_CHOSEN');
    const proposal = await explain('right');
    expect(proposal).toMatch(/ours: +AES_CBC_256 .*\n +peer's: +AES_GCM_16_256 /);
    const line = /as a line of \[connection\.office\] here: (esp = .*)$/m.exec(proposal)![1]!;
    configure('right', line);
    await apiOf('right').apply();

    expect(await apiOf('left').up('office')).toMatchObject({ result: 'established' });
    expect(await explain('left')).toMatch(/^office: it is up; what failed before is over$/m);
    expect(ping()).toContain(' 2 received');
    // Both may have begun, so that an SA that is gone by now has carried one of them.
    expect(renderStatus(await apiOf('left').status())).toMatch(/transfer: (84|168) B received/);
  });

  it('is told that a renewal has failed while the tunnel goes on', async () => {
    configure('left', 'esp = ["aes128ctr-sha512"]');
    await apiOf('left').apply();
    const text = await waitFor('the failure', 20, async () => {
      const explained = await explain('left');
      return explained.includes('what was tried since has failed') ? explained : undefined;
    });
    expect(text).toContain('office: it is up, as agreed before;');
    expect(text).toContain('what we propose, as a line of its configuration: esp =');
    expect(ping()).toContain(' 2 received');
  });
});
