/** The peer's requests within an IKE SA: what each exchange is answered. */
import {
  EXCHANGE,
  invalidSyntax,
  NOTIFY,
  type Payload,
  type PeekedHeader,
  type Story,
  validate,
  WireError,
} from '../../wire/index.js';
import type { Core } from '../core.js';
import { notify, notifyName } from '../messages/payloads.js';
import type { Datagram, IkeSa } from '../sa/ike-sa.js';
import { answerCreateChild } from './create-child.js';
import { answerFollowUp } from './follow-up.js';
import { answerIkeAuth } from './ike-auth.js';
import { deriveKeys } from './ike-init.js';
import { answerInformational } from './informational.js';
import { answerIntermediate } from './intermediate.js';

/** The response to a request, and what follows when it has been sent. */
export interface Answer {
  readonly payloads: readonly Payload[];
  readonly afterwards?: () => void;
}

/** Takes the answer, at once or after a computation; where the IKE SA is closed by then, never. */
export type Reply = (answer: Answer) => void;

/** Handles a request that is new, and within the window. */
export function answerRequest(
  sa: IkeSa,
  core: Core,
  datagram: Datagram,
  header: PeekedHeader,
): void {
  if (sa.protection === undefined) {
    deriveKeys(sa, core, datagram);
    return;
  }
  const reply: Reply = ({ payloads, afterwards }) => {
    sa.channel.respond(datagram, header, payloads);
    sa.children.answeredIn(header.messageId);
    afterwards?.();
  };
  const payloads = sa.channel.openSealed(datagram, header, (error) => {
    reply(answerMalformed(sa, core, error));
  });
  if (payloads === undefined) return;
  // §2.3: it says that our responses to what lies before the window have arrived.
  sa.children.peerIsReady(header.messageId - sa.window.offered);
  answerPayloads(sa, core, datagram, header, payloads, reply);
}

function answerPayloads(
  sa: IkeSa,
  core: Core,
  datagram: Datagram,
  header: PeekedHeader,
  payloads: readonly Payload[],
  reply: Reply,
): void {
  const { exchangeType } = header;
  if (!SEALED_EXCHANGES.has(exchangeType)) {
    reply(answerUnknown(sa, core, exchangeType));
    return;
  }
  const refuse = (error: WireError) => reply(answerMalformed(sa, core, error));
  let story: Story;
  try {
    ({ story } = validate({ exchangeType, response: false, encrypted: true }, payloads));
  } catch (error) {
    if (!(error instanceof WireError)) throw error;
    refuse(error);
    return;
  }
  switch (exchangeType) {
    case EXCHANGE.IKE_INTERMEDIATE:
      answerIntermediate(sa, core, payloads, reply, refuse);
      break;
    case EXCHANGE.IKE_AUTH:
      if (sa.intermediate?.nextMethod !== undefined) {
        refuse(invalidSyntax('a key exchange is missing', 'IKE_AUTH'));
        break;
      }
      answerIkeAuth(sa, core, story, payloads, reply);
      break;
    case EXCHANGE.INFORMATIONAL:
      reply(answerInformational(sa, core, payloads, datagram, header));
      break;
    case EXCHANGE.IKE_FOLLOWUP_KE:
      answerFollowUp(sa, core, payloads, reply);
      break;
    case EXCHANGE.CREATE_CHILD_SA:
      answerCreateChild(sa, core, story, payloads, reply);
      break;
  }
}

/** Those that may come under the keys of an IKE SA. */
const SEALED_EXCHANGES: ReadonlySet<number> = new Set([
  ...[EXCHANGE.IKE_INTERMEDIATE, EXCHANGE.IKE_AUTH, EXCHANGE.CREATE_CHILD_SA],
  ...[EXCHANGE.INFORMATIONAL, EXCHANGE.IKE_FOLLOWUP_KE],
]);

/**
 * An exchange of which we know nothing is no malformed message, so it must not end the IKE SA as
 * INVALID_SYNTAX would (§2.21.3). All requests are answered, those with errors by a notification;
 * the generic one of what is not acceptable is NO_PROPOSAL_CHOSEN (§3.10.1).
 */
function answerUnknown(sa: IkeSa, core: Core, exchangeType: number): Answer {
  core.count('ike-unknown-exchange');
  sa.log('warn', `the peer's exchange ${exchangeType} is refused: no such exchange is known`);
  return { payloads: [notify(NOTIFY.NO_PROPOSAL_CHOSEN)] };
}

/**
 * §2.21.3: an authentic request that does not decode ends the IKE SA on both sides, without a
 * Delete. §2.5: one with an unknown critical payload is refused, and all stays as it is; but the
 * initiator of a refused IKE_AUTH has not proved itself (§2.21.2).
 */
function answerMalformed(sa: IkeSa, core: Core, error: WireError): Answer {
  const notifyType = error.notifyType ?? NOTIFY.INVALID_SYNTAX;
  const isCritical = notifyType === NOTIFY.UNSUPPORTED_CRITICAL_PAYLOAD;
  core.count(isCritical ? 'ike-critical-payload' : 'ike-invalid-syntax');
  const payloads = [notify(notifyType, error.notifyData)];
  const explanation = `a request of the peer is refused: ${error.message}`;
  if (isCritical && sa.state.name !== 'half-open') {
    sa.log('warn', explanation);
    return { payloads };
  }
  const failure = { notify: notifyName(notifyType), explanation };
  return { payloads, afterwards: () => sa.fail(failure) };
}
