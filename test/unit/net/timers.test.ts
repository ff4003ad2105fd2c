import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import { Timers } from '../../../src/net/timers.js';

let timers: Timers | undefined;

afterEach(() => timers?.clear());

function collect(): { timers: Timers; expired: string[] } {
  const expired: string[] = [];
  timers = new Timers((name) => expired.push(name));
  return { timers, expired };
}

describe('timers', () => {
  it('run out in the order of their times, whatever the order of their starts', async () => {
    const { timers, expired } = collect();
    for (const place of [5, 2, 7, 0, 3, 6, 1, 4]) timers.start(`t${place}`, 20 * place);
    expect(timers.size).toBe(8);
    while (timers.size > 0) await sleep(10);
    expect(expired).toEqual(Array.from({ length: 8 }, (_, i) => `t${i}`));
  });

  it('are moved when they are started again, and silent when they are cancelled', async () => {
    const { timers, expired } = collect();
    timers.start('moved', 1);
    timers.start('moved', 30);
    timers.start('cancelled', 5);
    timers.cancel('cancelled');
    timers.start('other', 10);
    await sleep(60);
    expect(expired).toEqual(['other', 'moved']);
  });

  it('may be started by one that runs out', async () => {
    const expired: string[] = [];
    timers = new Timers((name) => {
      expired.push(name);
      if (expired.length < 3) timers!.start('again', 1);
    });
    timers.start('again', 1);
    await sleep(60);
    expect(expired).toEqual(['again', 'again', 'again']);
  });

  it('let other work have its turn while many run out at once', async () => {
    let told = 0;
    const seen: number[] = [];
    timers = new Timers(() => {
      told++;
      const until = performance.now() + 1;
      while (performance.now() < until);
    });
    for (let i = 0; i < 60; i++) timers.start(`t${i}`, 0);
    while (told < 60) {
      await new Promise((resolve) => setImmediate(resolve));
      seen.push(told);
    }
    const longest = Math.max(...seen.map((count, i) => count - (seen[i - 1] ?? 0)));
    // Each takes a millisecond, a slice ten of them.
    expect(longest).toBeLessThanOrEqual(11);
  });

  it('do not pile up those that were moved or cancelled', () => {
    const { timers } = collect();
    timers.start('other', 60_000);
    const before = process.memoryUsage().heapUsed;
    for (let i = 0; i < 300_000; i++) timers.start('one', 3_600_000);
    for (let i = 0; i < 300_000; i++) {
      timers.start(`t${i}`, 3_600_000);
      timers.cancel(`t${i}`);
    }
    expect(timers.size).toBe(2);
    expect(process.memoryUsage().heapUsed - before).toBeLessThan(50e6);
  });

  it('never fire after they were cleared', async () => {
    const { timers, expired } = collect();
    for (let i = 0; i < 10; i++) timers.start(`t${i}`, i);
    timers.clear();
    await sleep(20);
    expect(expired).toEqual([]);
  });
});
