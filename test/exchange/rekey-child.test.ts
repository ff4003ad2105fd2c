/**
 * Rekeying of Child SAs, and further ones, by CREATE_CHILD_SA (RFC 7296 §1.3.1, §1.3.3, §2.8,
 * §2.17): on both sides, with and without a key exchange of its own, without losing a packet.
 */
import { describe, expect, it } from 'vitest';
import type { JobResult } from '../../src/ike/event.js';
import { DEFAULT_OPTIONS } from '../../src/ike/options.js';
import { NOTIFY } from '../../src/wire/index.js';
import { Dialogue } from './harness/dialogue.js';
import type { Peer } from './harness/peer.js';
import { kinds } from './harness/scripted-peer.js';
import { ScriptedResponder } from './harness/scripted-responder.js';

const { drainTime, switchDelay, replacedTimeout } = DEFAULT_OPTIONS;

/** The Child SA ends on both sides within seconds, and no other takes its place. */
function expectItEnds(both: Dialogue): void {
  for (let t = 0; t < 5_000; t += 100) {
    both.settle();
    both.wait(100);
  }
  both.wait(drainTime);
  expect([both.a.installed.size, both.b.installed.size]).toEqual([0, 0]);
}

describe.each([
  ['without a key exchange', ['aes128gcm16']],
  ['with a key exchange of its own', ['aes128gcm16-x25519']],
])('rekeying %s', (_, esp) => {
  it.each([
    ['initiator', 'a'],
    ['responder', 'b'],
  ] as const)('by the %s of the IKE SA makes before it breaks', (_, side) => {
    const both = Dialogue.established({ a: { esp }, b: { esp } });
    const [before] = both.a.installed.values();
    const [own, other] = side === 'a' ? [both.a, both.b] : [both.b, both.a];
    both.rekey(own, 'child');
    const first = side === 'a' ? 2 : 0;
    //  own -> other  HDR, SK {N(REKEY_SA), SA, Ni, [KEi,] TSi, TSr}
    //  own <- other  HDR, SK {SA, Nr, [KEr,] TSi, TSr}
    //  own -> other  HDR, SK {D}
    //  own <- other  HDR, SK {D}
    expect(both.settleFlowing()).toEqual([
      `${own.name} CREATE_CHILD_SA request ${first}`,
      `${other.name} CREATE_CHILD_SA response ${first}`,
      `${own.name} INFORMATIONAL request ${first + 1}`,
      `${other.name} INFORMATIONAL response ${first + 1}`,
    ]);
    both.wait(drainTime);
    both.expectTunnel();
    const [after] = both.a.installed.values();
    expect(after!.inboundSpi).not.toBe(before!.inboundSpi);
    expect(after!.inboundKey).not.toBe(before!.inboundKey);
    expect(after!.localSelectors).toEqual(before!.localSelectors);
    expect([both.a.timers.size, both.b.timers.size]).toEqual([0, 0]);
  });
});

describe('the responder of a rekeying', () => {
  /** b has answered a's rekeying; a has not got the answer yet. */
  function answered(optionsB = {}): { both: Dialogue; old: number } {
    const both = Dialogue.established({ optionsB });
    const old = both.b.sending('site/net')!.outboundSpi;
    both.rekey(both.a, 'child');
    both.deliver(both.a);
    return { both, old };
  }
  const sends = (peer: Peer) => peer.sending('site/net')!.outboundSpi;

  it('sends on the old Child SA until the peer shows that it is ready (§2.8)', () => {
    const { both, old } = answered();
    expect(both.b.installed.size).toBe(2);
    expect(sends(both.b)).toBe(old);
    both.deliver(both.b);
    expect(sends(both.b)).toBe(old);
    both.deliver(both.a); // Delete
    expect(sends(both.b)).not.toBe(old);
  });

  it('switches by itself after a while, where the peer says nothing more', () => {
    const { both, old } = answered();
    both.take(both.b);
    both.a.timers.clear();
    both.wait(switchDelay - 1);
    expect(sends(both.b)).toBe(old);
    both.wait(1);
    expect(sends(both.b)).not.toBe(old);
  });

  it('waits longer where the peer asks for the answer again', () => {
    const { both, old } = answered({ switchDelay: 20_000 });
    both.take(both.b);
    for (let waited = 0; waited < 50_000; waited += 100) {
      both.wait(100);
      while (both.a.outbox.length > 0) both.deliver(both.a);
      both.b.outbox.length = 0;
    }
    expect(sends(both.b)).toBe(old);
  });

  it('deletes the old Child SA itself, where the peer never does', () => {
    const { both } = answered();
    both.deliver(both.b);
    both.take(both.a); // the Delete is lost, and a says no more
    both.a.timers.clear();
    both.a.outbox.length = 0;
    both.wait(replacedTimeout);
    expect(both.deliver(both.b)).toBe('INFORMATIONAL request 0');
  });
});

