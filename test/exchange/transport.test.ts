/** Transport mode and AH (RFC 7296 §1.3.1, §2.17, §2.23.1). */
import { describe, expect, it } from 'vitest';
import { notify } from '../../src/ike/messages/payloads.js';
import { EXCHANGE, formatSelector, NOTIFY } from '../../src/wire/index.js';
import { ADDRESS_A, ADDRESS_B, Dialogue } from './harness/dialogue.js';
import { type ConnectionOptions, connectionOf, type Datagram } from './harness/peer.js';
import { ScriptedPeer } from './harness/scripted-peer.js';

const OUTSIDE = '198.51.100.1';

/** Everything between the two gateways themselves. */
const onA: ConnectionOptions = {
  mode: 'transport',
  localSelectors: [ADDRESS_A],
  remoteSelectors: [ADDRESS_B],
};
const onB: ConnectionOptions = {
  mode: 'transport',
  localSelectors: [ADDRESS_B],
  remoteSelectors: [ADDRESS_A],
};

const only = <T>(map: ReadonlyMap<unknown, T>): T => {
  expect(map.size).toBe(1);
  return [...map.values()][0]!;
};

const texts = (both: Dialogue, side: 'a' | 'b') => {
  const { localSelectors, remoteSelectors } = only(both[side].installed);
  return [...localSelectors, ...remoteSelectors].map(formatSelector);
};

describe('transport mode', () => {
  it('is asked for and granted in IKE_AUTH, between the two ends', () => {
    const both = new Dialogue({ a: onA, b: onB });
    both.establish();
    expect(only(both.a.installed)).toMatchObject({ mode: 'transport', udpEncapsulation: false });
    expect(texts(both, 'a')).toEqual([`${ADDRESS_A}/32`, `${ADDRESS_B}/32`]);
    const told = both.b.log.filter((line) => line.includes('N(USE_TRANSPORT_MODE)'));
    expect(told).toHaveLength(2);
  });

  it('takes wider policies to mean the two ends, with protocol and ports', () => {
    const both = new Dialogue({
      a: { ...onA, localSelectors: ['192.0.2.0/24[tcp]'], remoteSelectors: ['0.0.0.0/0[tcp/443]'] },
      b: { ...onB, localSelectors: ['0.0.0.0/0'], remoteSelectors: ['0.0.0.0/0', '::/0'] },
    });
    both.establish();
    expect(texts(both, 'a')).toEqual([`${ADDRESS_A}/32[tcp]`, `${ADDRESS_B}/32[tcp/443]`]);
  });

  it('stays when the Child SA is rekeyed, from either side', () => {
    const both = new Dialogue({ a: onA, b: onB });
    both.establish();
    for (const peer of [both.a, both.b]) {
      both.rekey(peer, 'child');
      both.settle();
      both.expectFlow();
      expect(both[peer.name as 'a' | 'b'].sending('site/net')!.mode).toBe('transport');
    }
  });

  it('is declined by a policy in tunnel mode, which the initiator takes for a failure', () => {
    const both = new Dialogue({ a: onA, b: { ...onB, mode: 'tunnel' } });
    both.initiate();
    both.settle();
    expect(both.a.failures.map(({ notify, explanation }) => [notify, explanation])).toEqual([
      [
        'USE_TRANSPORT_MODE',
        'the peer makes it in tunnel mode, where the policy is transport mode',
      ],
    ]);
    // §1.3.1: the initiator deletes what it does not want; the IKE SA stays.
    expect([both.a.installed.size, both.b.installed.size]).toEqual([0, 0]);
    expect(both.b.states).toEqual(['established']);
  });

  it('is insisted upon by a responder whose policy has it', () => {
    const both = new Dialogue({ a: { ...onA, mode: 'tunnel' }, b: onB });
    both.initiate();
    both.settle();
    expect(both.a.failures[0]!.notify).toBe('NO_PROPOSAL_CHOSEN');
    expect(both.b.failures[0]!.explanation).toBe(
      'the peer asks for tunnel mode, and the policy net is transport mode',
    );
    expect(both.b.installed.size).toBe(0);
  });

  it('goes before a policy in tunnel mode that would do as well, where it is asked for', () => {
    for (const mode of ['transport', 'tunnel'] as const) {
      const both = new Dialogue({ a: { ...onA, mode } });
      const connection = connectionOf('b', onB);
      const [net] = connection.children;
      const children = (['tunnel', 'transport'] as const).map((name) => {
        return { ...net!, name, mode: name };
      });
      both.b.ike.setConnections([{ ...connection, children }]);
      both.initiate();
      both.settle();
      expect(only(both.b.installed)).toMatchObject({ policy: `site/${mode}`, mode });
    }
  });

  it('is not for networks that have neither end in them', () => {
    const both = new Dialogue({ a: { ...onA, localSelectors: ['10.1.0.0/16'] }, b: onB });
    both.initiate();
    both.settle();
    expect(both.a.failures[0]!.explanation).toBe(
      `transport mode is between ${ADDRESS_A} and ${ADDRESS_B}, which the networks do not include`,
    );
    expect(both.a.isClean).toBe(true);
  });

  it('has no outer header to set DF and DSCP in, which tunnel mode has', () => {
    const outer = { df: 'set', dscp: 46 } as const;
    for (const [mode, expected] of [
      ['transport', undefined],
      ['tunnel', outer],
    ] as const) {
      const both = new Dialogue({ a: { ...onA, mode }, b: { ...onB, mode } });
      const connection = connectionOf('a', { ...onA, mode });
      const children = connection.children.map((child) => ({ ...child, outer }));
      both.a.ike.setConnections([{ ...connection, children }]);
      both.establish();
      expect(only(both.a.installed).outer).toEqual(expected);
    }
  });

  it('says that TFC padding is not taken off', () => {
    const both = new Dialogue({ a: onA, b: onB });
    both.establish();
    const told = both.a.log.filter((line) => line.includes('N(ESP_TFC_PADDING_NOT_SUPPORTED)'));
    expect(told).toHaveLength(2);
  });
});

