/**
 * Several messages between threads as one: a flat list of words, because most of what it costs to
 * copy an object between threads is the names of its fields. The frequent kinds are taken apart
 * here, others travel as they are.
 */
import type { CookieProof } from '../ike/event.js';
import type { EspSpi } from '../sad/sad.js';
import type { IkeSpi } from '../wire/index.js';
import type { FromWorker, ToWorker } from './messages.js';

type Message = FromWorker | ToWorker;
type Of<T extends Message['type']> = Extract<Message, { type: T }>;

/** A kind, the words of its message, the next kind, and so on. */
export type Parcel = readonly unknown[];

const KIND = {
  other: 0,
  send: 1,
  datagram: 2,
  spi: 3,
  halfOpen: 4,
  established: 5,
  closed: 6,
} as const;

/** Collects messages. */
export class Packer {
  #words: unknown[] = [];
  #transfer: ArrayBuffer[] = [];

  get isEmpty(): boolean {
    return this.#words.length === 0;
  }

  /** The listed memory will be moved. */
  add(message: Message, transfer: readonly ArrayBuffer[] = []): void {
    const words = this.#words;
    switch (message.type) {
      case 'send': {
        const { local, remote, marker, data, whole } = message;
        const ends = [local.address, local.port, remote.address, remote.port] as const;
        words.push(KIND.send, ...ends, marker, data, whole);
        break;
      }
      case 'datagram': {
        const { local, remote, proof, data } = message;
        const ends = [local.address, local.port, remote.address, remote.port] as const;
        words.push(KIND.datagram, ...ends, proof, data);
        break;
      }
      case 'spi':
        words.push(KIND.spi, message.spi, message.state, message.policy);
        break;
      case 'half-open':
        words.push(KIND.halfOpen, message.address, message.initiatorSpi, message.ourSpi);
        break;
      case 'ike-established': {
        const { connection, ikeSpi, peerIdentity, initialContact, replaces } = message;
        words.push(KIND.established, connection, ikeSpi, peerIdentity, initialContact, replaces);
        break;
      }
      case 'ike-closed':
        words.push(KIND.closed, message.connection, message.ikeSpi, message.reason);
        break;
      default:
        words.push(KIND.other, message);
    }
    this.#transfer.push(...transfer);
  }

  /** What was collected; nothing is left. */
  take(): { readonly parcel: Parcel; readonly transfer: ArrayBuffer[] } {
    const taken = { parcel: this.#words, transfer: this.#transfer };
    this.#words = [];
    this.#transfer = [];
    return taken;
  }
}

/** Hands out the messages of a parcel, in the order in which they were added. */
export function unpack<M extends Message>(parcel: Parcel, receive: (message: M) => void): void {
  for (let at = 0; at < parcel.length; ) {
    switch (parcel[at]) {
      case KIND.send: {
        const [local, remote, marker, data] = ends<boolean>(parcel, at);
        const whole = parcel[at + 7] === true ? ({ whole: true } as const) : {};
        receive({ type: 'send', local, remote, marker, data, ...whole } satisfies Of<'send'> as M);
        at += 8;
        break;
      }
      case KIND.datagram: {
        const [local, remote, proof, data] = ends<CookieProof | undefined>(parcel, at);
        const proved = proof === undefined ? {} : { proof };
        receive({ type: 'datagram', local, remote, data, ...proved } satisfies Of<'datagram'> as M);
        at += 7;
        break;
      }
      case KIND.spi: {
        const spi = parcel[at + 1] as EspSpi;
        const state = parcel[at + 2] as Of<'spi'>['state'];
        const policy = parcel[at + 3] as string | undefined;
        const installed = policy === undefined ? {} : { policy };
        receive({ type: 'spi', spi, state, ...installed } satisfies Of<'spi'> as M);
        at += 4;
        break;
      }
      case KIND.halfOpen:
        receive(halfOpen(parcel, at) as M);
        at += 4;
        break;
      case KIND.established:
        receive(established(parcel, at) as M);
        at += 6;
        break;
      case KIND.closed:
        receive(closed(parcel, at) as M);
        at += 4;
        break;
      default:
        receive(parcel[at + 1] as M);
        at += 2;
    }
  }
}

/** Both ends of a datagram, what is said of it, and what is in it. */
function ends<About>(parcel: Parcel, at: number) {
  const word = <T>(place: number) => parcel[at + place] as T;
  const local = { address: word<string>(1), port: word<number>(2) };
  const remote = { address: word<string>(3), port: word<number>(4) };
  return [local, remote, word<About>(5), word<Uint8Array>(6)] as const;
}

function halfOpen(parcel: Parcel, at: number): Of<'half-open'> {
  return {
    type: 'half-open',
    address: parcel[at + 1] as string,
    initiatorSpi: parcel[at + 2] as IkeSpi,
    ourSpi: parcel[at + 3] as IkeSpi,
  };
}

function established(parcel: Parcel, at: number): Of<'ike-established'> {
  const replaces = parcel[at + 5] as IkeSpi | undefined;
  return {
    type: 'ike-established',
    connection: parcel[at + 1] as string,
    ikeSpi: parcel[at + 2] as IkeSpi,
    peerIdentity: parcel[at + 3] as string,
    initialContact: parcel[at + 4] as boolean,
    ...(replaces === undefined ? {} : { replaces }),
  };
}

function closed(parcel: Parcel, at: number): Of<'ike-closed'> {
  return {
    type: 'ike-closed',
    connection: parcel[at + 1] as string | undefined,
    ikeSpi: parcel[at + 2] as IkeSpi,
    reason: parcel[at + 3] as string,
  };
}
