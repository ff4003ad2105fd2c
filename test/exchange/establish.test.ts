/** IKE_SA_INIT and IKE_AUTH as they should go (RFC 7296 §1.2). */
import { describe, expect, it } from 'vitest';
import { Dialogue } from './dialogue.js';

describe('two gateways', () => {
  it('establish an IKE SA and a Child SA in two exchanges', () => {
    const both = new Dialogue();
    both.initiate();
    expect(both.a.states).toEqual(['connecting']);
    // a -> b  HDR, SAi1, KEi, Ni, N(NAT_DETECTION_*)
    expect(both.deliver(both.a)).toBe('IKE_SA_INIT request 0');
    expect(both.b.states).toEqual([]);
    // a <- b  HDR, SAr1, KEr, Nr, N(NAT_DETECTION_*)
    expect(both.deliver(both.b)).toBe('IKE_SA_INIT response 0');
    // a -> b  HDR, SK {IDi, N(INITIAL_CONTACT), IDr, AUTH, SAi2, TSi, TSr}
    expect(both.deliver(both.a)).toBe('IKE_AUTH request 1');
    expect(both.b.states).toEqual(['established']);
    expect(both.b.installed.size).toBe(1);
    expect(both.a.states).toEqual(['connecting']);
    // a <- b  HDR, SK {IDr, AUTH, SAr2, TSi, TSr}
    expect(both.deliver(both.b)).toBe('IKE_AUTH response 1');
    both.expectTunnel();
    expect(both.a.outbox).toEqual([]);
    expect([...both.a.timers.keys(), ...both.b.timers.keys()]).toEqual([]);
  });
});
