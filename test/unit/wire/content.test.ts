import { describe, expect, it } from 'vitest';
import {
  CONTENTS,
  EXCHANGE,
  NOTIFY,
  type Payload,
  type PayloadKind,
  validate,
  WireError,
} from '../../../src/wire/index.js';

/** Payloads of these kinds; validation looks at nothing else, but at notify types. */
function payloadsOf(...kinds: (PayloadKind | number)[]): Payload[] {
  return kinds.map((kind) =>
    typeof kind === 'number'
      ? {
          kind: 'N',
          protocolId: 0,
          notifyType: kind,
          spi: new Uint8Array(0),
          data: new Uint8Array(0),
        }
      : ({ kind } as Payload),
  );
}

const { IKE_SA_INIT, IKE_AUTH, CREATE_CHILD_SA, INFORMATIONAL } = EXCHANGE;
const request = { response: false, encrypted: true };
const response = { response: true, encrypted: true };

// RFC 7296 Appendix C, row by row.
describe('the payloads of', () => {
  it.each([
    [
      'an initial request',
      IKE_SA_INIT,
      false,
      ['SA', 'KE', 'Nonce', 16388, 16389, 'V'],
      'initial request',
    ],
    [
      'one with a cookie',
      IKE_SA_INIT,
      false,
      [NOTIFY.COOKIE, 'SA', 'KE', 'Nonce'],
      'initial request',
    ],
    [
      'an initial response',
      IKE_SA_INIT,
      true,
      ['SA', 'KE', 'Nonce', 'CERTREQ', 'CERTREQ'],
      'initial response',
    ],
    ['a cookie response', IKE_SA_INIT, true, [NOTIFY.COOKIE, 'V'], 'cookie'],
    ['another group wanted', IKE_SA_INIT, true, [NOTIFY.INVALID_KE_PAYLOAD], 'error'],
    ['no proposal chosen', IKE_SA_INIT, true, [NOTIFY.NO_PROPOSAL_CHOSEN], 'error'],
    ['an unprotected error', INFORMATIONAL, true, [NOTIFY.INVALID_IKE_SPI], 'unprotected error'],
  ] as const)('%s in clear', (_, exchangeType, isResponse, kinds, story) => {
    const frame = { exchangeType, response: isResponse, encrypted: false };
    expect(validate(frame, payloadsOf(...kinds)).story).toBe(story);
  });

  it.each([
    ['PSK', ['IDi', 16384, 'IDr', 'AUTH', 'SA', 'TSi', 'TSr'], 'authentication with a Child SA'],
    [
      'certificates',
      ['IDi', 'CERT', 'CERT', 'CERTREQ', 'AUTH', 'CP', 'SA', 'TSi', 'TSr'],
      'authentication with a Child SA',
    ],
    ['no Child SA', ['IDi', 'AUTH'], 'childless authentication'],
    ['EAP', ['IDi', 'CERTREQ', 'CP', 'SA', 'TSi', 'TSr'], 'EAP start'],
    ['EAP going on', ['EAP'], 'EAP'],
    ['EAP at its end', ['AUTH'], 'EAP end'],
  ] as const)('an IKE_AUTH request with %s', (_, kinds, story) => {
    expect(validate({ ...request, exchangeType: IKE_AUTH }, payloadsOf(...kinds)).story).toBe(
      story,
    );
  });

  it.each([
    ['PSK', ['IDr', 'AUTH', 'SA', 'TSi', 'TSr', 16386], 'authentication with a Child SA'],
    [
      'a failed Child SA',
      ['IDr', 'AUTH', NOTIFY.TS_UNACCEPTABLE],
      'authentication without a Child SA',
    ],
    ['EAP', ['IDr', 'CERT', 'AUTH', 'EAP'], 'EAP start'],
    ['EAP alone (RFC 5998)', ['IDr', 'EAP'], 'EAP start'],
    ['EAP going on', ['EAP'], 'EAP'],
    ['EAP at its end', ['AUTH', 'CP', 'SA', 'TSi', 'TSr'], 'EAP end'],
    ['a failure', [NOTIFY.AUTHENTICATION_FAILED], 'error'],
  ] as const)('an IKE_AUTH response with %s', (_, kinds, story) => {
    expect(validate({ ...response, exchangeType: IKE_AUTH }, payloadsOf(...kinds)).story).toBe(
      story,
    );
  });

  it.each([
    ['a new Child SA', ['SA', 'Nonce', 'TSi', 'TSr'], 'Child SA'],
    ['a rekeyed Child SA', [NOTIFY.REKEY_SA, 'SA', 'Nonce', 'KE', 'TSi', 'TSr'], 'Child SA'],
    ['a rekeyed IKE SA', ['SA', 'Nonce', 'KE'], 'rekeying of the IKE SA'],
  ] as const)('a CREATE_CHILD_SA request for %s', (_, kinds, story) => {
    const payloads = payloadsOf(...kinds);
    expect(validate({ ...request, exchangeType: CREATE_CHILD_SA }, payloads).story).toBe(story);
  });

  it('an INFORMATIONAL exchange, which may be empty', () => {
    const frame = { ...request, exchangeType: INFORMATIONAL };
    expect(validate(frame, []).story).toBe('information');
    expect(validate(frame, payloadsOf('D', 'D', 'CP', 16384)).story).toBe('information');
    expect(validate({ ...frame, response: true }, []).story).toBe('information');
  });
});

