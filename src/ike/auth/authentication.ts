/**
 * AUTH of both sides (RFC 7296 §2.15), over what IKE_SA_INIT has said: by a pre-shared key, or by a
 * signature (§3.8, RFC 7427). The two sides need not prove themselves in the same way.
 *
 * What a signature costs is a job, so each function here tells its result to a callback: at once
 * where a pre-shared key is used.
 */
import { equalsSecretly, pskAuth, type SignedOctets, signedOctets } from '../../crypto/auth.js';
import type { RootKeys } from '../../crypto/keymat.js';
import type { Secret } from '../../crypto/secret.js';
import { chooseScheme } from '../../crypto/signature-scheme.js';
import type { OwnCertificate, Trust } from '../../policy/authentication.js';
import type { Connection } from '../../policy/connection.js';
import { type Identity, sameIdentity } from '../../policy/identity.js';
import {
  AUTH_METHOD,
  nameOf,
  type Payload,
  type PayloadOf,
  payloadBody,
} from '../../wire/index.js';
import {
  explainIdentity,
  explainNoScheme,
  explainWrongKey,
  explainWrongMethod,
  type Failure,
} from '../explain.js';
import { need } from '../messages/payloads.js';
import type { IkeSa } from '../sa/ike-sa.js';
import type { Role } from '../sa/state.js';
import { readCertificates } from './certificates.js';

type IdPayload = PayloadOf<'IDi'> | PayloadOf<'IDr'>;

export function idPayload<K extends 'IDi' | 'IDr'>(kind: K, { type, data }: Identity) {
  return { kind, idType: type, data };
}

export function identityOf({ idType, data }: IdPayload): Identity {
  return { type: idType, data };
}

export function refused(explanation: string): Failure {
  return { notify: 'AUTHENTICATION_FAILED', explanation };
}

/** Wiped with a configuration that is gone while an exchange was under way. */
export const NOT_CONFIGURED = refused('the connection is not configured any more');

// --- ours -------------------------------------------------------------------------------------

/**
 * Makes our AUTH payload over our ID payload; or says why there can be none.
 * @param keys  in place of those that are in use
 */
export function proveOurselves(
  sa: IkeSa,
  { local }: Connection,
  id: IdPayload,
  done: (auth: PayloadOf<'AUTH'> | Failure) => void,
  keys: RootKeys = sa.protection!.keys,
): void {
  const { authentication } = local;
  const signed = toBeSigned(sa, id, sa.role, keys);
  if (authentication.type === 'certificate') {
    sign(sa, authentication, signedOctets(sa.negotiated!.prf, signed), done);
    return;
  }
  const { psk } = authentication;
  if (psk.byteLength === 0) {
    done(NOT_CONFIGURED);
    return;
  }
  const data = pskAuth(sa.negotiated!.prf, psk, signed);
  done({ kind: 'AUTH', method: AUTH_METHOD.SHARED_KEY_MIC, data });
}

function sign(
  sa: IkeSa,
  { key, rsaPadding }: OwnCertificate,
  octets: Uint8Array,
  done: (auth: PayloadOf<'AUTH'> | Failure) => void,
): void {
  const scheme = chooseScheme(key, rsaPadding, sa.peerKnows);
  if (scheme === undefined) {
    done(refused(explainNoScheme(sa.peerKnows)));
    return;
  }
  sa.compute({ type: 'sign', key, scheme, octets }, (result) => {
    if (result.type === 'signed') {
      done({ kind: 'AUTH', method: scheme.method, data: result.data });
      return;
    }
    const reason = result.type === 'failed' ? result.reason : 'an unexpected result';
    done(refused(`our private key does not sign: ${reason}`));
  });
}

// --- the peer's -------------------------------------------------------------------------------

/** Tells why the peer's AUTH does not prove that it is the connection's other end, if so. */
export function verifyPeer(
  sa: IkeSa,
  { remote }: Connection,
  id: IdPayload,
  payloads: readonly Payload[],
  done: (refusal: Failure | undefined) => void,
): void {
  const { identity: expected, authentication } = remote;
  const found = identityOf(id);
  const auth = need(payloads, 'AUTH');
  const bySharedKey = auth.method === AUTH_METHOD.SHARED_KEY_MIC;
  if (!sameIdentity(expected, found)) {
    done(refused(explainIdentity(expected, found)));
  } else if (bySharedKey !== (authentication.type === 'psk')) {
    const how = nameOf(AUTH_METHOD, auth.method);
    done(refused(explainWrongMethod(how, authentication.type)));
  } else if (authentication.type === 'psk') {
    done(refuseSharedKey(sa, authentication.psk, id, auth));
  } else {
    verifySignature(sa, authentication, id, payloads, done);
  }
}

function refuseSharedKey(
  sa: IkeSa,
  psk: Secret,
  id: IdPayload,
  { data }: PayloadOf<'AUTH'>,
): Failure | undefined {
  if (psk.byteLength === 0) return NOT_CONFIGURED;
  const expected = pskAuth(sa.negotiated!.prf, psk, toBeSigned(sa, id, peerRole(sa)));
  return equalsSecretly(data, expected) ? undefined : refused(explainWrongKey(identityOf(id)));
}

function verifySignature(
  sa: IkeSa,
  trust: Trust,
  id: IdPayload,
  payloads: readonly Payload[],
  done: (refusal: Failure | undefined) => void,
): void {
  const { certificates, problem } = readCertificates(payloads);
  if (problem !== undefined && trust.pinned === undefined) {
    done(refused(problem));
    return;
  }
  const { method, data } = need(payloads, 'AUTH');
  const octets = signedOctets(sa.negotiated!.prf, toBeSigned(sa, id, peerRole(sa)));
  const identity = identityOf(id);
  const job = { type: 'verify', identity, trust, certificates, method, data, octets } as const;
  sa.compute(job, (result) => {
    switch (result.type) {
      case 'verified':
        sa.peerCertificates = { identity, certificates };
        for (const note of result.notes) sa.log('warn', note);
        done(undefined);
        break;
      case 'refused':
        done(refused(result.explanation));
        break;
      default:
        done(refused(result.type === 'failed' ? result.reason : 'an unexpected result'));
    }
  });
}

// --- the octets -------------------------------------------------------------------------------

function peerRole({ role }: IkeSa): Role {
  return role === 'initiator' ? 'responder' : 'initiator';
}

/** What the side in this role signs. */
function toBeSigned(
  sa: IkeSa,
  id: IdPayload,
  role: Role,
  { skPi, skPr }: RootKeys = sa.protection!.keys,
): SignedOctets {
  const { ni, nr, initRequest, initResponse } = sa.negotiated!;
  const idBody = payloadBody(id);
  const { intAuth } = sa.intermediate!;
  return role === 'initiator'
    ? { idBody, intAuth, message: initRequest, peerNonce: nr, skP: skPi }
    : { idBody, intAuth, message: initResponse, peerNonce: ni, skP: skPr };
}
