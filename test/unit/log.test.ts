import { describe, expect, it } from 'vitest';
import { Secret } from '../../src/crypto/secret.js';
import { createLog, type LogFields, ofSubsystem } from '../../src/log.js';

function capture(format: 'text' | 'json') {
  const lines: string[] = [];
  const log = createLog({ level: 'info', format, write: (line) => lines.push(line) });
  return { log, lines };
}

describe('the log', () => {
  it('writes a line that people can read', () => {
    const { log, lines } = capture('text');
    log.warn('no answer', { connection: 'office', tries: 3, ikeSpi: undefined });
    expect(lines).toHaveLength(1);
    expect(lines[0]).toMatch(/^\d\d:\d\d:\d\d\.\d{3} warn {2}office: no answer \(tries=3\)\n$/);
  });

  it('indents what follows the first line, and has the fields on that', () => {
    const { log, lines } = capture('text');
    log.warn('it differs\nours: a\npeer: b', { connection: 'office', tries: 3 });
    expect(lines[0]?.slice(13)).toBe('warn  office: it differs (tries=3)\n  ours: a\n  peer: b\n');
  });

  it('writes JSON for machines', () => {
    const { log, lines } = capture('json');
    log.error('no answer', { connection: 'office' });
    expect(JSON.parse(lines[0]!)).toEqual({
      level: 'error',
      time: expect.any(Number),
      connection: 'office',
      msg: 'no answer',
    });
  });

  it('leaves out what is below its level', () => {
    const { log, lines } = capture('text');
    log.debug('a detail');
    expect(lines).toEqual([]);
  });

  it('shows more of a subsystem or a connection that is set to, at any time', () => {
    const { log, lines } = capture('text');
    const ike = ofSubsystem(log, 'ike');
    log.setLevel('debug', { subsystem: 'ike' });
    log.setLevel('debug', { connection: 'home' });
    log.setLevel('error');
    ike.debug('of the subsystem');
    log.debug('of the connection', { connection: 'home' });
    log.warn('of another one', { connection: 'office' });
    log.setLevel(undefined, { subsystem: 'ike' });
    ike.debug('of no interest any more');
    expect(lines.map((line) => line.slice(19).trimEnd())).toEqual([
      'of the subsystem',
      'home: of the connection',
    ]);
  });

  it('lets who subscribes hear what it does not write', () => {
    const { log, lines } = capture('text');
    const heard: string[] = [];
    const leave = log.subscribe(({ level, subsystem, connection, message }) =>
      heard.push([level, subsystem, connection, message].join(' ')),
    );
    ofSubsystem(log, 'ike').debug('a detail', { connection: 'office' });
    leave();
    log.info('later');
    expect(heard).toEqual(['debug ike office a detail']);
    expect(lines).toHaveLength(1);
    expect(log.recent().map(({ message }) => message)).toEqual(['later']);
  });

  it('tells the least level that is of use to anybody, and when it changes', () => {
    const { log } = capture('text');
    const told: string[] = [];
    log.watchLeast((least) => told.push(least));
    const leave = log.subscribe(() => {});
    leave();
    log.setLevel('debug', { connection: 'office' });
    log.setLevel(undefined, { connection: 'office' });
    log.setLevel('error');
    expect(told).toEqual(['info', 'debug', 'info', 'debug', 'info', 'info']);
  });

  it('shows no secret, even where one is passed against the types', () => {
    for (const format of ['text', 'json'] as const) {
      const { log, lines } = capture(format);
      log.info('keys', { key: new Secret(Buffer.from('hunter2')) } as unknown as LogFields);
      expect(lines.join()).toContain('[secret]');
      expect(lines.join()).not.toMatch(/hunter2|104,117/);
    }
  });
});
