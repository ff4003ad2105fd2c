/**
 * What the messages of each exchange contain (RFC 7296 App. C), as a table, and the check of a
 * message against it.
 *
 * Notify and Vendor ID payloads may be in every message, any number of them; their order and
 * that of all payloads is free on receipt (§2.5). An unknown payload is ignored unless it is
 * critical. Left out: the exchanges of group key management (RFC 9838) and of session resumption.
 */
import { invalidSyntax, WireError } from './error.js';
import { PAYLOADS, type Payload, type PayloadKind } from './payload.js';
import { EXCHANGE, isErrorNotify, NOTIFY, nameOf } from './registry/index.js';

export interface Content {
  /** What the message is for; unique within its exchange and direction. */
  readonly story: string;
  readonly section: string;
  readonly exchanges: readonly number[];
  readonly response: boolean;
  /** Its payloads are inside an encrypted payload. */
  readonly encrypted: boolean;
  /** Exactly one of each. */
  readonly required: readonly PayloadKind[];
  /** At most one of each. */
  readonly optional: readonly PayloadKind[];
  /** Any number. */
  readonly repeatable: readonly PayloadKind[];
  /** A Notify payload of this type, or any error, has to be there. */
  readonly notify?: number | 'error';
}

const { IKE_SA_INIT, IKE_AUTH, CREATE_CHILD_SA, INFORMATIONAL, IKE_INTERMEDIATE, IKE_FOLLOWUP_KE } =
  EXCHANGE;

const everything = { optional: [], repeatable: [], encrypted: true } as const;
const request = { ...everything, response: false } as const;
const response = { ...everything, response: true } as const;
const clear = { encrypted: false } as const;

