/**
 * The peer rekeys the IKE SA (RFC 7296 §1.3.2, §2.8.2, §2.18, §2.25.2). The new IKE SA takes over
 * at once, unless our own rekeying is under way: then it is a rival until that is answered.
 */
import { explainNoProposal } from '../../policy/compare.js';
import { type Selection, selectSuite } from '../../policy/suite.js';
import {
  type IkeSpi,
  ikeSpiAt,
  ikeSpiBytes,
  NOTIFY,
  type Payload,
  ZERO_IKE_SPI,
} from '../../wire/index.js';
import type { Core } from '../core.js';
import type { IkeSa } from '../ike-sa.js';
import { need, notify } from '../payloads.js';
import { NONCE_OCTETS } from '../tasks/ike-init.js';
import { makeSuccessor, REKEYED_IKE } from '../tasks/rekey-ike.js';
import type { TaskKind } from '../tasks/task.js';
import type { Reply } from './answer.js';
import { exchangeKeys, type OwnKeys } from './create-child.js';

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
  exchangeKeys(sa, ke, reply, (own) => {
    if (!isBusy(sa)) {
      const ni = need(payloads, 'Nonce').data;
      reply(makeIkeSa(sa, core, { selection, ni, own }));
      return;
    }
    own.sharedSecret.wipe();
    reply({ payloads: [notify(NOTIFY.TEMPORARY_FAILURE)] });
  });
}

/** §2.25.2: not while it is closed, nor while a Child SA of it is made, rekeyed or deleted. */
function isBusy(sa: IkeSa): boolean {
  if (sa.state.name !== 'established' || sa.succession.rival !== undefined) return true;
  const kind: TaskKind | undefined = sa.window.outstanding?.task.kind;
  return kind === 'create-child' || kind === 'rekey-child' || kind === 'delete-child';
}

function makeIkeSa(
  sa: IkeSa,
  core: Core,
  { selection, ni, own }: { selection: Selection; ni: Uint8Array; own: OwnKeys },
) {
  const nr = core.environment.random(NONCE_OCTETS);
  const localSpi: IkeSpi = core.environment.allocateIkeSpi();
  const made = makeSuccessor(sa, core, {
    role: 'responder',
    localSpi,
    peerSpi: ikeSpiAt(selection.spi),
    suite: selection.suite,
    sharedSecret: own.sharedSecret,
    ni,
    nr,
  });
  core.added(made);
  const answer = { ...selection.answer, spi: ikeSpiBytes(localSpi) };
  return {
    payloads: [
      { kind: 'SA', proposals: [answer] },
      { kind: 'Nonce', data: nr },
      own.payload,
    ] satisfies Payload[],
    afterwards: () => {
      if (sa.window.outstanding?.task.kind === 'rekey-ike') sa.succession.rival = made;
      else sa.succession.replaceBy(made);
    },
  };
}
