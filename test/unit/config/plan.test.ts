import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadConfig } from '../../../src/config/load.js';
import { isEmptyPlan, planChange } from '../../../src/config/plan.js';

const GATEWAY = '[gateway]\nlan = ["lan0"]\nwan = ["wan0"]\n';

const tunnel = (name: string, number: number, more = '') => `
[connection.${name}]
local  = { address = "192.0.2.1", id = "a.example", networks = ["10.1.0.0/16"] }
remote = { address = "192.0.2.${number}", id = "${name}.example", networks = ["10.${number}.0.0/16"] }
psk_file = "one.psk"
${more}
`;

const BEFORE = `${GATEWAY}${tunnel('office', 2)}${tunnel('home', 3)}`;

let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'esplane-plan-'));
  writeFileSync(join(folder, 'one.psk'), 'the first of the keys', { mode: 0o600 });
  writeFileSync(join(folder, 'two.psk'), 'the other of the keys', { mode: 0o600 });
});
afterAll(() => rmSync(folder, { recursive: true }));

function load(text: string) {
  writeFileSync(join(folder, 'gateway.toml'), text);
  return loadConfig(join(folder, 'gateway.toml'));
}

const plan = (after: string, before = BEFORE) => planChange(load(before), load(after));

/** What becomes of each connection, as one line. */
const actions = (after: string, before = BEFORE) =>
  plan(after, before).connections.map(({ connection, action, changed }) =>
    [action, connection, ...changed].join(' '),
  );

describe('the plan of a change', () => {
  it('is empty where only the text differs', () => {
    const same = plan(`# a remark\n${BEFORE.replaceAll('  ', ' ')}`);
    expect(isEmptyPlan(same)).toBe(true);
    expect(same.connections.map(({ action }) => action)).toEqual(['stay', 'stay']);
  });

  it('starts what is new and stops what is gone', () => {
    expect(actions(`${GATEWAY}${tunnel('home', 3)}${tunnel('branch', 4)}`)).toEqual([
      'stop office',
      'stay home',
      'start branch',
    ]);
  });

  it('restarts where the peer, its proof or what is protected has changed', () => {
    const change = (from: string, to: string) => actions(BEFORE.replace(from, to))[0];
    expect(change('"192.0.2.2"', '"192.0.2.9"')).toBe('restart office remote.address');
    expect(change('id = "office.example"', 'id = "b.example"')).toBe('restart office remote.id');
    expect(change('"10.2.0.0/16"', '"10.2.0.0/17"')).toBe('restart office remote networks');
    expect(change('one.psk', 'two.psk')).toBe('restart office psk');
  });

  it('renews where the same peers agree upon something else', () => {
    const change = (more: string) =>
      actions(`${GATEWAY}${tunnel('office', 2, more)}${tunnel('home', 3)}`)[0];
    expect(change('esp = ["aes128gcm16"]')).toBe('renew office esp or ah');
    expect(change('ike = ["aes128gcm16-prfsha256-x25519"]')).toBe('renew office ike');
    expect(change('replay_window = 64\nreauth_seconds = 900')).toBe(
      'renew office reauth_seconds replay_window',
    );
    expect(change('per_resource = true')).toBe('renew office per_resource');
    expect(change('start = "always"')).toBe('adjust office start');
  });

  it('leaves the other Child SAs alone when one comes or goes', () => {
    const children = (...names: number[]) =>
      `${GATEWAY}${tunnel('office', 2).replaceAll(/, networks = \[[^\]]*\]/g, '')}${names
        .map(
          (n) =>
            `[connection.office.child.c${n}]\nlocal = ["10.1.${n}.0/24"]\nremote = ["10.2.${n}.0/24"]\n`,
        )
        .join('')}`;
    expect(actions(children(2, 3), children(1, 2))).toEqual([
      'adjust office child c1 is gone child c3 is new',
    ]);
  });

  it('tells settings that count at once from those of the next start', () => {
    const { settings } = plan(
      BEFORE.replace('[gateway]', '[gateway]\nworkers = 2\nframes = 8192\nlog_level = "debug"'),
    );
    expect(settings).toEqual([
      { key: 'workers', from: 'auto', to: '2', when: 'now' },
      { key: 'frames', from: '4096', to: '8192', when: 'next start' },
      { key: 'log_level', from: 'info', to: 'debug', when: 'now' },
    ]);
  });

  it('tells which ports come, go and are opened anew', () => {
    const ports = (gateway: string) => plan(`${gateway}${BEFORE.slice(GATEWAY.length)}`).ports;
    expect(ports(GATEWAY)).toEqual([]);
    expect(ports(GATEWAY.replace(/wan = .*/, 'wan = ["wan1", "wan0"]'))).toEqual([
      { port: 'wan1', action: 'add', to: 'wan' },
    ]);
    expect(ports(GATEWAY.replace(/wan = .*/, 'wan = ["wan1"]'))).toEqual([
      { port: 'wan1', action: 'add', to: 'wan' },
      { port: 'wan0', action: 'remove', from: 'wan' },
    ]);
    expect(ports(`${GATEWAY}port_kind = "packet"\nqueues = 2\n`)).toEqual([
      { port: 'lan0', action: 'reopen', from: 'lan', to: 'lan, packet, 2 queues' },
      { port: 'wan0', action: 'reopen', from: 'wan', to: 'wan, packet, 2 queues' },
    ]);
    const swapped = GATEWAY.replace('lan0', 'x').replace('wan0', 'lan0').replace('"x"', '"wan0"');
    expect(ports(swapped).map(({ action, to }) => [action, to])).toEqual([
      ['reopen', 'lan'],
      ['reopen', 'wan'],
    ]);
  });

  it('sees policies, and their order', () => {
    const swapped = `${GATEWAY}${tunnel('home', 3)}${tunnel('office', 2)}`;
    expect(plan(swapped)).toMatchObject({ policies: true });
    expect(plan(`${BEFORE}[[policy]]\naction = "bypass"\n`)).toMatchObject({ policies: true });
    expect(
      plan(`${GATEWAY}${tunnel('new', 4)}${tunnel('office', 2)}${tunnel('home', 3)}`),
    ).toMatchObject({
      policies: false,
    });
  });

  it('never shows a key', () => {
    const text = JSON.stringify(plan(BEFORE.replaceAll('one.psk', 'two.psk')));
    expect(text).not.toMatch(/of the keys/);
  });
});
