/** What the matrix needs of a peer. Frames are whole Ethernet frames. */
import type { Cell } from './cells.js';

export interface MatrixPeer {
  readonly name: 'linux' | 'python';
  /** Sets up both SAs of each cell; others may go. Resolves to what was refused, and why. */
  install(cells: readonly Cell[]): Promise<Map<Cell, string>>;
  send(frame: Uint8Array): void;
  onFrame(listener: (frame: Uint8Array) => void): void;
  /** By cell, once all traffic is over. */
  counters(cells: readonly Cell[]): Promise<Map<Cell, PeerCounters>>;
  /** Errors that it counted or met, of whatever cell. */
  errors(): Promise<string>;
  stop(): Promise<void>;
}

/** Packets that the peer's SAs of one cell carried, and failures of replay check or ICV. */
export interface PeerCounters {
  readonly received: number;
  readonly sent: number;
  readonly failures: number;
}
