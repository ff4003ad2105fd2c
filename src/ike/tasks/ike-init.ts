/**
 * IKE_SA_INIT as the initiator (RFC 7296 §1.2): the request, which a COOKIE (§2.6) or another key
 * exchange method (§1.2, INVALID_KE_PAYLOAD) may change, and the keys that come of it.
 *
 * Nothing in this exchange is authenticated. An error only says what may be wrong: it is kept as
 * a hint while a better answer may still come (§2.21.1).
 */
import type { Secret } from '../../crypto/secret.js';
import { explainNoProposal } from '../../policy/compare.js';
import type { ChildPolicy, Connection } from '../../policy/connection.js';
import { acceptAnswer, toWireProposals } from '../../policy/suite.js';
import { EXCHANGE, NOTIFY, type Payload, ZERO_IKE_SPI } from '../../wire/index.js';
import { announceHashes, readHashes, readMethods } from '../auth/announcements.js';
import { usesPpk } from '../auth/ppk.js';
import type { Core } from '../core.js';
import type { JobResult } from '../event.js';
import { explainRefusal, explainSilence, type Failure, NO_ANSWER } from '../explain.js';
import { errorOf, hasNotify, need, notify, notifyName, notifyOf } from '../messages/payloads.js';
import { sameOctets } from '../messages/window.js';
import { detectNat, fakeSource, isTranslated, natDetection } from '../path/nat.js';
import { explainRedirect } from '../redirect.js';
import type { IkeSa } from '../sa/ike-sa.js';
import { agreeOnKeys } from '../sa/keys.js';
import { freshNonce } from '../sa/nonce.js';
import { InitiateIkeAuth } from './ike-auth.js';
import { FurtherKeyExchange } from './intermediate.js';
import type { Response, Task } from './task.js';

const PURPOSE = { protocol: 'ike', keyExchange: true } as const;
const MAX_COOKIE_OCTETS = 64;
/** Cookies and key exchange methods that a peer may ask for in one attempt. */
const MAX_CHANGES = 8;

export class InitiateIkeInit implements Task {
  readonly kind = 'init';
  readonly exchange = EXCHANGE.IKE_SA_INIT;
  readonly tries: number;
  readonly #sa: IkeSa;
  readonly #core: Core;
  readonly #connection: Connection;
  readonly #child: ChildPolicy;
  readonly #ni: Uint8Array;
  readonly #fakeNat: Uint8Array | undefined;
  #group: number;
  #privateKey: Secret | undefined;
  #publicValue: Uint8Array = new Uint8Array(0);
  #cookie: Uint8Array | undefined;
  #changes = 0;
  #hint: Failure | undefined;

  constructor(sa: IkeSa, core: Core, connection: Connection, child: ChildPolicy) {
    this.#sa = sa;
    this.#core = core;
    this.#connection = connection;
    this.#child = child;
    this.tries = core.options.initTries;
    this.#ni = freshNonce(core);
    this.#fakeNat = fakeSource(core, connection.forceUdpEncapsulation);
    this.#group = connection.ikeProposals[0]!.keyExchange[0]!.id;
  }

  /** Makes the key pair, then sends the first request. */
  start(): void {
    this.#generate(() => this.#sa.request(this));
  }

