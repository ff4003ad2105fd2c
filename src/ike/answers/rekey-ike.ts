/**
 * The peer rekeys the IKE SA (RFC 7296 §1.3.2, §2.8.2, §2.18, §2.25.2). The new IKE SA takes over
 * at once, unless our own rekeying is under way: then it is a rival until that is answered. Further
 * key exchanges come before that (RFC 9370 §2.2.4).
 */
import type { Secret } from '../../crypto/secret.js';
import { explainNoProposal } from '../../policy/compare.js';
import { additionalMethods, type Selection, selectSuite } from '../../policy/suite.js';
import {
  type IkeSpi,
  ikeSpiAt,
  ikeSpiBytes,
  NOTIFY,
  type Payload,
  type PayloadOf,
  ZERO_IKE_SPI,
} from '../../wire/index.js';
import type { Core } from '../core.js';
import type { IkeSa } from '../ike-sa.js';
import { need, notifiesOf, notify } from '../payloads.js';
import { NONCE_OCTETS } from '../tasks/ike-init.js';
import { makeSuccessor, REKEYED_IKE } from '../tasks/rekey-ike.js';
import type { TaskKind } from '../tasks/task.js';
import { sameOctets } from '../window.js';
import type { Reply } from './answer.js';
import { exchangeKeys } from './create-child.js';

const LINK_OCTETS = 8;

export function answerRekeyIke(
  sa: IkeSa,
  core: Core,
  payloads: readonly Payload[],
  reply: Reply,
): void {
  if (isBusy(sa)) {
    reply({ payloads: [notify(NOTIFY.TEMPORARY_FAILURE)] });
    return;
  }
  const { ikeProposals } = sa.connection!;
  const { proposals } = need(payloads, 'SA');
  const ke = need(payloads, 'KE');
  const purpose = { ...REKEYED_IKE, guessed: ke.method };
  const selection = selectSuite(ikeProposals, proposals, new Uint8Array(8), purpose);
  if (selection === undefined || ikeSpiAt(selection.spi) === ZERO_IKE_SPI) {
    const explanation = explainNoProposal(ikeProposals, proposals, purpose);
    sa.report({ notify: 'NO_PROPOSAL_CHOSEN', explanation });
    reply({ payloads: [notify(NOTIFY.NO_PROPOSAL_CHOSEN)] });
    return;
  }
  const { id } = selection.suite.keyExchange!;
  if (ke.method !== id) {
    reply({ payloads: [notify(NOTIFY.INVALID_KE_PAYLOAD, Uint8Array.of(id >> 8, id & 0xff))] });
    return;
  }
  const begun: Begun = {
    selection,
    ni: need(payloads, 'Nonce').data,
    nr: core.environment.random(NONCE_OCTETS),
    localSpi: core.environment.allocateIkeSpi(),
    methods: additionalMethods(selection.suite),
    secrets: [],
    link: new Uint8Array(0),
  };
  const answer = { ...selection.answer, spi: ikeSpiBytes(begun.localSpi) };
  const first: Payload[] = [
    { kind: 'SA', proposals: [answer] },
    { kind: 'Nonce', data: begun.nr },
  ];
  goOn(sa, core, begun, ke, reply, first);
}

/** IKE_FOLLOWUP_KE (RFC 9370 §2.2.4): the next key exchange of a rekeying. */
export function answerFollowUp(
  sa: IkeSa,
  core: Core,
  payloads: readonly Payload[],
  reply: Reply,
): void {
  const { followUp: begun } = sa;
  const [link] = notifiesOf(payloads, NOTIFY.ADDITIONAL_KEY_EXCHANGE);
  if (begun === undefined || link === undefined || !sameOctets(link.data, begun.link)) {
    reply({ payloads: [notify(NOTIFY.STATE_NOT_FOUND)] });
    return;
  }
  sa.followUp = undefined;
  const ke = need(payloads, 'KE');
  if (ke.method === begun.methods[0]) {
    goOn(sa, core, { ...begun, methods: begun.methods.slice(1) }, ke, reply, []);
    return;
  }
  forget(begun);
  reply({ payloads: [notify(NOTIFY.NO_PROPOSAL_CHOSEN)] });
}

/** The peer goes on with something else, or the IKE SA is closed. */
export function forgetFollowUp(sa: IkeSa): void {
  if (sa.followUp !== undefined) forget(sa.followUp);
  sa.followUp = undefined;
}

function forget({ secrets }: Begun): void {
  for (const secret of secrets) secret.wipe();
}

/** A rekeying of the peer's that is under way. */
export interface Begun {
  readonly selection: Selection;
  readonly ni: Uint8Array;
  readonly nr: Uint8Array;
  readonly localSpi: IkeSpi;
  /** Methods of the key exchanges that are still to come. */
  readonly methods: readonly number[];
  readonly secrets: readonly Secret[];
  /** By which the peer's next request calls it. */
  readonly link: Uint8Array;
}

/** One key exchange is made: the next one follows, or the new IKE SA is there. */
function goOn(
  sa: IkeSa,
  core: Core,
  begun: Begun,
  ke: PayloadOf<'KE'>,
  reply: Reply,
  before: readonly Payload[],
): void {
  exchangeKeys(sa, ke, reply, ({ payload, sharedSecret }) => {
    const secrets = [...begun.secrets, sharedSecret];
    if (isBusy(sa)) {
      forget({ ...begun, secrets });
      reply({ payloads: [notify(NOTIFY.TEMPORARY_FAILURE)] });
    } else if (begun.methods.length > 0) {
      const link = core.environment.random(LINK_OCTETS);
      sa.followUp = { ...begun, secrets, link };
      const notice = notify(NOTIFY.ADDITIONAL_KEY_EXCHANGE, link);
      reply({ payloads: [...before, payload, notice] });
    } else {
      const afterwards = makeIkeSa(sa, core, { ...begun, secrets });
      reply({ payloads: [...before, payload], afterwards });
    }
  });
}

/** §2.25.2: not while it is closed, nor while a Child SA of it is made, rekeyed or deleted. */
function isBusy(sa: IkeSa): boolean {
  if (sa.state.name !== 'established' || sa.succession.rival !== undefined) return true;
  const kind: TaskKind | undefined = sa.window.outstanding?.task.kind;
  return kind === 'create-child' || kind === 'rekey-child' || kind === 'delete-child';
}

/** @returns what follows when the response has been sent */
function makeIkeSa(sa: IkeSa, core: Core, { selection, ni, nr, localSpi, secrets }: Begun) {
  const made = makeSuccessor(sa, core, {
    role: 'responder',
    localSpi,
    peerSpi: ikeSpiAt(selection.spi),
    suite: selection.suite,
    secrets,
    ni,
    nr,
  });
  core.added(made);
  return () => {
    if (sa.window.outstanding?.task.kind === 'rekey-ike') sa.succession.rival = made;
    else sa.succession.replaceBy(made);
  };
}
