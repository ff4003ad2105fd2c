/** IKE_SA_INIT requests with forged sources: what they may not bring about (RFC 7296 §2.6). */
import { describe, expect, it } from 'vitest';
import { ADDRESS_A, Dialogue } from './harness/dialogue.js';
import { connectionOf, type Datagram } from './harness/peer.js';

/** The request as it would come from elsewhere, for another IKE SA. */
function forged(request: Datagram, n: number, source = request.local): Datagram {
  const data = request.data.slice();
  new DataView(data.buffer).setBigUint64(0, 0x1000n + BigInt(n));
  return { ...request, local: source, data };
}

function requestOf(both: Dialogue): Datagram {
  both.initiate();
  const request = both.take(both.a);
  both.a.handle({ type: 'terminate', connection: 'site' });
  return request;
}

describe('a flood of forged IKE_SA_INIT requests', () => {
  it('in the name of a peer does not keep the peer out', () => {
    const both = new Dialogue();
    const request = requestOf(both);
    for (let n = 0; n < 16; n++) both.give(forged(request, n));
    both.b.outbox.length = 0;
    // a -> b  HDR, SAi1, KEi, Ni
    // a <- b  HDR, N(COOKIE)
    // a -> b  HDR, N(COOKIE), SAi1, KEi, Ni   and so on
    both.establish();
  });

  it('in the name of a peer leaves no more than half of its places taken', () => {
    const both = new Dialogue({ optionsB: { maxHalfOpenPerAddress: 6 } });
    const request = requestOf(both);
    for (let n = 0; n < 16; n++) both.give(forged(request, n));
    const halfOpen = [...both.b.timers.keys()].filter((timer) => timer.startsWith('half-open/'));
    expect(halfOpen.length).toBe(3);
  });

  it('that other workers have seen is asked for a COOKIE by this one', () => {
    const both = new Dialogue();
    const { remote: local, local: remote, data } = requestOf(both);
    expect(remote.address).toBe(ADDRESS_A);
    both.b.handle({ type: 'datagram', local, remote, data, proof: 'demanded' });
    expect(both.b.log.at(-1)).toMatch(/N\(COOKIE\)$/);
    expect(both.b.timers.size).toBe(0);
  });

  it('passes, where the transport has seen its COOKIE', () => {
    const both = new Dialogue({ optionsB: { cookieThreshold: 0 } });
    const { remote: local, local: remote, data } = requestOf(both);
    both.b.handle({ type: 'datagram', local, remote, data, proof: 'given' });
    expect(both.b.log.at(-1)).toMatch(/: SA, KE, Nr/);
  });

  it('with proposals that we refuse is no failure of an attempt of ours', () => {
    const both = new Dialogue({
      a: { ike: ['aes128gcm16-prfsha256-x25519'] },
      b: { ike: ['aes256gcm16-prfsha384-x25519'] },
    });
    both.give(forged(requestOf(both), 1));
    expect(both.b.failures).toMatchObject([{ notify: 'NO_PROPOSAL_CHOSEN', unproved: true }]);
  });

  it('with an initiator SPI of zero is not answered (§3.1)', () => {
    const both = new Dialogue();
    const request = requestOf(both);
    request.data.fill(0, 0, 8);
    both.give(request);
    expect([both.b.outbox, both.b.timers.size]).toEqual([[], 0]);
  });
});

describe('a peer that may use one connection', () => {
  it('does not get into another by the algorithms of the first', () => {
    const both = new Dialogue({ a: { ike: ['aes128gcm16-prfsha256-x25519'] } });
    // Two connections between these addresses; the peer's own demands a stronger PRF.
    both.b.ike.setConnections([
      connectionOf('b', { name: 'weak', remoteId: 'other.example.org' }),
      connectionOf('b', { ike: ['aes128gcm16-prfsha512-x25519'] }),
    ]);
    both.initiate();
    both.settle();
    expect(both.a.failures[0]).toMatchObject({ notify: 'AUTHENTICATION_FAILED' });
    expect([both.a.states, both.b.states]).toEqual([[], []]);
  });
});