describe('what is on its way when a Child SA is deleted', () => {
  it('is received for a little longer on both sides', () => {
    const both = Dialogue.established();
    const [old] = both.a.installed.keys();
    both.rekey(both.a, 'child');
    both.settle();
    expect([both.a.installed.size, both.b.installed.size]).toEqual([2, 2]);
    expect(both.a.installed.has(old!)).toBe(true);
    expect(both.a.outbound.get('site/net')).toHaveLength(1);
    both.wait(drainTime - 1);
    expect(both.b.installed.size).toBe(2);
    both.wait(1);
    both.expectTunnel();
  });
});

describe('a key exchange that the peer does not have', () => {
  it('is changed for the one that INVALID_KE_PAYLOAD names', () => {
    const both = Dialogue.established({
      a: { esp: ['aes128gcm16-x25519-ecp256'] },
      b: { esp: ['aes128gcm16-ecp256'] },
    });
    both.rekey(both.a, 'child');
    expect(both.settleFlowing()).toEqual([
      'a CREATE_CHILD_SA request 2',
      'b CREATE_CHILD_SA response 2',
      'a CREATE_CHILD_SA request 3',
      'b CREATE_CHILD_SA response 3',
      'a INFORMATIONAL request 4',
      'b INFORMATIONAL response 4',
    ]);
    both.wait(drainTime);
    both.expectTunnel();
    expect(both.a.log.some((line) => line.includes('N(INVALID_KE_PAYLOAD)'))).toBe(true);
  });

  it('fails with both proposals where there is none in common, and the Child SA stays', () => {
    const both = Dialogue.established({
      a: { esp: ['aes128gcm16-x25519'] },
      b: { esp: ['aes128gcm16-ecp256'] },
    });
    both.rekey(both.a, 'child');
    both.settleFlowing();
    expect(both.a.failures).toMatchObject([{ notify: 'NO_PROPOSAL_CHOSEN' }]);
    expect(both.b.failures[0]!.explanation).toContain(
      "first difference: key exchange: ours ECP_256, the peer's CURVE25519",
    );
    both.expectTunnel();
  });
});

describe('a peer without a key exchange of its own for Child SAs', () => {
  it.each(['a', 'b'] as const)('is rekeyed without one by default, by %s', (side) => {
    const both = Dialogue.established({ b: { esp: ['aes256gcm16'] } });
    both.rekey(both[side], 'child');
    both.settleFlowing();
    both.wait(drainTime);
    both.expectTunnel();
  });
});

describe('a key pair that is made when nobody needs it any more', () => {
  it.each(['child', 'ike'] as const)('is wiped (%s)', (what) => {
    const { a } = Dialogue.established({ a: { esp: ['aes128gcm16-x25519'] } });
    const made: JobResult[] = [];
    const { runJob } = a;
    a.runJob = (job, random) => {
      made.push(runJob(job, random));
      return made.at(-1)!;
    };
    a.manualJobs = true;
    a.handle({ type: 'rekey', connection: 'site', what });
    a.handle({ type: 'terminate', connection: 'site' });
    expect(a.states).toEqual(['deleting']);
    a.finishJob();
    expect(made.map((one) => one.type === 'generated' && one.privateKey.byteLength)).toEqual([0]);
  });
});