/** The first row that a message fits is what it is. */
export const CONTENTS = [
  {
    ...request,
    ...clear,
    story: 'initial request',
    section: '§1.2, App. C.1',
    exchanges: [IKE_SA_INIT],
    required: ['SA', 'KE', 'Nonce'],
  },
  {
    ...response,
    ...clear,
    story: 'initial response',
    section: '§1.2, App. C.1',
    exchanges: [IKE_SA_INIT],
    required: ['SA', 'KE', 'Nonce'],
    repeatable: ['CERTREQ'],
  },
  {
    ...response,
    ...clear,
    story: 'cookie',
    section: '§2.6, App. C.1',
    exchanges: [IKE_SA_INIT],
    required: [],
    notify: NOTIFY.COOKIE,
  },
  {
    ...response,
    ...clear,
    story: 'redirect',
    section: 'RFC 5685 §3',
    exchanges: [IKE_SA_INIT],
    required: [],
    notify: NOTIFY.REDIRECT,
  },
  {
    ...response,
    ...clear,
    story: 'error',
    section: '§2.21.1, App. C.1: NO_PROPOSAL_CHOSEN, INVALID_KE_PAYLOAD and others',
    exchanges: [IKE_SA_INIT],
    required: [],
    notify: 'error',
  },
  {
    ...request,
    story: 'authentication with a Child SA',
    section: '§1.2, App. C.2',
    exchanges: [IKE_AUTH],
    required: ['IDi', 'AUTH', 'SA', 'TSi', 'TSr'],
    optional: ['IDr', 'CP'],
    repeatable: ['CERT', 'CERTREQ'],
  },
  {
    ...request,
    story: 'childless authentication',
    section: 'RFC 6023 §3',
    exchanges: [IKE_AUTH],
    required: ['IDi', 'AUTH'],
    optional: ['IDr', 'CP'],
    repeatable: ['CERT', 'CERTREQ'],
  },
  {
    ...request,
    story: 'EAP start',
    section: '§2.16, App. C.3',
    exchanges: [IKE_AUTH],
    required: ['IDi'],
    optional: ['IDr', 'CP', 'SA', 'TSi', 'TSr'],
    repeatable: ['CERTREQ'],
  },
  {
    ...request,
    story: 'EAP',
    section: '§2.16, App. C.3',
    exchanges: [IKE_AUTH],
    required: ['EAP'],
  },
  {
    ...request,
    story: 'EAP end',
    section: '§2.16, App. C.3',
    exchanges: [IKE_AUTH],
    required: ['AUTH'],
  },
  {
    ...response,
    story: 'authentication with a Child SA',
    section: '§1.2, App. C.2',
    exchanges: [IKE_AUTH],
    required: ['IDr', 'AUTH', 'SA', 'TSi', 'TSr'],
    optional: ['CP'],
    repeatable: ['CERT'],
  },
  {
    ...response,
    story: 'EAP start',
    section: '§2.16, App. C.3; RFC 5998 without AUTH',
    exchanges: [IKE_AUTH],
    required: ['IDr', 'EAP'],
    optional: ['AUTH'],
    repeatable: ['CERT'],
  },
  {
    ...response,
    story: 'EAP',
    section: '§2.16, App. C.3',
    exchanges: [IKE_AUTH],
    required: ['EAP'],
  },
  {
    ...response,
    story: 'EAP end',
    section: '§2.16, App. C.3',
    exchanges: [IKE_AUTH],
    required: ['AUTH', 'SA', 'TSi', 'TSr'],
    optional: ['CP'],
  },
  {
    ...response,
    story: 'authentication without a Child SA',
    section: '§1.2: the Child SA failed, N says why; RFC 6023 §3: none was asked for',
    exchanges: [IKE_AUTH],
    required: ['AUTH'],
    optional: ['IDr', 'CP'],
    repeatable: ['CERT'],
  },
  {
    ...request,
    story: 'Child SA',
    section: '§1.3.1, §1.3.3, App. C.4',
    exchanges: [CREATE_CHILD_SA],
    required: ['SA', 'Nonce', 'TSi', 'TSr'],
    optional: ['KE', 'CP'],
  },
  {
    ...request,
    story: 'rekeying of the IKE SA',
    section: '§1.3.2, App. C.5',
    exchanges: [CREATE_CHILD_SA],
    required: ['SA', 'Nonce', 'KE'],
  },
  {
    ...response,
    story: 'Child SA',
    section: '§1.3.1, §1.3.3, App. C.4',
    exchanges: [CREATE_CHILD_SA],
    required: ['SA', 'Nonce', 'TSi', 'TSr'],
    optional: ['KE', 'CP'],
  },
  {
    ...response,
    story: 'rekeying of the IKE SA',
    section: '§1.3.2, App. C.5',
    exchanges: [CREATE_CHILD_SA],
    required: ['SA', 'Nonce', 'KE'],
  },
  {
    ...request,
    story: 'information',
    section: '§1.4, App. C.6',
    exchanges: [INFORMATIONAL],
    required: [],
    optional: ['CP'],
    repeatable: ['D'],
  },
  {
    ...response,
    story: 'information',
    section: '§1.4, App. C.6',
    exchanges: [INFORMATIONAL],
    required: [],
    optional: ['CP'],
    repeatable: ['D'],
  },
  {
    ...request,
    story: 'intermediate',
    section: 'RFC 9242 §3.2, RFC 9370 §2.2.2',
    exchanges: [IKE_INTERMEDIATE],
    required: [],
    optional: ['KE'],
  },
  {
    ...response,
    story: 'intermediate',
    section: 'RFC 9242 §3.2, RFC 9370 §2.2.2',
    exchanges: [IKE_INTERMEDIATE],
    required: [],
    optional: ['KE'],
  },
  {
    ...request,
    story: 'additional key exchange',
    section: 'RFC 9370 §2.2.4',
    exchanges: [IKE_FOLLOWUP_KE],
    required: ['KE'],
    notify: NOTIFY.ADDITIONAL_KEY_EXCHANGE,
  },
  {
    ...response,
    story: 'additional key exchange',
    section: 'RFC 9370 §2.2.4',
    exchanges: [IKE_FOLLOWUP_KE],
    required: ['KE'],
  },
  {
    ...response,
    story: 'error',
    section: '§2.21',
    exchanges: [IKE_AUTH, CREATE_CHILD_SA, INFORMATIONAL, IKE_INTERMEDIATE, IKE_FOLLOWUP_KE],
    required: [],
    notify: 'error',
  },
  {
    ...response,
    ...clear,
    story: 'unprotected error',
    section: '§1.5, §2.21: a hint, never the ground for an action',
    exchanges: [IKE_AUTH, CREATE_CHILD_SA, INFORMATIONAL, IKE_INTERMEDIATE, IKE_FOLLOWUP_KE],
    required: [],
    notify: 'error',
  },
] as const satisfies readonly Content[];

export type Story = (typeof CONTENTS)[number]['story'];
type Row = Content & { readonly story: Story };

/** Kinds of payloads as a set: a bit of each. */
type Kinds = number;

const BITS = Object.fromEntries(Object.keys(PAYLOADS).map((kind, i) => [kind, 1 << i])) as Readonly<
  Record<PayloadKind, Kinds>
>;

function setOf(...kinds: readonly PayloadKind[]): Kinds {
  return kinds.reduce((set, kind) => set | BITS[kind], 0);
}

/** A row with what `validate` asks of it. */
interface Pattern {
  readonly row: Row;
  readonly required: Kinds;
  /** Those that may be there once, and those that may be there more often. */
  readonly single: Kinds;
  readonly many: Kinds;
}

/** The rows of each kind of message, in their order. */
const PATTERNS: ReadonlyMap<number, readonly Pattern[]> = patternsByFrame(CONTENTS);

