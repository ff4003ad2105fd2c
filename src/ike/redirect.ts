/**
 * REDIRECT (RFC 5685): that a peer sends us elsewhere is refused. We never say that we could, and
 * whom we talk to is for our administrator to say; but it is told to a person, with the place.
 */
import { formatAddress, NOTIFY, type Payload } from '../wire/index.js';
import type { Failure } from './explain.js';
import { notifyOf } from './messages/payloads.js';

/** Of the new gateway's identity (RFC 5685 §7.2). */
const IPV4 = 1;
const IPV6 = 2;
const FQDN = 3;

/** What a person is told of a message that redirects us; undefined: it does not. */
export function explainRedirect(payloads: readonly Payload[]): Failure | undefined {
  const redirect = notifyOf(payloads, NOTIFY.REDIRECT);
  if (redirect === undefined) return undefined;
  const explanation = [
    `the peer redirects us to ${newGateway(redirect.data)}, where we do not go by ourselves`,
    'if that is where the tunnel should end, remote.address has to name it',
  ].join('\n');
  return { notify: 'REDIRECT', explanation };
}

/** Type and length, an octet each, before the identity itself. */
function newGateway(data: Uint8Array): string {
  const [type, length = 0] = data;
  const identity = data.subarray(2, 2 + length);
  if (type === IPV4 && length === 4 && identity.length === 4) return formatAddress(identity);
  if (type === IPV6 && length === 16 && identity.length === 16) return formatAddress(identity);
  const name = new TextDecoder().decode(identity);
  return type === FQDN && /^[A-Za-z0-9.-]{1,253}$/.test(name) ? name : 'another gateway';
}