describe('lifetimes', () => {
  const childLifetime = { rekeySeconds: 100, endSeconds: 120 };

  it('rekey Child SAs before they are over, sooner by a part that chance decides', () => {
    const times = [1, 2, 3, 4].map((seed) => {
      const both = Dialogue.established({ a: { childLifetime }, seed });
      for (let t = 0; t < 100; t++) {
        both.wait(1_000);
        if (both.a.outbox.length > 0) return both.now;
      }
      return 0;
    });
    for (const time of times) {
      expect(time).toBeGreaterThanOrEqual(90_000);
      expect(time).toBeLessThanOrEqual(100_000);
    }
    expect(new Set(times).size).toBeGreaterThan(1);
  });

  it('go on for ever, and nothing is left behind', () => {
    const both = Dialogue.established({ a: { childLifetime }, b: { childLifetime } });
    for (let t = 0; t < 1_000; t++) {
      both.wait(1_000);
      both.settle();
      both.expectFlow();
    }
    both.wait(drainTime);
    both.expectTunnel();
    expect(both.a.timers.size).toBe(2); // until the next rekeying, and the end
  });

  it('end a Child SA that the peer does not rekey', () => {
    const other = Dialogue.established({
      a: { childLifetime, esp: ['aes128gcm16-x25519'] },
      b: { esp: ['aes128gcm16-ecp256'] },
    });
    for (let t = 0; t < 130; t++) {
      other.wait(1_000);
      other.settle();
    }
    other.wait(drainTime);
    expect(other.a.installed.size).toBe(0);
    expect(other.b.installed.size).toBe(0);
    expect(other.a.states).toEqual(['established']);
  });
  it('rekey Child SAs though that could not be asked for at first', () => {
    for (const esp of [['aes128gcm16'], ['aes128gcm16-x25519']]) {
      const lifetime = { rekeySeconds: 100, endSeconds: 200 };
      const both = Dialogue.established({ a: { esp, childLifetime: lifetime }, b: { esp } });
      both.wait(80_000);
      both.a.sadIsFull = true;
      both.wait(30_000);
      expect(both.a.failures.length).toBeGreaterThan(1);
      expect(both.a.outbox).toEqual([]);
      both.a.sadIsFull = false;
      for (let t = 0; t < 150; t++) {
        both.wait(1_000);
        both.settle();
        both.expectFlow();
      }
      both.expectTunnel();
    }
  });

  it('end a Child SA whose rekeying is under way at the time, and refused', () => {
    const both = Dialogue.established({
      a: { childLifetime, esp: ['aes128gcm16-x25519'] },
      b: { esp: ['aes128gcm16-ecp256'] },
    });
    both.wait(121_000); // the peer is slow
    expect(both.a.ike.ikeSas()[0]!.children).toMatchObject([{ state: 'rekeying' }]);
    expectItEnds(both);
  });
});

describe('what the dataplane says of an SA', () => {
  it('soft: it is rekeyed', () => {
    const both = Dialogue.established();
    const [inboundSpi] = both.b.installed.keys();
    const cause = 'sequence numbers near their end';
    both.b.handle({ type: 'expire', inboundSpi: inboundSpi!, hard: false, cause });
    both.b.handle({ type: 'expire', inboundSpi: inboundSpi!, hard: false, cause });
    expect(both.settleFlowing()).toHaveLength(4);
    both.wait(drainTime);
    both.expectTunnel();
    expect(both.b.installed.has(inboundSpi!)).toBe(false);
  });

  it('hard: it is deleted, and made anew where the connection is kept up', () => {
    const both = Dialogue.established({ a: { start: 'always' } });
    const [inboundSpi] = both.a.installed.keys();
    both.a.handle({ type: 'expire', inboundSpi: inboundSpi!, hard: true, cause: 'used up' });
    both.settle();
    both.wait(5_000);
    both.settle();
    both.wait(drainTime);
    both.expectTunnel();
    expect(both.a.installed.has(inboundSpi!)).toBe(false);
  });

  it('hard, while it is rekeyed, and the peer refuses: it is deleted then', () => {
    const both = Dialogue.established({
      a: { esp: ['aes128gcm16-x25519'] },
      b: { esp: ['aes128gcm16-ecp256'] },
    });
    const [inboundSpi] = both.a.installed.keys();
    both.rekey(both.a, 'child');
    both.a.handle({ type: 'expire', inboundSpi: inboundSpi!, hard: true, cause: 'used up' });
    expectItEnds(both);
  });

  it('hard, while it is rekeyed, and the peer does so: it is deleted as ever', () => {
    const both = Dialogue.established();
    const [inboundSpi] = both.a.installed.keys();
    both.rekey(both.a, 'child');
    both.a.handle({ type: 'expire', inboundSpi: inboundSpi!, hard: true, cause: 'used up' });
    expect(both.settle()).toHaveLength(4);
    both.wait(60_000);
    expect(both.a.outbox).toEqual([]);
    both.expectTunnel();
    expect(both.a.timers.size).toBe(0);
  });

  it('of an SPI that is none: nothing', () => {
    const both = Dialogue.established();
    both.a.handle({ type: 'expire', inboundSpi: 4711 as never, hard: true, cause: 'used up' });
    expect(both.a.outbox).toEqual([]);
  });
});

