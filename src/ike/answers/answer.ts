/** The peer's requests within an IKE SA: what each exchange is answered. */
import {
  EXCHANGE,
  NOTIFY,
  type Payload,
  type PeekedHeader,
  type Story,
  validate,
  WireError,
} from '../../wire/index.js';
import type { Core } from '../core.js';
import type { Datagram, IkeSa } from '../ike-sa.js';
import { notify, notifyName } from '../payloads.js';
import { answerIkeAuth } from './ike-auth.js';
import { deriveKeys } from './ike-init.js';
import { answerInformational } from './informational.js';

/** The response to a request, and what follows when it has been sent. */
export interface Answer {
  readonly payloads: readonly Payload[];
  readonly afterwards?: () => void;
}

/** Handles a request that has the message ID that is next. */
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
  let answer: Answer | undefined;
  const payloads = sa.decodeSealed(datagram, header, (error) => {
    answer = answerMalformed(sa, error);
  });
  if (payloads !== undefined) answer = answerPayloads(sa, core, header, payloads);
  if (answer === undefined) return;
  sa.respond(datagram, header, answer.payloads);
  answer.afterwards?.();
}

function answerPayloads(
  sa: IkeSa,
  core: Core,
  { exchangeType }: PeekedHeader,
  payloads: readonly Payload[],
): Answer {
  let story: Story;
  try {
    ({ story } = validate({ exchangeType, response: false, encrypted: true }, payloads));
  } catch (error) {
    if (error instanceof WireError) return answerMalformed(sa, error);
    throw error;
  }
  switch (exchangeType) {
    case EXCHANGE.IKE_AUTH:
      return answerIkeAuth(sa, core, story, payloads);
    case EXCHANGE.INFORMATIONAL:
      return answerInformational(sa, core, payloads);
    default:
      // §1.3, §4: an implementation may refuse to make further SAs; those that are there stay.
      return { payloads: [notify(NOTIFY.NO_ADDITIONAL_SAS)] };
  }
}

/**
 * §2.21.3: an authentic request that does not decode ends the IKE SA on both sides, without a
 * Delete. §2.5: one with an unknown critical payload is refused, and all stays as it is; but the
 * initiator of a refused IKE_AUTH has not proved itself (§2.21.2).
 */
function answerMalformed(sa: IkeSa, error: WireError): Answer {
  const notifyType = error.notifyType ?? NOTIFY.INVALID_SYNTAX;
  const payloads = [notify(notifyType, error.notifyData)];
  const name = notifyName(notifyType);
  const fatal = notifyType !== NOTIFY.UNSUPPORTED_CRITICAL_PAYLOAD || sa.state.name === 'half-open';
  sa.log('warn', `a request of the peer is refused: ${error.message}`);
  if (!fatal) return { payloads };
  return { payloads, afterwards: () => sa.close(`${name} sent to the peer`) };
}
