/**
 * The tunnels of a simulated life: which gateways each joins, and what both have configured.
 * Gateway a has one with each of the others.
 */
import type { OwnCertificate, Trust } from '../../src/policy/authentication.js';
import type { Connection } from '../../src/policy/connection.js';
import { Authorities, type KeyKind } from '../authorities.js';
import { type ConnectionOptions, connectionOf, SIDES, type Side } from './peer.js';
import type { SeededRandom } from './random.js';

export interface End {
  readonly side: Side;
  readonly connection: Connection;
}

export interface Tunnel {
  /** Of the connection, on both sides. */
  readonly name: string;
  readonly ends: readonly [End, End];
}

const GROUPS = ['x25519', 'ecp256', 'ecp384', 'ecp521', 'modp2048', 'modp3072', 'modp4096'];
const SUITES = [
  ...['aes128gcm16-prfsha256', 'aes192gcm16-prfsha512', 'aes256gcm16-prfsha384'],
  ...['aes128-sha256', 'aes192-sha384', 'aes256-sha512'],
];
const CIPHERS = ['aes128gcm16', 'aes192gcm16', 'aes256gcm16'];
const KEYS: readonly KeyKind[] = [
  ...(['rsa:2048', 'rsa-pss:2048', 'ec:P-256', 'ec:P-384', 'ec:P-521'] as const),
  ...(['ed25519', 'ed448'] as const),
];

/**
 * @param other     what gateway a has a tunnel with
 * @param wrongKey  a proves itself with another key than the one that the other side expects
 */
export function pickTunnel(dice: SeededRandom, other: Side, wrongKey: boolean): Tunnel {
  const name = other === 'b' ? 'site' : `site-${other}`;
  const configured = pickConfiguration(dice, other);
  const certified = other === 'b' && dice.chance(0.2);
  const proofs = certified ? pickCertificates(dice, wrongKey) : sharedKeys(wrongKey);
  const [here, there] = configured.map((options, i) => ({ name, ...options, ...proofs[i] }));
  return {
    name,
    ends: [
      { side: 'a', connection: connectionOf('a', { peer: other, ...here }) },
      { side: other, connection: connectionOf(other, there) },
    ],
  };
}

type Pair = readonly [ConnectionOptions, ConnectionOptions];

function pickConfiguration(dice: SeededRandom, other: Side): Pair {
  const [group, another] = [dice.pick(GROUPS), dice.pick(GROUPS)];
  const suite = dice.pick(SUITES);
  const pfs = dice.pick(['', `-${group}`, `-${another}`]);
  // Now and then one guesses a group that the other does not have.
  const guess = dice.chance(0.2) && another !== group ? `-${another}` : '';
  // Now and then one more key exchange of each Child SA (RFC 9370 §2.2.4).
  const further = pfs !== '' && dice.chance(0.3) ? '-ke1_mlkem512' : '';
  const common = { livenessSeconds: 30, esp: [`${dice.pick(CIPHERS)}${pfs}${further}`] };
  const [net, otherNet] = [1, SIDES.indexOf(other) + 1];
  const several = dice.chance(0.3);
  const narrower = dice.chance(0.2) ? { localSelectors: [`10.${otherNet}.128.0/17`] } : {};
  // Now and then nearly all goes in fragments, or all that one side sends.
  const small = dice.chance(0.3) ? { fragmentBytes: 300 + dice.below(300) } : {};
  const alike = dice.chance(0.8);
  // Now and then a second key exchange, also one that the other side may not have.
  const more = dice.chance(0.3) ? '-ke1_mlkem768' : '';
  const proposals = (one: string) =>
    more !== '' && dice.chance(0.8) ? [`${one}${more}`, one] : [one];
  return [
    {
      ...common,
      ...small,
      ike: proposals(`${suite}${guess}-${group}`),
      ...(several && { children: twoChildren(net, otherNet) }),
    },
    {
      ...common,
      ...(alike && small),
      ike: proposals(`${suite}-${group}`),
      ...(several ? { children: twoChildren(otherNet, net) } : narrower),
    },
  ];
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
