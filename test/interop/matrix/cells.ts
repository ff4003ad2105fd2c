/**
 * The cells of the matrix: each is one pair of SAs with keys, SPIs and addresses of its own, so
 * that all of them stand side by side in one gateway and one peer.
 */
import { createHash } from 'node:crypto';
import { TRANSFORMS, type Transform } from '../../transforms.js';

export interface Column {
  readonly mode: 'tunnel' | 'transport';
  readonly inner: 4 | 6;
  readonly outer: 4 | 6;
  readonly esn: boolean;
  /** ESP in UDP (RFC 3948). */
  readonly udp: boolean;
}

export interface Cell {
  readonly index: number;
  readonly transform: Transform;
  readonly column: Column;
  /** Outer addresses, ours first. */
  readonly ours: string;
  readonly theirs: string;
  /** Ends of the inner packets; in transport mode the outer addresses. */
  readonly ourHost: string;
  readonly theirHost: string;
  /** The SPI that we send to. */
  readonly theirSpi: number;
  /** The one that we chose: the gateway sets it where it installs the cell. */
  ourSpi: number;
  /** Keying material of what we send, and of what they send. */
  readonly ourKeymat: Buffer;
  readonly theirKeymat: Buffer;
  /** Last sequence number before the first packet, both ways: with ESN, 2^32 is crossed. */
  readonly lastSequence: bigint;
}

/** Pings in each cell. Of them, with ESN, the second has the first number behind 2^32. */
export const PINGS = 4;

export const OURS = { 4: '192.0.2.1', 6: '2001:db8::1' } as const;
export const THEIRS = { 4: '192.0.2.2', 6: '2001:db8::2' } as const;

/** What lies behind both ends; in transport mode, the peer has an address for each cell. */
export const NETWORKS = {
  ours: ['10.1.0.0/16', 'fd01::/64'],
  theirs: ['10.2.0.0/16', 'fd02::/64'],
  theirOwn: ['10.3.0.0/16', 'fd03::/64'],
} as const;

const FAMILIES = [
  { mode: 'tunnel', inner: 4, outer: 4 },
  { mode: 'tunnel', inner: 6, outer: 6 },
  { mode: 'tunnel', inner: 4, outer: 6 },
  { mode: 'tunnel', inner: 6, outer: 4 },
  { mode: 'transport', inner: 4, outer: 4 },
  { mode: 'transport', inner: 6, outer: 6 },
] as const;

/** In pairs: without and with UDP. */
export const COLUMNS: readonly Column[] = FAMILIES.flatMap((family) =>
  [false, true].flatMap((esn) => [false, true].map((udp) => ({ ...family, esn, udp }))),
);

export function columnsOf(transform: Transform): readonly Column[] {
  // RFC 3948 encapsulates ESP only.
  return COLUMNS.filter(({ udp }) => !(udp && transform.protocol === 'ah'));
}

export function makeCells(): readonly Cell[] {
  let index = 0;
  return TRANSFORMS.flatMap((transform) =>
    columnsOf(transform).map((column) => makeCell(index++, transform, column)),
  );
}

export function makeCell(index: number, transform: Transform, column: Column): Cell {
  const { mode, inner, outer, esn } = column;
  const host = (site: 1 | 2 | 3): string =>
    inner === 4 ? `10.${site}.${index >> 8}.${index & 255}` : `fd0${site}::${index.toString(16)}`;
  const ours = OURS[outer];
  const theirs = mode === 'tunnel' ? THEIRS[outer] : host(3);
  return {
    index,
    transform,
    column,
    ours,
    theirs,
    ourHost: mode === 'tunnel' ? host(1) : ours,
    theirHost: mode === 'tunnel' ? host(2) : theirs,
    theirSpi: 0x10000 + index,
    ourSpi: 0,
    ourKeymat: keymat(index, 'ours', transform.keymatBytes),
    theirKeymat: keymat(index, 'theirs', transform.keymatBytes),
    lastSequence: esn ? 0xffff_fffen : 0n,
  };
}

/** Keys that differ from cell to cell. */
function keymat(index: number, whose: string, bytes: number): Buffer {
  const block = (n: number) => createHash('sha512').update(`${whose} ${index} ${n}`).digest();
  return Buffer.concat([block(0), block(1)]).subarray(0, bytes);
}

export function nameOf({ mode, inner, outer, esn, udp }: Column): string {
  const families = mode === 'tunnel' ? `${inner} in ${outer}` : `${outer}`;
  return `${mode} ${families}${esn ? ', ESN' : ''}${udp ? ', UDP' : ''}`;
}
