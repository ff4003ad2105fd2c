import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { silentLog } from '../../../src/log.js';
import type { ChildPolicy, Connection, Start } from '../../../src/policy/connection.js';
import { ConnectionKeeper } from '../../../src/workers/keeper.js';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

const because = (explanation: string) => ({
  notify: 'no answer',
  explanation,
  unproved: false,
});

function setup(start: Start, names: readonly string[] = ['net']) {
  const log: string[] = [];
  const children = names.map((name) => ({ name, start }) as ChildPolicy);
  const up = new Set<string>();
  const keeper = new ConnectionKeeper({
    connections: [{ name: 'office', children } as unknown as Connection],
    initiate: (name, child) => log.push(`initiate ${name}/${child}`),
    terminate: (name) => log.push(`terminate ${name}`),
    isUp: (name) => up.has(name),
    log: silentLog,
  });
  const install = (child = 'net') => {
    up.add(`office/${child}`);
    keeper.childInstalled(`office/${child}`);
  };
  const lose = () => {
    up.clear();
    keeper.closed('office');
  };
  const loseChild = (child: string) => {
    up.delete(`office/${child}`);
    keeper.childGone(`office/${child}`);
  };
  return { keeper, log, install, lose, loseChild };
}

describe('the keeper of connections', () => {
  it('initiates at the start what is to be up, and nothing else', () => {
    for (const [start, calls] of [
      ['always', ['initiate office/net']],
      ['trap', []],
      ['wait', []],
    ] as const) {
      const { keeper, log } = setup(start);
      keeper.start();
      expect(log).toEqual(calls);
    }
  });

  it('tries again after a failure, at most once in a minute in the end', () => {
    const { keeper, log } = setup('always');
    keeper.start();
    for (let i = 0; i < 10; i++) {
      keeper.failed('office', because('no answer'));
      const before = log.length;
      vi.advanceTimersByTime(700);
      expect(log.length).toBe(before);
      vi.advanceTimersByTime(60_000);
      expect(log.length).toBe(before + 1);
    }
  });

  it('waits longer after each failure', () => {
    const { keeper, log } = setup('always');
    keeper.start();
    for (let i = 0; i < 4; i++) {
      keeper.failed('office', because('no answer'));
      vi.advanceTimersByTime(60_000);
    }
    keeper.failed('office', because('no answer'));
    // 1 s doubled five times, less a quarter at most.
    vi.advanceTimersByTime(23_000);
    expect(log.length).toBe(5);
    vi.advanceTimersByTime(9_100);
    expect(log.length).toBe(6);
  });

  it('brings back what the peer closed', () => {
    const { keeper, log, install, lose } = setup('always');
    keeper.start();
    install();
    lose();
    vi.advanceTimersByTime(1_000);
    expect(log).toEqual(['initiate office/net', 'initiate office/net']);
  });

  it('leaves what is on demand to the next packet', () => {
    const { keeper, log, install, lose } = setup('trap');
    keeper.acquire('office/net');
    keeper.acquire('office/net');
    expect(log).toEqual(['initiate office/net']);
    install();
    lose();
    vi.advanceTimersByTime(120_000);
    expect(log).toEqual(['initiate office/net']);
    keeper.acquire('office/net');
    expect(log.length).toBe(2);
  });

  it('does not ask a refusing peer again for each packet', () => {
    const { keeper, log } = setup('trap');
    keeper.acquire('office/net');
    keeper.failed('office', because('NO_PROPOSAL_CHOSEN'));
    keeper.acquire('office/net');
    expect(log.length).toBe(1);
    vi.advanceTimersByTime(2_000);
    keeper.acquire('office/net');
    expect(log.length).toBe(2);
  });

  it('answers up with the outcome, and remembers why it failed', async () => {
    const { keeper, install } = setup('wait');
    const failing = keeper.up('office');
    keeper.failed('office', because('AUTHENTICATION_FAILED'));
    expect(await failing).toEqual({ result: 'failed', explanation: 'AUTHENTICATION_FAILED' });
    expect(keeper.state('office')).toEqual({ wanted: 'up', lastError: 'AUTHENTICATION_FAILED' });
    const working = keeper.up('office');
    install();
    expect(await working).toEqual({ result: 'established' });
    expect(keeper.state('office').lastError).toBeUndefined();
    expect(await keeper.up('office')).toEqual({ result: 'established' });
  });

  it('does not wait for ever', async () => {
    const { keeper } = setup('wait');
    const outcome = keeper.up('office');
    vi.advanceTimersByTime(30_000);
    expect(await outcome).toEqual({ result: 'pending' });
  });

  it('keeps down what was taken down, also when packets ask for it', () => {
    const { keeper, log, lose } = setup('always');
    keeper.start();
    keeper.down('office');
    lose();
    keeper.acquire('office/net');
    vi.advanceTimersByTime(120_000);
    expect(log).toEqual(['initiate office/net', 'terminate office']);
    expect(keeper.state('office').wanted).toBe('down');
  });

  it('initiates nothing once it is stopped', () => {
    const { keeper, log } = setup('always');
    keeper.start();
    keeper.failed('office', because('no answer'));
    keeper.stop();
    keeper.acquire('office/net');
    vi.advanceTimersByTime(120_000);
    expect(log).toEqual(['initiate office/net']);
  });

  it('lets no stranger end somebody’s waiting, or put off what a packet asks for', async () => {
    const { keeper, log, install } = setup('trap');
    const outcome = keeper.up('office');
    for (let i = 0; i < 20; i++) keeper.note('office', because('proposes nothing that we accept'));
    expect(keeper.state('office').lastError).toMatch(/nothing that we accept/);
    install();
    expect(await outcome).toEqual({ result: 'established' });
    keeper.note('office', because('proposes nothing that we accept'));
    expect(keeper.state('office').lastError).toBeUndefined();

    const other = setup('trap');
    for (let i = 0; i < 20; i++)
      other.keeper.note('office', because('proposes nothing that we accept'));
    other.keeper.acquire('office/net');
    expect([log, other.log]).toEqual([['initiate office/net'], ['initiate office/net']]);
  });
});

