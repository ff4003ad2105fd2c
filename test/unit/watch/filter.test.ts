import { describe, expect, it } from 'vitest';
import { connectionFilter } from '../../../src/watch/connection-filter.js';
import { bothFilters, parseFilter } from '../../../src/watch/filter.js';
import { parseSelector } from '../../../src/wire/index.js';

const host = (address: string) => ({ field: 'address', first: address, last: address });
const protocol = (value: number) => ({ field: 'protocol', value });

describe('filters', () => {
  it('are lists of conditions that hold together, any of which is enough', () => {
    expect(parseFilter('')).toEqual([]);
    expect(parseFilter('host 10.1.0.5 and (tcp port 443 or icmp)')).toEqual([
      [host('10.1.0.5'), protocol(6), { field: 'port', value: 443 }],
      [host('10.1.0.5'), protocol(1)],
    ]);
    expect(parseFilter('src net 10.1.0.0/16 dst port 53')).toEqual([
      [
        { field: 'source', first: '10.1.0.0', last: '10.1.255.255' },
        { field: 'destinationPort', value: 53 },
      ],
    ]);
    expect(parseFilter('esp and spi 0xc0000001 or ip6 proto udp')).toEqual([
      [protocol(50), { field: 'spi', value: 0xc0000001 }],
      [{ field: 'family', value: 6 }, protocol(17)],
    ]);
  });

  it('carry a negation to the conditions (De Morgan)', () => {
    expect(parseFilter('not (tcp and port 22)')).toEqual([
      [{ ...protocol(6), negated: true }],
      [{ field: 'port', value: 22, negated: true }],
    ]);
    expect(parseFilter('not (tcp or not udp)')).toEqual([
      [{ ...protocol(6), negated: true }, protocol(17)],
    ]);
  });

  it.each([
    ['tcp port', 'the filter ends where a port is to come'],
    ['port 70000', 'found "70000", allowed: a port, from 0 to 65535'],
    ['(tcp', 'a ")" is missing'],
    ['tcp)', 'found ")"'],
    ['10.1.0.5', 'say "host 10.1.0.5"'],
    ['host example.org', 'allowed: an address, or a network as 10.1.0.0/16'],
    ['src tcp', 'found "tcp"'],
    ['vlan 3', 'found "vlan", allowed: host,'],
    [Array(9).fill('(tcp or udp)').join(' and '), 'too many alternatives'],
  ])('refuse %s', (text, message) => {
    expect(() => parseFilter(text)).toThrow(message);
  });

  it('of a connection take its gateways outside and its networks inside', () => {
    const connection = {
      local: { address: '192.0.2.1' },
      remote: { address: '%any' },
      children: [
        {
          localSelectors: [parseSelector('10.1.0.0/16')],
          remoteSelectors: [parseSelector('10.2.0.0/24[udp]'), parseSelector('2001:db8::/32')],
        },
      ],
    } as unknown as Parameters<typeof connectionFilter>[0];
    const inside = [
      { field: 'address', first: '10.1.0.0', last: '10.1.255.255' },
      { field: 'address', first: '10.2.0.0', last: '10.2.0.255' },
      protocol(17),
    ];
    expect(connectionFilter(connection, [])).toEqual([inside]);
    const pair = { local: { address: '192.0.2.1' }, remote: { address: '198.51.100.7' } };
    const filter = connectionFilter(connection, [pair]);
    const outside = [host('192.0.2.1'), host('198.51.100.7')];
    expect(filter).toEqual([outside, inside]);
    const routed = { ...connection, interface: 'ipsec0' };
    expect(connectionFilter(routed, [pair])).toEqual([outside]);
    expect(connectionFilter(routed, [])).not.toEqual([]); // which would be everything
    expect(bothFilters(filter, parseFilter('port 53'))).toEqual(
      filter.map((all) => [...all, { field: 'port', value: 53 }]),
    );
  });
});
