/**
 * The one error that decoding throws. It says where the octets are wrong, in which payload, and
 * what RFC 7296 §2.21 would have us notify the peer of.
 */
import { NOTIFY, nameOf } from './registry/index.js';

export interface WireErrorDetail {
  /**
   * Octets from the start of the message (or, in a decrypted chain, of the plaintext). Undefined
   * where it is the composition of the message that is wrong.
   */
  readonly offset?: number | undefined;
  /** Path to the field, such as `SA.proposals.spi`; `header` for the IKE header. */
  readonly where: string;
  /**
   * Notify message type that fits: INVALID_SYNTAX, UNSUPPORTED_CRITICAL_PAYLOAD or
   * INVALID_MAJOR_VERSION. Undefined where nothing may be sent (a lower major version).
   * Whether it is sent at all depends on the exchange: RFC 7296 §2.21.
   */
  readonly notifyType: number | undefined;
  /** Notification data, such as the payload type with UNSUPPORTED_CRITICAL_PAYLOAD. */
  readonly notifyData?: Uint8Array;
}

export class WireError extends Error implements WireErrorDetail {
  override readonly name = 'WireError';
  readonly offset: number | undefined;
  readonly where: string;
  readonly notifyType: number | undefined;
  readonly notifyData: Uint8Array;

  constructor(problem: string, detail: WireErrorDetail) {
    const notify = detail.notifyType === undefined ? '' : `${nameOf(NOTIFY, detail.notifyType)}: `;
    const place = detail.offset === undefined ? '' : ` at octet ${detail.offset}`;
    super(`${notify}${detail.where}${place}: ${problem}`);
    this.offset = detail.offset;
    this.where = detail.where;
    this.notifyType = detail.notifyType;
    this.notifyData = detail.notifyData ?? new Uint8Array(0);
  }
}

/** The common case: octets that do not follow RFC 7296 §3. */
export function invalidSyntax(problem: string, where: string, offset?: number): WireError {
  return new WireError(problem, { offset, where, notifyType: NOTIFY.INVALID_SYNTAX });
}
