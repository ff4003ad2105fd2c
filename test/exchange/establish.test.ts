/** IKE_SA_INIT and IKE_AUTH as they should go (RFC 7296 §1.2). */
import { describe, expect, it } from 'vitest';
import { Dialogue } from './harness/dialogue.js';
import { PSK } from './harness/peer.js';

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
    expect(both.b.installed.size).toBe(1); // before its response is out
    expect(both.a.states).toEqual(['connecting']);
    // a <- b  HDR, SK {IDr, AUTH, SAr2, TSi, TSr}
    expect(both.deliver(both.b)).toBe('IKE_AUTH response 1');
    both.expectTunnel();
    expect([both.a.outbox, both.b.outbox]).toEqual([[], []]);
    expect([...both.a.timers.keys(), ...both.b.timers.keys()]).toEqual([]);
  });

  it('show what they have agreed upon', () => {
    const both = new Dialogue({ a: { ike: ['aes128gcm16-prfsha256-ecp256'] } });
    both.establish();
    const [view] = both.a.ike.ikeSas();
    expect(view).toMatchObject({
      connection: 'site',
      role: 'initiator',
      local: { address: '192.0.2.1', port: 500 },
      remote: { address: '192.0.2.2', port: 500 },
      localId: 'a.example.org',
      remoteId: 'b.example.org',
      proposal: 'AES_GCM_16_128/PRF_HMAC_SHA2_256/ECP_256',
      natLocal: false,
      natRemote: false,
      startedAt: 0,
      establishedAt: 0,
    });
    expect(view!.children).toMatchObject([
      {
        name: 'net',
        proposal: 'AES_GCM_16_256/ESN',
        esn: true,
        mode: 'tunnel',
        udpEncapsulation: false,
        localSelectors: ['10.1.0.0/16'],
        remoteSelectors: ['10.2.0.0/16'],
      },
    ]);
    expect(both.b.established).toMatchObject([
      { connection: 'site', peerIdentity: 'a.example.org', initialContact: true },
    ]);
  });

  it('log the exchange as the RFC writes it, and no secret', () => {
    const both = new Dialogue();
    both.establish();
    const log = both.a.log.filter((line) => /IKE_(SA_INIT|AUTH)/.test(line));
    expect(log).toEqual([
      'info IKE_SA_INIT request 0 -> 192.0.2.2:500: SA, KE, Ni, ' +
        'N(NAT_DETECTION_SOURCE_IP), N(NAT_DETECTION_DESTINATION_IP), ' +
        'N(IKEV2_FRAGMENTATION_SUPPORTED)',
      'info IKE_SA_INIT response 0 <- 192.0.2.2:500: SA, KE, Nr, N(CHILDLESS_IKEV2_SUPPORTED), ' +
        'N(IKEV2_FRAGMENTATION_SUPPORTED), N(NAT_DETECTION_SOURCE_IP), ' +
        'N(NAT_DETECTION_DESTINATION_IP)',
      'debug initiating -> authenticating: IKE_SA_INIT is answered',
      'info IKE_AUTH request 1 -> 192.0.2.2:500: IDi, N(INITIAL_CONTACT), IDr, AUTH, SA, TSi, TSr',
      'info IKE_AUTH response 1 <- 192.0.2.2:500: IDr, AUTH, SA, TSi, TSr',
    ]);
    const [child] = both.a.installed.values();
    const all = [...both.a.log, ...both.b.log].join('\n');
    for (const secret of [PSK, child!.inboundKey, child!.outboundKey]) {
      expect(all).not.toContain(secret);
    }
  });

  it('negotiate no extended sequence numbers where one side does not want them', () => {
    const both = new Dialogue({ b: { esp: ['aes128gcm16-noesn'] } });
    both.establish();
    expect([...both.a.installed.values()][0]).toMatchObject({ esn: false, keyBits: 128 });
  });

  it('protect IKE by AES-CBC and HMAC where that is configured', () => {
    const both = new Dialogue({ a: { ike: ['aes256-sha384-modp2048'] } });
    both.establish();
    expect(both.b.ike.ikeSas()[0]!.proposal).toBe(
      'AES_CBC_256/HMAC_SHA2_384_192/PRF_HMAC_SHA2_384/MODP_2048',
    );
  });

  it('do nothing when asked for what is there', () => {
    const both = new Dialogue();
    both.establish();
    both.initiate();
    expect(both.a.outbox).toEqual([]);
    both.expectTunnel();
  });
});

describe('key exchange jobs that take their time', () => {
  it('let other events in between: a retransmitted request makes no second SA', () => {
    const both = new Dialogue();
    both.a.manualJobs = true;
    both.b.manualJobs = true;
    both.initiate();
    expect(both.a.outbox).toEqual([]);
    both.a.finishJob(); // generate
    const request = both.take(both.a);
    // a -> b  IKE_SA_INIT, twice; b's key pair is not made yet
    both.give(request);
    both.give(request);
    expect(both.b.jobs).toHaveLength(1);
    both.b.finishJob();
    expect(both.b.outbox).toHaveLength(1);
    // a <- b  IKE_SA_INIT response, twice; a's shared secret is not computed yet
    const response = both.take(both.b);
    both.give(response);
    both.give(response);
    expect(both.a.jobs).toHaveLength(1);
    both.a.finishJob();
    // a -> b  IKE_AUTH, twice; it waits at b for the shared secret
    const auth = both.take(both.a);
    both.give(auth);
    both.give(auth);
    expect(both.b.states).toEqual([]);
    expect(both.b.jobs).toHaveLength(1);
    both.b.finishJob();
    both.settle();
    both.expectTunnel();
  });

  it('are forgotten where the IKE SA is gone by then', () => {
    const both = new Dialogue();
    both.a.manualJobs = true;
    both.initiate();
    both.a.handle({ type: 'terminate', connection: 'site' });
    both.a.finishJob();
    expect(both.a.outbox).toEqual([]);
    expect(both.a.isClean).toBe(true);
  });
});

describe('an attempt that cannot begin', () => {
  it('says that there is no such connection, or no address', () => {
    const both = new Dialogue({ a: { remoteAddress: '%any' } });
    both.a.handle({ type: 'initiate', connection: 'nowhere' });
    both.a.handle({ type: 'initiate', connection: 'site', child: 'nothing' });
    both.initiate();
    expect(both.a.failures.map(({ notify }) => notify)).toEqual([
      'no connection',
      'no connection',
      'no address',
    ]);
    expect(both.a.outbox).toEqual([]);
  });

  it('says that the SAD is full, as the initiator', () => {
    const both = new Dialogue();
    both.a.sadIsFull = true;
    both.initiate();
    both.settle();
    expect(both.a.failures).toMatchObject([{ notify: 'NO_ADDITIONAL_SAS' }]);
    expect(both.a.isClean).toBe(true);
  });
});

describe('a responder for any address', () => {
  it('finds the connection by the identities', () => {
    const both = new Dialogue({ b: { remoteAddress: '%any' } });
    both.establish();
  });
});
