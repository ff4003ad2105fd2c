/**
 * The tunnels of a simulated life: which gateways each joins, and what both have configured.
 * Gateway a has one with each of the others.
 */
import type { OwnCertificate, Trust } from '../../../src/policy/authentication.js';
import type { Connection } from '../../../src/policy/connection.js';
import { Authorities, type KeyKind } from '../../authorities.js';
import {
  ADDRESSES,
  type ConnectionOptions,
  connectionOf,
  SIDES,
  type Side,
} from '../harness/peer.js';
import { ELSEWHERE } from '../harness/places.js';
import type { SeededRandom } from '../harness/random.js';

export interface End {
  readonly side: Side;
  readonly connection: Connection;
}

export interface Tunnel {
  /** Of the connection, on both sides. */
  readonly name: string;
  readonly ends: readonly [End, End];
}

const SHORT_GROUPS = ['x25519', 'ecp256', 'ecp384'];
const GROUPS = [...SHORT_GROUPS, 'ecp521', 'modp2048', 'modp3072', 'modp4096'];
const AEADS = ['aes128gcm16-prfsha256', 'aes192gcm16-prfsha512', 'aes256gcm16-prfsha384'];
const SUITES = [...AEADS, 'aes128-sha256', 'aes192-sha384', 'aes256-sha512'];
const CIPHERS = ['aes128gcm16', 'aes192gcm16', 'aes256gcm16'];
const MACS = ['sha256', 'sha384', 'sha512'];
const KEYS: readonly KeyKind[] = [
  ...(['rsa:2048', 'rsa-pss:2048', 'ec:P-256', 'ec:P-384', 'ec:P-521'] as const),
  ...(['ed25519', 'ed448'] as const),
];

/** What a life has in store for its tunnels. */
export interface Circumstances {
  /** Whether there is time for what takes more messages, or longer ones; else that is rare. */
  readonly long: boolean;
  /** Why there is to be no IKE SA: another key than the one expected, or no PPK where one has to be. */
  readonly flaw: 'key' | 'ppk' | undefined;
  /** Gateway a goes to other addresses (RFC 4555), or is behind a NAT. */
  readonly moves: boolean;
  readonly translated: boolean;
  /** The path does not take what is longer than need be. */
  readonly narrow: boolean;
}

/** @param other  what gateway a has a tunnel with */
export function pickTunnel(dice: SeededRandom, other: Side, life: Circumstances): Tunnel {
  const name = other === 'b' ? 'site' : `site-${other}`;
  // IKE_SA_INIT cannot go in fragments, so its key exchange has to be short on a narrow path.
  const groups = life.narrow || !dice.chance(oftenIf(life.long, 1)) ? SHORT_GROUPS : GROUPS;
  const chosen = { group: dice.pick(groups), another: dice.pick(groups) };
  const parts = [
    pickIke(dice, chosen, life),
    pickChildren(dice, other, chosen, life),
    pickPpks(dice, life.flaw === 'ppk'),
    pickPlaces(dice, life),
    other === 'b' && dice.chance(oftenIf(life.long, 0.2))
      ? pickCertificates(dice, life.flaw === 'key')
      : sharedKeys(life.flaw === 'key'),
  ];
  const of = (i: 0 | 1): ConnectionOptions =>
    Object.assign({ name }, ...parts.map((pair) => pair[i]));
  return {
    name,
    ends: [
      { side: 'a', connection: connectionOf('a', { peer: other, ...of(0) }) },
      { side: other, connection: connectionOf(other, of(1)) },
    ],
  };
}

/** A quarter as often in a life that is not long. */
export function oftenIf(long: boolean, probability: number): number {
  return long ? probability : probability / 4;
}

/** The same where each sender may have Child SAs of its own (RFC 9611), so many at most. */
export function perResource({ name, ends: [one, other] }: Tunnel, most: Mosts): Tunnel {
  const of = ({ side, connection }: End, perResource: 'auto' | number | undefined): End => {
    if (perResource === undefined) return { side, connection };
    const children = connection.children.map((child) => ({ ...child, perResource }));
    return { side, connection: { ...connection, children } };
  };
  return { name, ends: [of(one, most[0]), of(other, most[1])] };
}

/** The same where so many requests may be on their way at once, by what each end says (RFC 7296 §2.3). */
export function windowed({ name, ends: [one, other] }: Tunnel, sizes: readonly [number, number]) {
  const of = ({ side, connection }: End, windowSize: number): End => {
    return { side, connection: { ...connection, windowSize } };
  };
  return { name, ends: [of(one, sizes[0]), of(other, sizes[1])] } satisfies Tunnel;
}

/** Of both ends; undefined: it has one Child SA for all. */
export type Mosts = readonly ['auto' | number | undefined, 'auto' | number | undefined];

type Pair = readonly [ConnectionOptions, ConnectionOptions];

interface Groups {
  readonly group: string;
  readonly another: string;
}

function pickPlaces(dice: SeededRandom, { moves, translated }: Circumstances): Pair {
  const mobile = { mobike: moves || dice.chance(0.2) };
  return [
    { ...mobile, ...(moves && { alternatives: [ELSEWHERE.a] }) },
    // Where a is behind a NAT nobody finds it before it has come.
    { ...mobile, ...(translated && { remoteAddress: '%any' }) },
  ];
}

const REQUIRED = { id: 'ppk.example.org', secret: 'a secret of both', required: true };
const OPTIONAL = { ...REQUIRED, required: false };
const FOREIGN = { ...REQUIRED, id: 'another.example.org' };

