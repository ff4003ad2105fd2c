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
  ZERO_IKE_SPI,
} from '../../wire/index.js';
import type { Core } from '../core.js';
import { need, notify } from '../messages/payloads.js';
import type { IkeSa } from '../sa/ike-sa.js';
import { freshNonce } from '../sa/nonce.js';
import { makeSuccessor, REKEYED_IKE } from '../tasks/rekey-ike.js';
import type { Reply } from './answer.js';
import { type Begun, exchangeKeys, goOn } from './follow-up.js';

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
  const purpose = { guessed: ke.method, ...REKEYED_IKE };
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
  const agreed: Agreed = {
    selection,
    ni: need(payloads, 'Nonce').data,
    nr: freshNonce(core),
    localSpi: core.environment.allocateIkeSpi(),
  };
  const begun: Begun = {
    methods: additionalMethods(selection.suite),
    secrets: [],
    refusal: () => (isBusy(sa) ? [notify(NOTIFY.TEMPORARY_FAILURE)] : undefined),
    conclude: (secrets) => makeIkeSa(sa, core, agreed, secrets),
    forget: () => {},
  };
  const answer = { ...selection.answer, spi: ikeSpiBytes(agreed.localSpi) };
  const first: Payload[] = [
    { kind: 'SA', proposals: [answer] },
    { kind: 'Nonce', data: agreed.nr },
  ];
  const around = (exchange: readonly Payload[]) => [...first, ...exchange];
  exchangeKeys(sa, ke, reply, (own) => reply(goOn(sa, core, begun, own, around)));
}

/** What CREATE_CHILD_SA has agreed upon. */
interface Agreed {
  readonly selection: Selection;
  readonly ni: Uint8Array;
  readonly nr: Uint8Array;
  readonly localSpi: IkeSpi;
}

/** §2.25.2: not while it is closed, nor while a Child SA of it is made, rekeyed or deleted. */
function isBusy(sa: IkeSa): boolean {
  if (sa.state.name !== 'established' || sa.succession.rival !== undefined) return true;
  return sa.awaits('create-child', 'rekey-child', 'delete-child');
}

/** @returns what follows when the response has been sent */
function makeIkeSa(
  sa: IkeSa,
  core: Core,
  { selection, ni, nr, localSpi }: Agreed,
  secrets: readonly Secret[],
): () => void {
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
    if (sa.awaits('rekey-ike')) sa.succession.rival = made;
    else sa.succession.replaceBy(made);
  };
}
