import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { loadConfig } from '../../../src/config/load.js';
import { ConfigError } from '../../../src/config/problem.js';
import { keyOf } from '../../shared-key.js';

const GATEWAY = '[gateway]\nlan = ["lan0"]\nwan = ["wan0"]\n';

const tunnel = (name: string, number: number) => `
[connection.${name}]
local  = { address = "192.0.2.1", networks = ["10.1.0.0/16"] }
remote = { address = "192.0.2.${number}", networks = ["10.${number}.0.0/16"] }
psk_file = "${name}.psk"
`;

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'esplane-folder-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

function write(path: string, text: string): void {
  const file = join(folder, path);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, text, { mode: 0o600 });
}

function problems(): string[] {
  try {
    loadConfig(folder);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return error.message.replaceAll(`${folder}/`, '').split('\n');
  }
  return [];
}

describe('a folder of configuration files', () => {
  it('is read as one: its files, then those of conf.d, by name; keys are beside their files', () => {
    write('gateway.toml', GATEWAY);
    write('conf.d/20-home.toml', `${tunnel('home', 3)}[[policy]]\naction = "discard"\n`);
    write('conf.d/10-office.toml', `${tunnel('office', 2)}[[policy]]\naction = "bypass"\n`);
    write('conf.d/README', 'no configuration');
    write('conf.d/.#30-half-written.toml', 'lan =');
    write('conf.d/office.psk', 'a key of the office');
    write('conf.d/home.psk', 'a key of the home');
    const { connections, spd } = loadConfig(folder);
    expect(connections.map(({ name }) => name)).toEqual(['office', 'home']);
    expect(Buffer.from(keyOf(connections[1]!).bytes).toString()).toBe('a key of the home');
    expect(spd.map(({ action }) => action)).toEqual([
      ...['bypass', 'bypass', 'discard', 'discard'],
      ...['protect', 'protect', 'protect', 'protect'],
    ]);
  });

  it('tells a mistake in the file and line where it stands', () => {
    write('gateway.toml', GATEWAY);
    write('a.psk', 'a key of some length');
    write('conf.d/a.toml', '[[policy]]\naction = "bypass"\n');
    write('conf.d/b.toml', '[[policy]]\naction = "bypass"\n\n[[policy]]\naction = "drop"\n');
    expect(problems()).toEqual([
      'conf.d/b.toml:5:1: policy[1].action: found "drop", allowed: "bypass", "discard"',
    ]);
    write('conf.d/b.toml', 'a b');
    write('conf.d/c.toml', 'c d');
    expect(problems().map((line) => line.split(':')[0])).toEqual([
      'conf.d/b.toml',
      'conf.d/c.toml',
    ]);
  });

  it('has each connection, and the gateway, in one of its files', () => {
    write('gateway.toml', GATEWAY);
    write('office.psk', 'a key of the office');
    write('office.toml', tunnel('office', 2));
    write('conf.d/other.toml', `${GATEWAY}${tunnel('office', 3)}`);
    expect(problems()).toEqual([
      'conf.d/other.toml:1:1: gateway: found again, allowed: once; it stands in gateway.toml:1 already',
      'conf.d/other.toml:5:1: connection.office: found again, allowed: once; it stands in office.toml:2 already',
    ]);
  });

  it('has a [gateway], and files at all', () => {
    write('office.toml', tunnel('office', 2));
    expect(problems()).toEqual(['office.toml:1:1: gateway: missing, allowed: a table']);
    rmSync(join(folder, 'office.toml'));
    expect(problems()).toEqual([
      `${folder}: no file that ends in .toml in this folder, allowed: a configuration file, or a folder of them (-c)`,
    ]);
  });
});