describe('several Child SAs of a connection', () => {
  const voice = {
    voice: [['10.1.5.0/24'], ['10.2.5.0/24']],
    data: [['10.1.6.0/24'], ['10.2.6.0/24']],
  } as const;
  const mirrored = {
    voice: [['10.2.5.0/24'], ['10.1.5.0/24']],
    data: [['10.2.6.0/24'], ['10.1.6.0/24']],
  } as const;
  const options = { a: { children: voice }, b: { children: mirrored } };

  it('come up on one IKE SA', () => {
    const both = new Dialogue(options);
    both.initiate();
    expect(both.settle()).toEqual([
      'a IKE_SA_INIT request 0',
      'b IKE_SA_INIT response 0',
      'a IKE_AUTH request 1',
      'b IKE_AUTH response 1',
      'a CREATE_CHILD_SA request 2',
      'b CREATE_CHILD_SA response 2',
    ]);
    both.expectChildren(2);
    both.expectFlow('site/voice');
    both.expectFlow('site/data');
    expect(both.b.states).toEqual(['established']);
  });

  it('are not made twice, asked for how often and by whomever', () => {
    const both = new Dialogue(options);
    both.initiate();
    both.initiate();
    both.settle();
    both.initiate();
    both.initiate(both.b);
    expect(both.settle()).toEqual([]);
    both.expectChildren(2);
  });

  it('are brought up by the one that is asked for', () => {
    const both = new Dialogue(options);
    both.a.handle({ type: 'initiate', connection: 'site', child: 'data' });
    both.settle();
    both.expectChildren(1);
    both.expectFlow('site/data');
    both.b.handle({ type: 'initiate', connection: 'site', child: 'voice' });
    expect(both.settle()).toEqual(['b CREATE_CHILD_SA request 0', 'a CREATE_CHILD_SA response 0']);
    both.expectChildren(2);
  });

  it('asked for by both at once are one in the end', () => {
    for (let seed = 1; seed <= 6; seed++) {
      const both = new Dialogue({ ...options, seed });
      both.a.handle({ type: 'initiate', connection: 'site', child: 'data' });
      both.settle();
      for (const peer of [both.a, both.b]) {
        peer.handle({ type: 'initiate', connection: 'site', child: 'voice' });
      }
      both.cross(2);
      both.expectFlow('site/voice');
      both.settle();
      both.expectFlow('site/voice');
      both.wait(drainTime);
      both.expectChildren(2);
    }
  });

  it('end at their time, though somebody sends on and on what has made one of them', () => {
    const childLifetime = { rekeySeconds: 0, endSeconds: 500 };
    const both = new Dialogue({ a: options.a, b: { ...options.b, childLifetime } });
    both.initiate();
    for (let i = 0; i < 4; i++) both.deliver(i % 2 === 0 ? both.a : both.b);
    const [request] = both.a.outbox;
    both.settle();
    both.expectChildren(2);
    for (let t = 0; t < 500; t += 50) {
      both.wait(50_000);
      both.give(request!);
      both.settle();
    }
    both.wait(drainTime);
    both.expectChildren(0);
  });

  it('one refused leaves the other', () => {
    const both = new Dialogue({ a: { children: voice }, b: { children: { data: mirrored.data } } });
    both.initiate();
    both.settle();
    both.expectChildren(1);
    expect(both.a.failures).toMatchObject([{ notify: 'TS_UNACCEPTABLE' }]);
  });
});

describe('a connection that is set up childless (RFC 6023)', () => {
  it('proves identities first, then makes each Child SA with a key exchange of its own', () => {
    const both = new Dialogue({ a: { childless: true } });
    both.initiate();
    expect(both.settle()).toEqual([
      'a IKE_SA_INIT request 0',
      'b IKE_SA_INIT response 0',
      'a IKE_AUTH request 1',
      'b IKE_AUTH response 1',
      'a CREATE_CHILD_SA request 2',
      'b CREATE_CHILD_SA response 2',
    ]);
    both.expectTunnel();
    expect(both.a.log.find((line) => /IKE_AUTH request 1 ->/.test(line))).not.toContain('SA,');
    expect(both.a.log.find((line) => /CREATE_CHILD_SA request 2 ->/.test(line))).toContain('KE');
  });

  it('does as others do with a peer that does not know it', () => {
    const both = new Dialogue({ a: { childless: true } });
    const peer = new ScriptedResponder(both.a);
    both.initiate();
    peer.init();
    expect(kinds(peer.take().payloads)).toContain('SA');
  });
});

describe('a peer that would take more in further Child SAs', () => {
  it('says ADDITIONAL_TS_POSSIBLE, and is asked for each pair that is left (§2.9)', () => {
    const both = new Dialogue({
      a: { localSelectors: ['10.1.5.0/24', '10.1.6.0/24'], remoteSelectors: ['10.2.0.0/16'] },
      b: {
        children: {
          five: [['10.2.0.0/16'], ['10.1.5.0/24']],
          six: [['10.2.0.0/16'], ['10.1.6.0/24']],
        },
      },
    });
    both.initiate();
    both.settle();
    both.expectChildren(2);
    const nets = [...both.a.installed.values()].flatMap(({ localSelectors }) => localSelectors);
    expect(nets.map(({ startAddress }) => startAddress[2])).toEqual([5, 6]);
    expect(both.b.log.join()).toContain(`N(ADDITIONAL_TS_POSSIBLE)`);
    expect(NOTIFY.ADDITIONAL_TS_POSSIBLE).toBe(16386);
  });
});