/** The initiator, the responder or both are behind a NAT: each knows the other by OUTSIDE. */
class Translated extends Dialogue {
  readonly translates: readonly string[];
  port = 14_500;

  constructor(translates: readonly string[], options: ConstructorParameters<typeof Dialogue>[0]) {
    super(options);
    this.translates = translates;
  }

  override give(datagram: Datagram): void {
    const { local, remote } = datagram;
    const [from, to] = [local.address, remote.address];
    const own = this.translates.includes(from)
      ? { address: OUTSIDE, port: from === ADDRESS_A ? this.port : local.port }
      : local;
    if (to !== OUTSIDE) {
      super.give(datagram, own);
      return;
    }
    const inside = from === ADDRESS_A ? ADDRESS_B : ADDRESS_A;
    const port = inside === ADDRESS_A ? (remote.port === this.port ? 4500 : 500) : remote.port;
    super.give({ ...datagram, remote: { address: inside, port } }, own);
  }
}

describe('transport mode behind a NAT (§2.23.1)', () => {
  it('of the initiator: the responder knows it by the address that it sees', () => {
    const both = new Translated([ADDRESS_A], {
      a: onA,
      b: { ...onB, remoteAddress: '%any', remoteSelectors: ['198.51.100.0/24'] },
    });
    both.initiate();
    both.settle();
    expect(texts(both, 'a')).toEqual([`${ADDRESS_A}/32`, `${ADDRESS_B}/32`]);
    expect(texts(both, 'b')).toEqual([`${ADDRESS_B}/32`, `${OUTSIDE}/32`]);
    const child = only(both.b.installed);
    expect(child).toMatchObject({ mode: 'transport', udpEncapsulation: true });
    expect(child.remote.address).toBe(OUTSIDE);
    expect(only(both.a.installed).inboundKey).toBe(child.outboundKey);
  });

  it('of the responder: the initiator asks for the address that it knows, and gets it', () => {
    const both = new Translated([ADDRESS_B], {
      a: { ...onA, remoteAddress: OUTSIDE, remoteSelectors: [OUTSIDE] },
      b: onB,
    });
    both.initiate();
    both.settle();
    expect(texts(both, 'a')).toEqual([`${ADDRESS_A}/32`, `${OUTSIDE}/32`]);
    expect(texts(both, 'b')).toEqual([`${ADDRESS_B}/32`, `${ADDRESS_A}/32`]);
  });

  it('is rekeyed from the new place when the mapping changes', () => {
    const both = new Translated([ADDRESS_A], {
      a: onA,
      b: { ...onB, remoteAddress: '%any', remoteSelectors: ['198.51.100.0/24'] },
    });
    both.initiate();
    both.settle();
    both.port = 24_500;
    const { inboundSpi } = only(both.b.installed);
    const remote = { address: OUTSIDE, port: 24_500 };
    both.b.handle({ type: 'nat-mapping-changed', inboundSpi, remote });
    both.settle();
    expect(both.b.sending('site/net')!.remote).toEqual(remote);
    expect(both.b.sending('site/net')!.mode).toBe('transport');
    expect(both.b.installed.has(inboundSpi)).toBe(true);
    both.wait(60_000);
    expect(both.b.installed.has(inboundSpi)).toBe(false);
  });
});

