/** The keys of an IKE SA at work: seals what this role sends, opens what the other role sends. */
import { Opener, Sealer, type SkSuite, skSuite } from '../../crypto/encrypt.js';
import { type IkeKeys, type RootKeys, wipeIkeKeys, wipeRootKeys } from '../../crypto/keymat.js';
import type { Suite } from '../../policy/suite.js';
import {
  decodeMessage,
  decodePayloads,
  type EncryptedPart,
  encryptedPart,
  type Fragment,
  type HeaderToSend,
  type Payload,
  rejectCritical,
  WireError,
} from '../../wire/index.js';
import type { Environment } from '../event.js';
import type { Role } from '../sa/state.js';

const NOTHING = new Uint8Array(0);

/** What protects the messages of an IKE SA with this suite, of which every word has one. */
export function protectionOf({ encryption, integrity }: Suite): SkSuite {
  const found = encryption && skSuite(encryption.id, encryption.keyBits, integrity?.id ?? 0);
  if (found === undefined) throw new Error('an IKE SA with algorithms that we do not have');
  return found;
}

export class Protection {
  #keys: IkeKeys;
  readonly #sealer: Sealer;
  readonly #opener: Opener;

  constructor(suite: SkSuite, keys: IkeKeys, role: Role, environment: Environment) {
    const [own, other] =
      role === 'initiator' ? [keys.initiator, keys.responder] : [keys.responder, keys.initiator];
    this.#keys = keys;
    this.#sealer = new Sealer(suite, own, (octets) => environment.random(octets));
    this.#opener = new Opener(suite, other);
  }

  get keys(): IkeKeys {
    return this.#keys;
  }

  /** AUTH and Child SAs come from these keys from now on; what protects messages stays (RFC 8784 §3). */
  useRootKeys(keys: RootKeys): void {
    wipeRootKeys(this.#keys);
    this.#keys = { ...this.#keys, ...keys };
  }

  /** A message of ours; in fragments where it would have more octets than `most`. */
  seal(
    header: HeaderToSend,
    payloads: readonly Payload[],
    most = Number.POSITIVE_INFINITY,
  ): Uint8Array<ArrayBuffer>[] {
    return this.#sealer.sealInFragments(header, payloads, most);
  }

  /**
   * The plaintext of an authentic message, or fragment of one; undefined for what is not, or has no
   * encrypted payload, or does not decode around it.
   */
  open(message: Uint8Array): SealedContent | undefined {
    let part: EncryptedPart | undefined;
    let before: readonly Payload[] = [];
    try {
      const decoded = decodeMessage(message);
      part = encryptedPart(message, decoded);
      before = decoded.payloads.slice(0, -1);
    } catch (error) {
      if (!(error instanceof WireError)) throw error;
    }
    return part && this.#openPart(part, before);
  }

  #openPart(part: EncryptedPart, before: readonly Payload[]): SealedContent | undefined {
    const { firstType, fragment } = part;
    try {
      const opened = this.#opener.open(part);
      return (
        opened && new SealedContent({ firstType, plaintext: opened.plaintext, fragment, before })
      );
    } catch (problem) {
      if (!(problem instanceof WireError)) throw problem;
      return new SealedContent({ firstType, plaintext: NOTHING, fragment, before, problem });
    }
  }

  wipe(): void {
    wipeIkeKeys(this.#keys);
  }
}

/** What an authentic message consists of. */
interface Sealed {
  readonly firstType: number;
  readonly plaintext: Uint8Array;
  /** Where it stands in its message; undefined: it is the whole. */
  readonly fragment?: Fragment | undefined;
  /** In clear before the encrypted payload, and as authentic as what is inside (§3.14). */
  readonly before: readonly Payload[];
  /** What is wrong with its padding. */
  readonly problem?: WireError | undefined;
}

/** What was inside an authentic message; it decodes apart, because its errors are answered. */
export class SealedContent {
  readonly firstType: number;
  readonly plaintext: Uint8Array;
  readonly fragment: Fragment | undefined;
  readonly before: readonly Payload[];
  readonly problem: WireError | undefined;

  constructor({ firstType, plaintext, fragment, before, problem }: Sealed) {
    this.firstType = firstType;
    this.plaintext = plaintext;
    this.fragment = fragment;
    this.before = before;
    this.problem = problem;
  }

  /**
   * The payloads inside. Those in clear before them are passed over, but for one that is unknown
   * and critical (§2.5).
   * @throws WireError
   */
  decode(): Payload[] {
    if (this.problem !== undefined) throw this.problem;
    rejectCritical(this.before);
    return decodePayloads(this.firstType, this.plaintext);
  }
}
