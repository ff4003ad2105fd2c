/**
 * Where the gateways of a simulation are: each has a home and another address to go to, and may be
 * behind a NAT, whose mapping may change. Others see a gateway behind a NAT at an address of the
 * NAT's, and its ports shifted.
 */
import type { Endpoint } from '../../../src/sad/sad.js';
import { ADDRESSES, type Datagram, SIDES, type Side } from './peer.js';

const addresses = (net: string) =>
  Object.fromEntries(SIDES.map((side, i) => [side, `${net}.${i + 1}`])) as Readonly<
    Record<Side, string>
  >;

/** Where a gateway may go. */
export const ELSEWHERE = addresses('198.51.100');
/** Where it is seen behind its NAT. */
const OUTSIDE = addresses('203.0.113');

const SIDE_AT: ReadonlyMap<string, Side> = new Map(
  [ADDRESSES, ELSEWHERE, OUTSIDE].flatMap((places) => SIDES.map((side) => [places[side], side])),
);

export function sideAt(address: string): Side {
  const side = SIDE_AT.get(address);
  if (side === undefined) throw new Error(`there is no gateway at ${address}`);
  return side;
}

export class Places {
  /** Undefined: it is nowhere. */
  readonly #addresses = new Map<Side, string | undefined>(
    SIDES.map((side) => [side, ADDRESSES[side]]),
  );
  /** What the NAT before a gateway adds to its ports. */
  readonly #shifts = new Map<Side, number>();

  addressOf(side: Side): string | undefined {
    return this.#addresses.get(side);
  }

  move(side: Side, address: string | undefined): void {
    this.#addresses.set(side, address);
  }

  /** Puts a NAT before the gateway, or gives it other mappings; what goes to the old ones is lost. */
  translate(side: Side, shift: number): void {
    this.#shifts.set(side, shift);
  }

  /** Where the others see what this gateway sends from a port. */
  seen(side: Side, port: number): Endpoint | undefined {
    const address = this.#addresses.get(side);
    const shift = this.#shifts.get(side);
    if (address === undefined) return undefined;
    return shift === undefined ? { address, port } : { address: OUTSIDE[side], port: port + shift };
  }

  /** The datagram as it is on its way; undefined where its sender is no more at its source. */
  leaving(datagram: Datagram): Datagram | undefined {
    const { address, port } = datagram.local;
    const side = sideAt(address);
    if (this.#addresses.get(side) !== address) return undefined;
    return this.#shifts.has(side) ? { ...datagram, local: this.seen(side, port)! } : datagram;
  }

  /** The datagram as its addressee gets it; undefined where nobody is there. */
  arriving(datagram: Datagram): Datagram | undefined {
    const { address, port } = datagram.remote;
    const side = sideAt(address);
    const shift = this.#shifts.get(side);
    const own = this.#addresses.get(side);
    if (shift === undefined) return own === address ? datagram : undefined;
    const inside = port - shift;
    if (own === undefined || address !== OUTSIDE[side] || !IKE_PORTS.has(inside)) return undefined;
    return { ...datagram, remote: { address: own, port: inside } };
  }
}

const IKE_PORTS: ReadonlySet<number> = new Set([500, 4500]);