  #generate(then: () => void): void {
    this.#sa.compute({ type: 'generate', group: this.#group }, (result) => {
      if (result.type !== 'generated') {
        this.#sa.fail(internal(result));
        return;
      }
      this.#privateKey?.wipe();
      this.#privateKey = result.privateKey;
      this.#publicValue = result.publicValue;
      then();
    });
  }

  build(): readonly Payload[] {
    const { spis, local, remote } = this.#sa;
    const before = { ...spis, responderSpi: ZERO_IKE_SPI };
    return [
      // §2.6: the cookie comes first, everything else stays as it was.
      ...(this.#cookie === undefined ? [] : [notify(NOTIFY.COOKIE, this.#cookie)]),
      {
        kind: 'SA',
        proposals: toWireProposals(this.#connection.ikeProposals, new Uint8Array(0), PURPOSE),
      },
      { kind: 'KE', method: this.#group, data: this.#publicValue },
      { kind: 'Nonce', data: this.#ni },
      // RFC 4555 §3.9: in its place NO_NATS_ALLOWED comes with IKE_AUTH.
      ...(this.#connection.natTraversal ? natDetection(before, local, remote, this.#fakeNat) : []),
      ...(this.#connection.ppk === undefined ? [] : [notify(NOTIFY.USE_PPK)]),
      // RFC 9370 §2.2.1: without it there is no second key exchange.
      ...(this.#offersMore ? [notify(NOTIFY.INTERMEDIATE_EXCHANGE_SUPPORTED)] : []),
      ...(this.#offersFragments ? [notify(NOTIFY.IKEV2_FRAGMENTATION_SUPPORTED)] : []),
      ...announceHashes([this.#connection]),
    ];
  }

  get #offersMore(): boolean {
    return this.#connection.ikeProposals.some(({ additional }) => additional.length > 0);
  }

  /** RFC 7383 §2.3. */
  get #offersFragments(): boolean {
    return this.#connection.fragmentBytes > 0;
  }

  process(response: Response): void {
    switch (response.story) {
      case 'cookie':
        this.#obeyCookie(response);
        break;
      case 'redirect':
        this.#core.count('ike-redirect');
        this.#takeHint(explainRedirect(response.payloads)!);
        break;
      case 'initial response':
        // §3.10.1: with an error, and be it one that we do not know, the request has failed.
        if (errorOf(response.payloads) === undefined) this.#accept(response);
        else this.#processError(response);
        break;
      default:
        this.#processError(response);
    }
  }

  // --- another request ---------------------------------------------------------------------

  #obeyCookie({ payloads }: Response): void {
    const cookie = notifyOf(payloads, NOTIFY.COOKIE)!.data;
    if (cookie.length < 1 || cookie.length > MAX_COOKIE_OCTETS) return;
    const known = this.#cookie !== undefined && sameOctets(cookie, this.#cookie);
    if (known || this.#changes++ >= MAX_CHANGES) return;
    this.#cookie = cookie;
    this.#sa.requestAgain();
  }

  #processError({ payloads }: Response): void {
    const { notifyType, data } = errorOf(payloads)!;
    if (notifyType === NOTIFY.INVALID_KE_PAYLOAD && this.#changeGroup(data)) return;
    const name = notifyName(notifyType);
    const { ikeProposals } = this.#connection;
    const explanation =
      notifyType === NOTIFY.NO_PROPOSAL_CHOSEN || notifyType === NOTIFY.INVALID_KE_PAYLOAD
        ? explainRefusal(ikeProposals, name)
        : `the peer answers ${name} to IKE_SA_INIT`;
    this.#takeHint({ notify: name, explanation });
  }

  /** §1.2: the method has to be one that we offer; the offer itself stays as it was (§2.7). */
  #changeGroup(data: Uint8Array): boolean {
    if (data.length !== 2) return false;
    const group = data[0]! * 256 + data[1]!;
    // A late duplicate of the error that has led to the change.
    if (group === this.#group) return true;
    const offered = this.#connection.ikeProposals.some(({ keyExchange }) =>
      keyExchange.some(({ id }) => id === group),
    );
    if (!offered || this.#changes++ >= MAX_CHANGES) return false;
    this.#group = group;
    this.#sa.requestIsAnswered(this);
    this.#generate(() => this.#sa.requestAgain());
    return true;
  }

  #takeHint(hint: Failure): void {
    const first = this.#hint === undefined;
    this.#hint = hint;
    if (first) this.#sa.startTimer('hint', this.#core.options.hintWait);
  }

  // --- keys --------------------------------------------------------------------------------

  #accept({ payloads, header, message }: Response): void {
    const { ikeProposals } = this.#connection;
    const { proposals } = need(payloads, 'SA');
    const { method, data: peerPublic } = need(payloads, 'KE');
    const single = !hasNotify(payloads, NOTIFY.INTERMEDIATE_EXCHANGE_SUPPORTED);
    const purpose = { singleKeyExchange: single, ...PURPOSE };
    const accepted = acceptAnswer(ikeProposals, proposals, purpose);
    if (accepted === undefined || header.responderSpi === ZERO_IKE_SPI) {
      const explanation = explainNoProposal(ikeProposals, proposals, purpose);
      this.#takeHint({ notify: 'NO_PROPOSAL_CHOSEN', explanation });
      return;
    }
    const { ppk } = this.#connection;
    if (ppk?.required && !usesPpk(payloads)) {
      const explanation = 'the peer has no PPK for us, and without one there is to be no IKE SA';
      this.#takeHint({ notify: 'NO_PROPOSAL_CHOSEN', explanation });
      return;
    }
    this.#sa.usesPpk = ppk !== undefined && usesPpk(payloads);
    if (accepted.suite.keyExchange?.id !== this.#group || method !== this.#group) return;
    const nr = need(payloads, 'Nonce').data;
    const [initRequest] = this.#sa.window.outstanding!.datagrams;
    this.#sa.finishRequest(this);
    this.#sa.stopTimer('hint');
    this.#sa.peerSpi = header.responderSpi;
    this.#sa.supportsFragments =
      this.#offersFragments && hasNotify(payloads, NOTIFY.IKEV2_FRAGMENTATION_SUPPORTED);
    this.#sa.childlessSupported = hasNotify(payloads, NOTIFY.CHILDLESS_IKEV2_SUPPORTED);
    this.#sa.peerKnows = { hashes: readHashes(payloads), methods: readMethods(payloads) };
    const { spis, local, remote } = this.#sa;
    const { forceUdpEncapsulation: forced } = this.#connection;
    this.#sa.place.nat = detectNat(payloads, spis, local, remote, forced);
    const privateKey = this.#privateKey!;
    this.#privateKey = undefined;
    this.#sa.compute({ type: 'derive', group: this.#group, privateKey, peerPublic }, (result) => {
      if (result.type !== 'derived') {
        this.#sa.fail(internal(result));
        return;
      }
      const exchanged = { ni: this.#ni, nr, initRequest: initRequest!, initResponse: message };
      agreeOnKeys(this.#sa, this.#core, accepted.suite, result.sharedSecret, exchanged);
      this.#authenticate();
    });
  }

  /**
   * §2.23: with a NAT on the way, and both able to, all goes on from port 4500 to port 4500; so it
   * does where one of the two may move to behind one (RFC 4555 §3.3).
   */
  #authenticate(): void {
    const { local, remote, nat } = this.#sa;
    if (isTranslated(nat) || (this.#connection.mobike && nat.supported)) {
      const port = this.#core.options.natPort;
      this.#sa.place.local = { ...local, port };
      this.#sa.place.remote = { ...remote, port };
    }
    this.#sa.move({ name: 'authenticating' });
    this.#goOn();
  }

  /** Further key exchanges, where they were agreed upon, then IKE_AUTH. */
  #goOn(): void {
    const sa = this.#sa;
    const method = sa.intermediate!.nextMethod;
    if (method === undefined) {
      new InitiateIkeAuth(sa, this.#core, this.#connection, this.#child).start();
    } else {
      sa.request(new FurtherKeyExchange(sa, this.#core, method, () => this.#goOn()));
    }
  }

  // --- the ends ----------------------------------------------------------------------------

  malformed(): void {}

  timedOut(): void {
    const { remote, window } = this.#sa;
    const sent = window.outstanding?.sent ?? 0;
    const explanation = explainSilence(remote, 'IKE_SA_INIT', sent);
    this.#sa.fail(this.#hint ?? { notify: NO_ANSWER, explanation });
  }

  abandon(): void {
    this.#privateKey?.wipe();
  }
}

function internal(result: JobResult): Failure {
  const reason = result.type === 'failed' ? result.reason : 'an unexpected result';
  return { notify: 'INVALID_SYNTAX', explanation: `the key exchange failed: ${reason}` };
}