function patternsByFrame(rows: readonly Row[]): Map<number, Pattern[]> {
  const patterns = new Map<number, Pattern[]>();
  for (const row of rows) {
    const required = setOf(...row.required);
    const single = required | setOf(...row.optional);
    const many = setOf(...row.repeatable, 'N', 'V');
    for (const exchangeType of row.exchanges) {
      const key = frameKey({ ...row, exchangeType });
      patterns.set(key, [...(patterns.get(key) ?? []), { row, required, single, many }]);
    }
  }
  return patterns;
}

function frameKey({ exchangeType, response, encrypted }: MessageFrame): number {
  return exchangeType * 4 + (response ? 2 : 0) + (encrypted ? 1 : 0);
}

/** What `validate` has to know of the message around the payloads. */
export interface MessageFrame {
  readonly exchangeType: number;
  readonly response: boolean;
  /** The payloads were inside an encrypted payload, and it was authentic. */
  readonly encrypted: boolean;
}

/**
 * Finds what the message is, by its payloads.
 * @returns the row of `CONTENTS` that it fits; its `story` tells the forms of an exchange apart
 * @throws WireError  UNSUPPORTED_CRITICAL_PAYLOAD with the payload type as its data (§2.5), or
 *                    INVALID_SYNTAX that says what is missing or too much
 */
export function validate(frame: MessageFrame, payloads: readonly Payload[]): Row {
  rejectCritical(payloads);
  const patterns = PATTERNS.get(frameKey(frame)) ?? [];
  let kinds: Kinds = 0;
  let repeated: Kinds = 0;
  for (const { kind } of payloads) {
    if (kind === 'unknown') continue;
    repeated |= kinds & BITS[kind];
    kinds |= BITS[kind];
  }
  for (const { row, required, single, many } of patterns) {
    const missing = required & ~kinds;
    const tooMuch = (kinds & ~(single | many)) | (repeated & single);
    if (missing === 0 && tooMuch === 0 && hasNotify(payloads, row.notify)) return row;
  }
  throw misfit(frame, patterns, payloads);
}

/** Says what keeps a message from fitting the row that it is nearest to. */
function misfit(
  frame: MessageFrame,
  patterns: readonly Pattern[],
  payloads: readonly Payload[],
): WireError {
  const counts = countKinds(payloads);
  const [nearest] = patterns
    .map((pattern) => differences(pattern, counts, payloads))
    .sort((a, b) => a.length - b.length);
  const name = nameOf(EXCHANGE, frame.exchangeType);
  const where = `${name} ${frame.response ? 'response' : 'request'}`;
  const secured = frame.encrypted ? 'encrypted' : 'in clear';
  return invalidSyntax(nearest?.join(', ') ?? `none is defined that is ${secured}`, where);
}

/** RFC 7296 §2.5: a message with an unknown critical payload is refused as a whole. */
export function rejectCritical(payloads: readonly Payload[]): void {
  for (const payload of payloads) {
    if (payload.kind !== 'unknown' || !payload.critical) continue;
    throw new WireError('unknown, and critical', {
      where: `payload ${payload.type}`,
      notifyType: NOTIFY.UNSUPPORTED_CRITICAL_PAYLOAD,
      notifyData: Uint8Array.of(payload.type),
    });
  }
}

function countKinds(payloads: readonly Payload[]): ReadonlyMap<PayloadKind, number> {
  const counts = new Map<PayloadKind, number>();
  for (const { kind } of payloads) {
    if (kind !== 'unknown') counts.set(kind, (counts.get(kind) ?? 0) + 1);
  }
  return counts;
}

/** What keeps payloads from fitting a row, in words. */
function differences(
  { row, single, many }: Pattern,
  counts: ReadonlyMap<PayloadKind, number>,
  payloads: readonly Payload[],
): string[] {
  const problems: string[] = [];
  for (const kind of row.required) if (!counts.has(kind)) problems.push(`${kind} is missing`);
  for (const [kind, count] of counts) {
    const bit = BITS[kind];
    if ((single & bit) !== 0 && count > 1) problems.push(`${count} of ${kind}`);
    else if (((single | many) & bit) === 0) problems.push(`${kind} is too much`);
  }
  if (!hasNotify(payloads, row.notify)) {
    const wanted = typeof row.notify === 'number' ? nameOf(NOTIFY, row.notify) : 'error';
    problems.push(`N(${wanted}) is missing`);
  }
  return problems;
}

function hasNotify(payloads: readonly Payload[], wanted: Content['notify']): boolean {
  if (wanted === undefined) return true;
  return payloads.some(
    (payload) =>
      payload.kind === 'N' &&
      (wanted === 'error' ? isErrorNotify(payload.notifyType) : payload.notifyType === wanted),
  );
}