describe('AH', () => {
  const ah = ['sha256-x25519', 'sha256'];

  it('is negotiated, rekeyed and deleted as ESP is', () => {
    const both = new Dialogue({ a: { ah }, b: { ah } });
    both.establish();
    const child = only(both.a.installed);
    expect(child).toMatchObject({ protocol: 'ah', encryption: 0, keyBits: 0, integrity: 12 });
    // §2.17: for AH a key of the integrity algorithm alone; 32 octets (RFC 4868 §2.1.1).
    expect(child.inboundKey).toHaveLength(64);
    both.rekey(both.a, 'child');
    both.settle();
    both.expectFlow();
    expect(both.a.sending('site/net')).toMatchObject({ protocol: 'ah' });
    both.wait(60_000);
    both.expectChildren(1);
  });

  it('has nothing in common with ESP, and says so', () => {
    const both = new Dialogue({ a: { ah }, b: {} });
    both.initiate();
    both.settle();
    expect(both.b.failures[0]!.notify).toBe('NO_PROPOSAL_CHOSEN');
    expect(both.b.failures[0]!.explanation).toContain('first difference: the peer proposes AH');
    expect(both.b.states).toEqual(['established']);
  });

  it('is not tried through a NAT', () => {
    for (const side of ['a', 'b'] as const) {
      const options = { a: { ah }, b: { ah } };
      const both = new Dialogue({
        ...options,
        [side]: { ah, forceUdpEncapsulation: true },
      });
      both.initiate();
      both.settle();
      expect(both.a.failures[0]).toMatchObject({ notify: 'NO_PROPOSAL_CHOSEN' });
      expect(both.a.failures[0]!.explanation).toContain('AH does not pass one');
      expect(both.a.installed.size).toBe(0);
      expect(both.a.reserved.size).toBe(0);
    }
  });

  it('in transport mode says nothing of TFC, which AH has not', () => {
    const both = new Dialogue({ a: { ...onA, ah }, b: { ...onB, ah } });
    both.establish();
    expect(only(both.b.installed)).toMatchObject({ protocol: 'ah', mode: 'transport' });
    expect(both.a.log.some((line) => line.includes('TFC_PADDING'))).toBe(false);
  });
});

describe('TFC padding', () => {
  const tfc = { padTo: 1400, dummiesPerSecond: 5 };
  /** b's connection, whose Child SA is to hide how much it sends. */
  const hiding = (options: ConnectionOptions = {}) => {
    const connection = connectionOf('b', options);
    return { ...connection, children: connection.children.map((child) => ({ ...child, tfc })) };
  };

  it('is put on with ESP in tunnel mode, and with nothing else', () => {
    const ah = ['sha256'];
    for (const [a, b, expected] of [
      [{}, {}, tfc],
      [onA, onB, undefined],
      [{ ah }, { ah }, undefined],
    ] as const) {
      const both = new Dialogue({ a, b });
      both.b.ike.setConnections([hiding(b)]);
      both.establish();
      expect(only(both.b.installed).tfc).toEqual(expected);
    }
  });

  it('is not put on for a peer that does not take it off, which gets dummies all the same', () => {
    for (const refuses of [false, true]) {
      const both = new Dialogue();
      both.b.ike.setConnections([hiding()]);
      const peer = new ScriptedPeer(both.b);
      peer.init();
      const said = refuses ? [notify(NOTIFY.ESP_TFC_PADDING_NOT_SUPPORTED)] : [];
      peer.request(EXCHANGE.IKE_AUTH, 1, [...peer.authPayloads(), ...said]);
      expect(only(both.b.installed).tfc).toEqual(refuses ? { ...tfc, padTo: 0 } : tfc);
    }
  });
});