/** PPKs as RFC 8784 §3 has them go together, mostly none; and where they do not. */
const PPKS = [
  ...Array.from({ length: 12 }, () => []),
  ...[
    [REQUIRED, REQUIRED],
    [REQUIRED, OPTIONAL],
    [OPTIONAL, REQUIRED],
  ],
  ...[[OPTIONAL, OPTIONAL], [OPTIONAL], [undefined, OPTIONAL]],
];
const FLAWED_PPKS = [
  ...[[REQUIRED], [undefined, REQUIRED]],
  ...[
    [OPTIONAL, FOREIGN],
    [FOREIGN, OPTIONAL],
  ],
];

function pickPpks(dice: SeededRandom, flaw: boolean): Pair {
  const ppks = dice.pick(flaw ? FLAWED_PPKS : PPKS);
  return [{ ...(ppks[0] && { ppk: ppks[0] }) }, { ...(ppks[1] && { ppk: ppks[1] }) }];
}

/** Key exchanges and suites of the IKE SA, how its messages are cut, and when its peer is missed. */
function pickIke(dice: SeededRandom, { group, another }: Groups, { long }: Circumstances): Pair {
  const suite = dice.pick(dice.chance(oftenIf(long, 1)) ? SUITES : AEADS);
  // Now and then one guesses a group that the other does not have.
  const guess = dice.chance(oftenIf(long, 0.2)) && another !== group ? `-${another}` : '';
  // Now and then a second key exchange, also one that the other side may not have.
  const more = dice.chance(oftenIf(long, 0.2)) ? '-ke1_mlkem768' : '';
  const proposals = (one: string) =>
    more !== '' && dice.chance(0.8) ? [`${one}${more}`, one] : [one];
  // Now and then nearly all goes in fragments, or all that one side sends.
  const small = dice.chance(oftenIf(long, 0.15)) ? { fragmentBytes: 300 + dice.below(300) } : {};
  const alike = dice.chance(0.8);
  const common = {
    livenessSeconds: dice.pick(long ? [30, 90] : [90]),
    childless: dice.chance(0.15),
  };
  return [
    { ...common, ...small, ike: proposals(`${suite}${guess}-${group}`) },
    { ...common, ...(alike && small), ike: proposals(`${suite}-${group}`) },
  ];
}

/** Mostly one Child SA of ESP in tunnel mode. */
function pickChildren(
  dice: SeededRandom,
  other: Side,
  { group, another }: Groups,
  { long, moves, translated }: Circumstances,
): Pair {
  const pfs = dice.pick(['', `-${group}`, `-${another}`]);
  // Now and then one more key exchange of each Child SA (RFC 9370 §2.2.4).
  const further = pfs !== '' && dice.chance(oftenIf(long, 0.2)) ? '-ke1_mlkem512' : '';
  // AH does not go through a NAT (RFC 3948 §1).
  const protocol =
    !translated && dice.chance(0.15)
      ? { ah: [`${dice.pick(MACS)}${pfs}`] }
      : { esp: [`${dice.pick(CIPHERS)}${pfs}${further}`] };
  const draw = dice.unit();
  const [net, otherNet] = [1, SIDES.indexOf(other) + 1];
  if (draw < oftenIf(long, 0.25)) {
    return [
      { ...protocol, children: twoChildren(net, otherNet) },
      { ...protocol, children: twoChildren(otherNet, net) },
    ];
  }
  // Transport mode is between addresses that stay.
  if (draw < 0.4 && !moves && !translated) {
    const [here, there] = [[ADDRESSES.a], [ADDRESSES[other]]];
    const transport = { ...protocol, mode: 'transport' } as const;
    return [
      { ...transport, localSelectors: here, remoteSelectors: there },
      { ...transport, localSelectors: there, remoteSelectors: here },
    ];
  }
  const narrower = draw < 0.55 ? { localSelectors: [`10.${otherNet}.128.0/17`] } : {};
  return [protocol, { ...protocol, ...narrower }];
}

function twoChildren(own: number, remote: number): NonNullable<ConnectionOptions['children']> {
  return {
    five: [[`10.${own}.5.0/24`], [`10.${remote}.5.0/24`]],
    six: [[`10.${own}.6.0/24`, `10.${own}.7.0/24`], [`10.${remote}.0.0/16`]],
  };
}

function sharedKeys(wrongKey: boolean): Pair {
  return [wrongKey ? { psk: 'not the same' } : {}, {}];
}

/** Certificates of gateways a and b. */
function pickCertificates(dice: SeededRandom, wrongKey: boolean): Pair {
  const { own, remote } = proofs();
  const [a, b] = [own.get(`a-${dice.pick(KEYS)}`)!, own.get(`b-${dice.pick(KEYS)}`)!];
  // Another key of the same kind is not at hand; any other is as wrong.
  const local = wrongKey ? { ...a, key: b.key } : a;
  return [
    { local, remote },
    { local: b, remote },
  ];
}

interface Proofs {
  readonly own: ReadonlyMap<string, OwnCertificate>;
  readonly remote: Trust;
}

let made: Proofs | undefined;

/** Certificates with each kind of key; made when first used, which takes a second. */
function proofs(): Proofs {
  if (made !== undefined) return made;
  const authorities = new Authorities().make('root', { ca: true });
  const own = new Map<string, OwnCertificate>();
  for (const side of ['a', 'b']) {
    const extensions = [`subjectAltName = DNS:${side}.example.org`];
    for (const key of KEYS) {
      const name = `${side}-${key}`;
      own.set(name, authorities.make(name, { key, issuer: 'root', extensions }).own([name]));
    }
  }
  made = { own, remote: authorities.trust(['root']) };
  authorities.remove();
  return made;
}
