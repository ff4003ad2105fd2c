/**
 * Lives of tunnels with rekeyings and faults, their invariants held after every step; and two
 * thousand seeded sessions of two IKE cores over a network that loses, duplicates and reorders
 * a fifth of all datagrams each: every one ends established, with the same keys on both sides, or
 * cleanly failed. `npm run replay -- <seed>` plays one again and draws its messages; `npm run
 * replay -- life <seed>` does so with a life.
 */
import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { FAIR, Network } from '../harness/network.js';
import { connectionOf } from '../harness/peer.js';
import { FAULTS } from './lifecycle.js';
import { playLives } from './lives.js';
import { playSession, type Story } from './session.js';

const LIVES = Number(process.env.ESPLANE_LIVES ?? 20_000);
/** In CI as many more, to a hundred thousand, as these seconds hold. */
const isCi = Boolean(process.env.CI) && process.env.CI !== 'false';
const [MOST_LIVES, SECONDS] = isCi ? [Math.max(LIVES, 100_000), 80] : [LIVES, undefined];
const FIRST_LIFE = Number(process.env.ESPLANE_FIRST_LIFE ?? 1);
const root = fileURLToPath(new URL('../../../', import.meta.url));

describe(`${LIVES} lives and more of a tunnel with two rekeyings and a fault at least`, () => {
  it('keep every invariant, and leave nothing behind', { timeout: 3_600_000 }, async () => {
    execFileSync(`${root}node_modules/.bin/tsc`, ['-p', `${root}test/exchange`]);
    const began = performance.now();
    const { lives, sessions, rekeyings, datagrams, cpuSeconds, problems, gateways, faults } =
      await playLives(
        `${root}build/exchange/test/exchange/lives/simulate.js`,
        FIRST_LIFE,
        MOST_LIVES,
        { each: 5_000, seconds: SECONDS, least: LIVES },
      );
    console.log(
      `seeds ${FIRST_LIFE} to ${FIRST_LIFE + lives - 1}: ${sessions} sessions, ${rekeyings} rekeyings, ` +
        `${datagrams} datagrams in ${((performance.now() - began) / 1000).toFixed(1)} s, ` +
        `${cpuSeconds.toFixed(1)} s of CPU`,
    );
    expect(problems).toEqual([]);
    expect(lives).toBeGreaterThanOrEqual(LIVES);
    // One in twenty-five has no key or PPK in common, and no IKE SA comes of it.
    expect(sessions).toBeGreaterThan(0.95 * lives);
    expect(rekeyings).toBeGreaterThan(2 * lives);
    // Three and four gateways are rare: of 20,000 lives some ten each.
    if (lives >= 20_000) expect(Object.keys(gateways)).toEqual(['2', '3', '4']);
    expect(Object.keys(faults).sort()).toEqual([...FAULTS].sort());
    for (const [fault, count] of Object.entries(faults)) {
      expect(count, fault).toBeGreaterThan(lives / 20);
    }
  });
});

const SESSIONS = Number(process.env.ESPLANE_SESSIONS ?? 2_000);

describe(`${SESSIONS} sessions with 20 % loss, duplication and reordering`, () => {
  it('end established with the same keys, or cleanly failed', { timeout: 300_000 }, () => {
    const counts = new Map<string, number>();
    const problems: string[] = [];
    const start = process.cpuUsage();
    for (let seed = 0; seed < SESSIONS; seed++) {
      const { story, end, problem } = playSession(seed);
      const key = `${story}: ${end}`;
      counts.set(key, (counts.get(key) ?? 0) + 1);
      if (problem !== undefined) problems.push(`seed ${seed}, ${story}: ${problem}`);
    }
    const { user, system } = process.cpuUsage(start);
    const summary = [...counts].map(([key, count]) => `${count} ${key}`).sort();
    console.log(`${((user + system) / 1e6).toFixed(1)} s of CPU\n${summary.join('\n')}`);
    expect(problems).toEqual([]);
    // The stories that can succeed do, but for the few whose every datagram is lost.
    const part = (story: Story, end: string) => {
      const ended = counts.get(`${story}: ${end}`) ?? 0;
      const other = counts.get(`${story}: ${end === 'failed' ? 'established' : 'failed'}`) ?? 0;
      return ended / (ended + other);
    };
    expect(part('a initiates', 'established')).toBeGreaterThan(0.98);
    expect(part('both initiate', 'established')).toBeGreaterThan(0.98);
    expect(part('a guesses the group wrong', 'established')).toBeGreaterThan(0.9);
    expect(part('no selectors', 'established')).toBeGreaterThan(0.95);
    for (const story of ['wrong key', 'no proposal', 'b deletes'] as const) {
      expect(part(story, 'failed'), story).toBe(1);
    }
  });
});

describe('a seed', () => {
  it('plays the same session again, octet by octet', () => {
    for (const seed of [1, 2, 3, 50, 51, 52, 53]) {
      const [first, second] = [playSession(seed), playSession(seed)];
      expect(first.network.chart.length).toBeGreaterThan(3);
      expect(second.network.chart).toEqual(first.network.chart);
      expect(second.network.a.log).toEqual(first.network.a.log);
    }
  });

  it('plays another session than its neighbour', () => {
    expect(playSession(1).network.chart).not.toEqual(playSession(2).network.chart);
  });
});

describe('a quiet network', () => {
  it('carries four messages and no more', () => {
    const network = new Network(1, FAIR);
    network.a.ike.setConnections([connectionOf('a')]);
    network.b.ike.setConnections([connectionOf('b')]);
    network.a.handle({ type: 'initiate', connection: 'site' });
    network.run();
    expect(network.chart.filter(({ fate }) => fate === 'sent')).toHaveLength(4);
    expect(network.a.states).toEqual(['established']);
  });
});
