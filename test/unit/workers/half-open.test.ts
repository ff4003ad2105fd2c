import { describe, expect, it } from 'vitest';
import type { IkeSpi } from '../../../src/wire/index.js';
import { HALF_OPEN_MS, HalfOpenTable } from '../../../src/workers/half-open.js';

const spi = (n: number) => n.toString(16).padStart(16, '0') as IkeSpi;

describe('the table of half-open IKE SAs', () => {
  it('admits as many of one address as it may have, and leaves others alone', () => {
    const table = new HalfOpenTable(2, () => 0);
    expect(table.admit('192.0.2.1', spi(1))).toBe(true);
    expect(table.admit('192.0.2.1', spi(2))).toBe(true);
    expect(table.admit('192.0.2.1', spi(3))).toBe(false);
    expect(table.admit('192.0.2.2', spi(3))).toBe(true);
  });

  it('counts a retransmission once', () => {
    const table = new HalfOpenTable(1, () => 0);
    expect(table.admit('192.0.2.1', spi(1))).toBe(true);
    expect(table.admit('192.0.2.1', spi(1))).toBe(true);
    expect(table.size).toBe(1);
  });

  it('makes room when an SA is established or closed', () => {
    const table = new HalfOpenTable(1, () => 7);
    table.admit('192.0.2.1', spi(1));
    table.note('192.0.2.1', spi(1), spi(100));
    expect(table.settle(spi(100))).toBe(7);
    expect(table.settle(spi(100))).toBeUndefined();
    expect(table.admit('192.0.2.1', spi(2))).toBe(true);
  });

  it('forgets a request that came to nothing', () => {
    let now = 0;
    const table = new HalfOpenTable(1, () => now);
    table.admit('192.0.2.1', spi(1));
    now = HALF_OPEN_MS - 1;
    expect(table.admit('192.0.2.1', spi(2))).toBe(false);
    now = HALF_OPEN_MS;
    expect(table.admit('192.0.2.1', spi(2))).toBe(true);
    expect(table.size).toBe(1);
  });

  it('does not count what we begin against the peer', () => {
    const table = new HalfOpenTable(1, () => 3);
    table.note('192.0.2.1', spi(1), spi(1));
    expect(table.admit('192.0.2.1', spi(2))).toBe(true);
    expect(table.settle(spi(1))).toBe(3);
  });

  it('stays bounded under a flood of forged addresses', () => {
    const table = new HalfOpenTable(16, () => 0);
    for (let i = 0; i < 70_000; i++)
      table.admit(`10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`, spi(i));
    expect(table.size).toBe(65_536);
  });
});
