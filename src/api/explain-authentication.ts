/**
 * What to change where AUTHENTICATION_FAILED ended an attempt, by what the failure says of it
 * (ike/explain.ts, pki/peer-verifier.ts). Pure.
 */
import type { Connection } from '../policy/connection.js';
import { formatIdentity } from '../policy/identity.js';

type Advise = (connection: Connection) => string;

/** Of failures that concern certificates; the first that the words fit. */
const CERTIFICATES: readonly (readonly [RegExp, Advise])[] = [
  [
    / is revoked$/,
    () => 'the peer needs another certificate; this one was taken back by its authority',
  ],
  [
    /is revoked is not known/,
    ({ name }) =>
      `the authority has to answer, or crl of [connection.${name}.remote] has to hold its current list; else a laxer revocation there`,
  ],
  [
    /leads to no certificate authority/,
    ({ name }) =>
      `ca of [connection.${name}.remote] has to hold the authority named as issuer; or the peer has to send what leads to one that is trusted: in its cert file, behind its own certificate`,
  ],
  [
    /has expired|is not yet valid/,
    () => 'a new certificate, unless a clock is wrong; compare on both: date -u',
  ],
  [
    /is not for the identity/,
    ({ name }) =>
      `the peer's id, and id of [connection.${name}.remote], have to be one that its certificate proves; or it needs a certificate for this one`,
  ],
  [
    /not the one that the connection names/,
    ({ name }) => `cert of [connection.${name}.remote] has to be the peer's present certificate`,
  ],
  [
    /the connection has it do so/,
    ({ name }) =>
      `both gateways have to mean the same proof: ca or cert in [connection.${name}.remote] where the peer has a certificate, psk_file where it has none`,
  ],
  [
    /has sent no certificate|no X509_SIGNATURE certificate/,
    ({ name }) =>
      `the peer has to send its certificate (strongSwan: send_cert = always), or cert of [connection.${name}.remote] has to name it`,
  ],
  [
    /key usage|too weak|too short|too long|the exponent|is not on P-256|is not RSA|unhandled critical/,
    () => 'the peer needs another certificate, made as IKE wants it: esplane pki issue',
  ],
  [
    /^the peer's certificate .* is refused: /,
    () => 'the peer needs a certificate of an authority that may sign it, with all its constraints',
  ],
  [
    /the signature does not verify/,
    () => "the peer's key is not that of its certificate, or something on the way changes messages",
  ],
  [
    /our private key is of no use/,
    () =>
      'we need a key of a type that the peer knows, such as RSA or ECDSA, and a certificate of it',
  ],
  [
    /does not accept our certificate/,
    ({ name }) =>
      `the peer's log says why; it has to trust the authority of cert of [connection.${name}.local], which may need intermediate certificates behind ours`,
  ],
];

/** Most likely first. */
export function adviseOnAuthentication(connection: Connection, explanation: string): string[] {
  const identities = adviseOnIdentities(connection);
  if (/another identity|has identities/.test(explanation)) return [identities];
  const [, advise] = CERTIFICATES.find(([words]) => words.test(explanation)) ?? [];
  if (advise !== undefined) return [advise(connection), identities];
  const key = `psk_file of [connection.${connection.name}] has to hold the same key on both gateways; compare: sha256sum < FILE`;
  // What was known as the peer's identity is what the keys were compared for.
  if (/^AUTH of .* does not verify: the pre-shared keys differ$/.test(explanation)) return [key];
  const ppk = `ppk of [connection.${connection.name}] has to have the same id and secret on both gateways`;
  return /PPK/.test(explanation) ? [key, identities, ppk] : [key, identities];
}

function adviseOnIdentities({ local, remote }: Connection): string {
  const [ours, theirs] = [formatIdentity(local.identity), formatIdentity(remote.identity)];
  return [
    `the identities have to mirror each other: ours is ${ours} and has to be the peer's remote id;`,
    `the peer's is ${theirs} here and has to be its local id`,
  ].join(' ');
}
