/**
 * The key exchanges of a CREATE_CHILD_SA as the responder: the one that came with it, then those of
 * IKE_FOLLOWUP_KE (RFC 9370 §2.2.4). What waits for the next one is one at a time, and not for ever:
 * the newest, unless the peer has gone on with the one before.
 */
import { publicValueLength } from '../../crypto/key-exchange.js';
import type { Secret } from '../../crypto/secret.js';
import { NOTIFY, type Payload, type PayloadOf } from '../../wire/index.js';
import type { Core } from '../core.js';
import { need, notify, notifyOf } from '../messages/payloads.js';
import { sameOctets } from '../messages/window.js';
import type { IkeSa } from '../sa/ike-sa.js';
import type { Answer, Reply } from './answer.js';

const LINK_OCTETS = 8;

/** What the peer has begun to make, until all its secrets are there. */
export interface Begun {
  /** Methods of the key exchanges that are still to come. */
  readonly methods: readonly number[];
  /** Of those that are made, the first one before all. */
  readonly secrets: readonly Secret[];
  /** What is answered where it must not go on as things stand by now. */
  refusal(): readonly Payload[] | undefined;
  /**
   * Makes it; the secrets are wiped afterwards.
   * @returns what follows when the response has been sent
   */
  conclude(secrets: readonly Secret[]): (() => void) | undefined;
  /** It comes to nothing: gives back what was reserved. */
  forget(): void;
}

/** It waits for the peer's next request. */
export interface Waiting extends Begun {
  /** By which that request calls it; undefined: it is here, and its key exchange is computed. */
  readonly link: Uint8Array | undefined;
}

/**
 * One more key exchange is made: asks for the next one, or concludes.
 * @param around  puts the payloads of the key exchange where they belong
 */
export function goOn(
  sa: IkeSa,
  core: Core,
  begun: Begun,
  { payload, sharedSecret }: OwnKeys,
  around: (exchange: readonly Payload[]) => readonly Payload[] = (exchange) => exchange,
): Answer {
  const secrets = [...begun.secrets, sharedSecret];
  const mustWait = begun.methods.length > 0;
  const refusal = begun.refusal() ?? (mustWait ? noPlace(sa) : undefined);
  if (refusal !== undefined) {
    drop({ ...begun, secrets });
    return { payloads: refusal };
  }
  if (mustWait) {
    forgetFollowUp(sa);
    const link = core.environment.random(LINK_OCTETS);
    sa.followUp = { ...begun, secrets, link };
    sa.startTimer('follow-up', core.options.followUpTimeout);
    return { payloads: around([payload, notify(NOTIFY.ADDITIONAL_KEY_EXCHANGE, link)]) };
  }
  const afterwards = begun.conclude(secrets);
  wipe(secrets);
  const payloads = around([payload]);
  return afterwards === undefined ? { payloads } : { payloads, afterwards };
}

/** What keeps another from waiting: the peer has gone on with the one that is there. */
function noPlace({ followUp }: IkeSa): readonly Payload[] | undefined {
  const isComputed = followUp !== undefined && followUp.link === undefined;
  return isComputed ? [notify(NOTIFY.TEMPORARY_FAILURE)] : undefined;
}

/** IKE_FOLLOWUP_KE. */
export function answerFollowUp(
  sa: IkeSa,
  core: Core,
  payloads: readonly Payload[],
  reply: Reply,
): void {
  const { followUp: waiting } = sa;
  const link = notifyOf(payloads, NOTIFY.ADDITIONAL_KEY_EXCHANGE);
  const isCalled =
    link !== undefined && waiting?.link !== undefined && sameOctets(link.data, waiting.link);
  if (!isCalled) {
    reply({ payloads: [notify(NOTIFY.STATE_NOT_FOUND)] });
    return;
  }
  sa.stopTimer('follow-up');
  sa.followUp = { ...waiting, link: undefined };
  const ke = need(payloads, 'KE');
  const [due, ...methods] = waiting.methods;
  const fail = () => forgetFollowUp(sa);
  if (ke.method !== due) {
    fail();
    reply({ payloads: [notify(NOTIFY.NO_PROPOSAL_CHOSEN)] });
    return;
  }
  const then = (own: OwnKeys) => {
    sa.followUp = undefined;
    reply(goOn(sa, core, { ...waiting, methods }, own));
  };
  exchangeKeys(sa, ke, reply, then, fail);
}

/** The peer goes on with another or not at all, or the IKE SA is closed. */
export function forgetFollowUp(sa: IkeSa): void {
  if (sa.followUp === undefined) return;
  drop(sa.followUp);
  sa.followUp = undefined;
  sa.stopTimer('follow-up');
}

function drop(begun: Begun): void {
  wipe(begun.secrets);
  begun.forget();
}

function wipe(secrets: readonly Secret[]): void {
  for (const secret of secrets) secret.wipe();
}

// --- one key exchange -------------------------------------------------------------------------

/** Our half, and what came of both. */
export interface OwnKeys {
  readonly payload: PayloadOf<'KE'>;
  readonly sharedSecret: Secret;
}

/**
 * Makes our half for the peer's and goes on, or refuses what is no public value of the group.
 * @param fail  is told that it does not go on
 */
export function exchangeKeys(
  sa: IkeSa,
  { method, data }: PayloadOf<'KE'>,
  reply: Reply,
  then: (own: OwnKeys) => void,
  fail = () => {},
): void {
  // §3.4: the length has to be that of the group. §2.21.3: who sends nonsense closes with us.
  const refuse = (reason: string) => {
    fail();
    reply({
      payloads: [notify(NOTIFY.INVALID_SYNTAX)],
      afterwards: () => sa.fail({ notify: 'INVALID_SYNTAX', explanation: reason }),
    });
  };
  if (data.length !== publicValueLength(method)) {
    refuse("the peer's public value has not the length of its group");
    return;
  }
  sa.compute({ type: 'respond', group: method, peerPublic: data }, (result) => {
    if (result.type === 'failed' && result.badValue) {
      refuse(result.reason);
      return;
    }
    if (result.type !== 'responded') {
      fail();
      reply({ payloads: [notify(NOTIFY.TEMPORARY_FAILURE)] });
      return;
    }
    const payload = { kind: 'KE', method, data: result.publicValue } as const;
    then({ payload, sharedSecret: result.sharedSecret });
  });
}
