/** AUTH of both sides with a pre-shared key (RFC 7296 §2.15), over what IKE_SA_INIT has said. */
import { equalsSecretly, pskAuth } from '../crypto/auth.js';
import type { Connection } from '../policy/connection.js';
import { type Identity, sameIdentity } from '../policy/identity.js';
import { AUTH_METHOD, type Payload, type PayloadOf, payloadBody } from '../wire/index.js';
import { explainIdentity, explainWrongKey, type Failure } from './explain.js';
import type { IkeSa } from './ike-sa.js';
import { need } from './payloads.js';
import type { Role } from './state.js';

type IdPayload = PayloadOf<'IDi'> | PayloadOf<'IDr'>;

export function idPayload<K extends 'IDi' | 'IDr'>(kind: K, { type, data }: Identity) {
  return { kind, idType: type, data };
}

export function identityOf({ idType, data }: IdPayload): Identity {
  return { type: idType, data };
}

/** Our AUTH payload over our ID payload. */
export function authPayload(sa: IkeSa, connection: Connection, id: IdPayload): PayloadOf<'AUTH'> {
  const data = auth(sa, connection, id, sa.role);
  return { kind: 'AUTH', method: AUTH_METHOD.SHARED_KEY_MIC, data };
}

/** Why the peer's AUTH does not prove that it is the connection's other end; undefined: it does. */
export function refusePeer(
  sa: IkeSa,
  connection: Connection,
  id: IdPayload,
  payloads: readonly Payload[],
): Failure | undefined {
  const expected = connection.remote.identity;
  const found = identityOf(id);
  if (!sameIdentity(expected, found)) return refused(explainIdentity(expected, found));
  // Wiped with a configuration that is gone while this exchange was under way.
  if (connection.psk.byteLength === 0) return refused('the connection is not configured any more');
  const { method, data } = need(payloads, 'AUTH');
  if (method !== AUTH_METHOD.SHARED_KEY_MIC) {
    return refused(`the peer authenticates by method ${method}, not by a pre-shared key`);
  }
  const peerRole = sa.role === 'initiator' ? 'responder' : 'initiator';
  const good = equalsSecretly(data, auth(sa, connection, id, peerRole));
  return good ? undefined : refused(explainWrongKey(found));
}

export function refused(explanation: string): Failure {
  return { notify: 'AUTHENTICATION_FAILED', explanation };
}

/** The AUTH data of the side in this role. */
function auth(sa: IkeSa, { psk }: Connection, id: IdPayload, role: Role): Uint8Array {
  const { prf, ni, nr, initRequest, initResponse } = sa.negotiated!;
  const { skPi, skPr } = sa.protection!.keys;
  const idBody = payloadBody(id);
  const signed =
    role === 'initiator'
      ? { message: initRequest, peerNonce: nr, idBody, skP: skPi }
      : { message: initResponse, peerNonce: ni, idBody, skP: skPr };
  return pskAuth(prf, psk, signed);
}