describe('a message that fits no row', () => {
  it.each([
    ['says what is missing', IKE_SA_INIT, false, ['SA', 'Nonce'], 'KE is missing'],
    ['says what is there twice', IKE_SA_INIT, false, ['SA', 'KE', 'KE', 'Nonce'], '2 of KE'],
    [
      'says what is too much',
      IKE_SA_INIT,
      false,
      ['SA', 'KE', 'Nonce', 'AUTH'],
      'AUTH is too much',
    ],
    ['is an empty response', IKE_SA_INIT, true, [], 'N(COOKIE) is missing'],
    ['is of an unknown exchange', 99, false, [], 'none is defined that is in clear'],
    [
      'is in clear and should not be',
      IKE_AUTH,
      false,
      ['IDi', 'AUTH'],
      'none is defined that is in clear',
    ],
  ] as const)('%s', (_, exchangeType, isResponse, kinds, problem) => {
    const frame = { exchangeType, response: isResponse, encrypted: false };
    const check = () => validate(frame, payloadsOf(...kinds));
    expect(check).toThrow(WireError);
    expect(check).toThrow(problem);
    try {
      check();
    } catch (error) {
      expect((error as WireError).notifyType).toBe(NOTIFY.INVALID_SYNTAX);
    }
  });

  it('names the row that it is nearest to', () => {
    expect(() =>
      validate({ ...request, exchangeType: CREATE_CHILD_SA }, payloadsOf('SA', 'Nonce', 'TSi')),
    ).toThrow('INVALID_SYNTAX: CREATE_CHILD_SA request: TSr is missing');
  });

  it('is refused for a critical unknown payload first (RFC 7296 §2.5)', () => {
    const critical: Payload = {
      kind: 'unknown',
      type: 99,
      critical: true,
      body: new Uint8Array(0),
    };
    const frame = { exchangeType: IKE_SA_INIT, response: false, encrypted: false };
    expect(() => validate(frame, [critical])).toThrow('UNSUPPORTED_CRITICAL_PAYLOAD: payload 99');
    const harmless: Payload = { ...critical, critical: false };
    expect(validate(frame, [...payloadsOf('SA', 'KE', 'Nonce'), harmless]).story).toBe(
      'initial request',
    );
  });
});

describe('the table of contents', () => {
  it('has no two rows of one story in one exchange and direction', () => {
    const keys = CONTENTS.flatMap(({ exchanges, response: isResponse, encrypted, story }) =>
      exchanges.map((exchange) => `${exchange} ${isResponse} ${encrypted} ${story}`),
    );
    expect(new Set(keys).size).toBe(keys.length);
  });
});
