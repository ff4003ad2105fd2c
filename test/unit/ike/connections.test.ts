import { describe, expect, it } from 'vitest';
import { Connections } from '../../../src/ike/connections.js';
import { connectionOf } from '../../exchange/harness/peer.js';

const site = connectionOf('b', { name: 'site' });
const second = connectionOf('b', { name: 'second' });
const anybody = connectionOf('b', { name: 'anybody', remoteAddress: '%any' });
const elsewhere = connectionOf('b', { name: 'elsewhere', remoteAddress: '192.0.2.99' });
const connections = new Connections([anybody, site, elsewhere, second]);

describe('the configured connections', () => {
  it('are found by name', () => {
    expect(connections.named('elsewhere')).toBe(elsewhere);
    expect(connections.named('nowhere')).toBeUndefined();
    expect(connections.named(undefined)).toBeUndefined();
  });

  it('are found by addresses, those for any address last', () => {
    const between = (local: string, remote: string) =>
      connections.candidates(local, remote).connections;
    expect(between('192.0.2.2', '192.0.2.1')).toEqual([site, second, anybody]);
    expect(between('192.0.2.2', '198.51.100.1')).toEqual([anybody]);
    expect(between('192.0.2.1', '192.0.2.2')).toEqual([]);
  });
});