describe('several Child SAs of a connection', () => {
  it('are each kept up, and brought back alone', () => {
    const { keeper, log, install, loseChild } = setup('always', ['voice', 'data']);
    keeper.start();
    install('voice');
    install('data');
    loseChild('data');
    vi.advanceTimersByTime(1_000);
    expect(log).toEqual(['initiate office/voice', 'initiate office/data', 'initiate office/data']);
  });

  it('are all waited for, and one that fails is the outcome', async () => {
    const { keeper, install } = setup('wait', ['voice', 'data']);
    const outcome = keeper.up('office');
    install('voice');
    keeper.failed('office', because('TS_UNACCEPTABLE'), 'data');
    expect(await outcome).toEqual({ result: 'failed', explanation: 'TS_UNACCEPTABLE' });
    const both = keeper.up('office');
    install('data');
    expect(await both).toEqual({ result: 'established' });
  });

  it('fail together where the IKE SA does, but for those that are up', () => {
    const { keeper, log, install } = setup('always', ['voice', 'data']);
    keeper.start();
    install('voice');
    keeper.failed('office', because('no answer'));
    vi.advanceTimersByTime(2_000);
    expect(log.slice(2)).toEqual(['initiate office/data']);
  });

  it('are asked for by the packets of each', () => {
    const { keeper, log } = setup('trap', ['voice', 'data']);
    keeper.acquire('office/data');
    keeper.acquire('office/data');
    keeper.acquire('office/fax');
    expect(log).toEqual(['initiate office/data']);
  });

  describe('with a changed configuration', () => {
    const connection = (name: string, start: Start) =>
      ({ name, children: [{ name: 'net', start }] }) as unknown as Connection;

    it('begins with what is new and lets what has not changed alone', () => {
      const { keeper, log, install } = setup('always');
      keeper.start();
      install();
      keeper.setConnections([connection('office', 'always'), connection('home', 'always')]);
      keeper.start();
      keeper.start();
      expect(log).toEqual(['initiate office/net', 'initiate home/net']);
    });

    it('keeps what a person wants, unless its start has changed', () => {
      const { keeper } = setup('always');
      keeper.start();
      keeper.down('office');
      keeper.setConnections([connection('office', 'always')]);
      expect(keeper.state('office').wanted).toBe('down');
      keeper.setConnections([connection('office', 'trap')]);
      expect(keeper.state('office').wanted).toBe('on-demand');
    });

    it('forgets what is gone, and tells who waits for it', async () => {
      const { keeper, log } = setup('always');
      keeper.start();
      const waiting = keeper.up('office');
      keeper.setConnections([]);
      keeper.failed('office', because('no answer'));
      vi.advanceTimersByTime(100_000);
      expect(log).toEqual(['initiate office/net']);
      const explanation = 'it is not in the configuration any more';
      expect(await waiting).toEqual({ result: 'failed', explanation });
    });

    it('restarts at once what is to be up', () => {
      const { keeper, log, install } = setup('always');
      keeper.start();
      install();
      keeper.restart('office');
      expect(log).toEqual(['initiate office/net', 'terminate office', 'initiate office/net']);
      const trap = setup('trap');
      trap.keeper.restart('office');
      expect(trap.log).toEqual(['terminate office']);
    });
  });
});
