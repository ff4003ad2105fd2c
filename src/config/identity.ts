/** Stands in until `policy/` reads identities itself. */

import type { Identity } from '../policy/identity.js';
import { parseAddress } from '../wire/index.js';

export function parseIdentity(text: string): Identity {
  const address = parseAddress(text);
  if (address !== undefined) return { type: address.length === 4 ? 1 : 5, data: address };
  return { type: text.includes('@') ? 3 : 2, data: new TextEncoder().encode(text) };
}
