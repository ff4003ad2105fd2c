/** Small helpers around payloads: find, make, and name them as a log line does. */
import {
  EXCHANGE,
  NOTIFY,
  nameOf,
  type Payload,
  type PayloadKind,
  type PayloadOf,
  type PeekedHeader,
} from '../../wire/index.js';

/** The first payload of a kind. */
export function find<K extends PayloadKind>(
  payloads: readonly Payload[],
  kind: K,
): PayloadOf<K> | undefined {
  return payloads.find(({ kind: found }) => found === kind) as PayloadOf<K> | undefined;
}

/** The payload of a kind that `validate` has found to be there. */
export function need<K extends PayloadKind>(payloads: readonly Payload[], kind: K): PayloadOf<K> {
  const payload = find(payloads, kind);
  if (payload === undefined) throw new Error(`${kind} has passed validation and is missing`);
  return payload;
}

/** All notifications of a type. */
export function notifiesOf(payloads: readonly Payload[], notifyType: number): PayloadOf<'N'>[] {
  return payloads.filter(
    (payload): payload is PayloadOf<'N'> =>
      payload.kind === 'N' && payload.notifyType === notifyType,
  );
}

/** The first one of them. */
export function notifyOf(
  payloads: readonly Payload[],
  notifyType: number,
): PayloadOf<'N'> | undefined {
  return payloads.find(
    (payload): payload is PayloadOf<'N'> =>
      payload.kind === 'N' && payload.notifyType === notifyType,
  );
}

/** Whether there is one. */
export function hasNotify(payloads: readonly Payload[], notifyType: number): boolean {
  return notifyOf(payloads, notifyType) !== undefined;
}

/** The first notification of an error. */
export function errorOf(payloads: readonly Payload[]): PayloadOf<'N'> | undefined {
  return payloads.find(
    (payload): payload is PayloadOf<'N'> =>
      payload.kind === 'N' && payload.notifyType < NOTIFY.INITIAL_CONTACT,
  );
}

const NOTHING = new Uint8Array(0);

export function notify(notifyType: number, data: Uint8Array = NOTHING): PayloadOf<'N'> {
  return { kind: 'N', protocolId: 0, notifyType, spi: NOTHING, data };
}

export function notifyName(notifyType: number): string {
  return nameOf(NOTIFY, notifyType);
}

/** Such as `SA, KE, Ni, N(COOKIE)`. */
export function describePayloads(payloads: readonly Payload[], response: boolean): string {
  if (payloads.length === 0) return 'empty';
  return payloads.map((payload) => describePayload(payload, response)).join(', ');
}

function describePayload(payload: Payload, response: boolean): string {
  switch (payload.kind) {
    case 'Nonce':
      return response ? 'Nr' : 'Ni';
    case 'N':
      return `N(${notifyName(payload.notifyType)})`;
    case 'unknown':
      return `payload ${payload.type}`;
    default:
      return payload.kind;
  }
}

/** Such as `IKE_AUTH request 1`. */
export function describeMessage(exchange: number, response: boolean, messageId: number): string {
  return `${nameOf(EXCHANGE, exchange)} ${response ? 'response' : 'request'} ${messageId}`;
}

export function describeHeader({ exchangeType, response, messageId }: PeekedHeader): string {
  return describeMessage(exchangeType, response, messageId);
}

/** A number in four octets, as notifications and SPIs have it. */
export function fourOctets(value: number): Uint8Array<ArrayBuffer> {
  return Uint8Array.of(value >>> 24, value >>> 16, value >>> 8, value);
}

/** The number in four octets; undefined where there are more or fewer. */
export function numberOf(octets: Uint8Array): number | undefined {
  if (octets.length !== 4) return undefined;
  return ((octets[0]! << 24) | (octets[1]! << 16) | (octets[2]! << 8) | octets[3]!) >>> 0;
}
