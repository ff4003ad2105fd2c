import { Secret } from '../src/crypto/secret.js';
import type { PreSharedKey } from '../src/policy/authentication.js';
import type { Connection } from '../src/policy/connection.js';

/** Authentication by a pre-shared key. */
export function sharedKey(text: string): PreSharedKey {
  return { type: 'psk', psk: new Secret(new TextEncoder().encode(text)) };
}

/** The pre-shared key that a connection's peer has to know. */
export function keyOf({ remote }: Connection): Secret {
  if (remote.authentication.type !== 'psk') throw new Error('the peer has no pre-shared key');
  return remote.authentication.psk;
}
