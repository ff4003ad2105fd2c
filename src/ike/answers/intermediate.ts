/**
 * IKE_INTERMEDIATE as the responder (RFC 9242): the key exchanges that were agreed upon, in their
 * order (RFC 9370 §2.2.2). A peer may have other reasons for such an exchange: what has no KE payload
 * is answered by nothing, and covered by AUTH like all others.
 */
import { invalidSyntax, type Payload, type WireError } from '../../wire/index.js';
import type { Core } from '../core.js';
import { find } from '../messages/payloads.js';
import type { IkeSa } from '../sa/ike-sa.js';
import { strengthenKeys } from '../sa/keys.js';
import type { Reply } from './answer.js';
import { exchangeKeys } from './follow-up.js';

/** @param refuse  answers what does not belong here */
export function answerIntermediate(
  sa: IkeSa,
  core: Core,
  payloads: readonly Payload[],
  reply: Reply,
  refuse: (error: WireError) => void,
): void {
  const intermediate = sa.intermediate!;
  const ke = find(payloads, 'KE');
  if (!intermediate.count()) {
    refuse(invalidSyntax('too many', 'IKE_INTERMEDIATE'));
  } else if (ke === undefined) {
    reply({ payloads: [] });
  } else if (ke.method !== intermediate.nextMethod) {
    refuse(invalidSyntax('it is not the method that is due', 'KE.method'));
  } else {
    exchangeKeys(sa, ke, reply, ({ payload, sharedSecret }) => {
      intermediate.advance();
      reply({
        payloads: [payload],
        // The response is protected as the request was.
        afterwards: () => strengthenKeys(sa, core, sharedSecret),
      });
    });
  }
}
