/** Sends pings through the cells, carries the frames between gateway and peers, and judges. */
import { setTimeout as pause } from 'node:timers/promises';
import { type Cell, PINGS } from './cells.js';
import type { MatrixGateway } from './gateway.js';
import type { MatrixPeer, PeerCounters } from './peer.js';
import { essence, type Ping, pingsOf } from './pings.js';
import { formOf, isLinkLocal, protectedFrame } from './wire.js';

/** What became of a cell. */
export type Outcome =
  | { readonly type: 'shown'; readonly by: MatrixPeer['name'] }
  | { readonly type: 'failed' | 'missing'; readonly why: string };

/** Cells whose pings are on their way at once: what the smallest socket buffer takes. */
const AT_ONCE = 8;
/** A peer that says nothing for so long says nothing any more; less, once that has happened. */
const PATIENCE_MILLISECONDS = 4000;
const IMPATIENCE_MILLISECONDS = 300;

export class MatrixRun {
  readonly outcomes = new Map<Cell, Outcome>();
  /** What was seen and belongs to no cell. */
  readonly strays: string[] = [];
  readonly #gateway: MatrixGateway;
  readonly #peerOf: (cell: Cell) => MatrixPeer;
  readonly #byTheirSpi = new Map<number, Cell>();
  readonly #byOurSpi = new Map<number, Cell>();
  readonly #seen = new Map<Cell, { out: string[]; in: string[] }>();
  readonly #waiting = new Map<string, Ping>();
  #lastProgress = 0;
  #patience = PATIENCE_MILLISECONDS;

  constructor(
    gateway: MatrixGateway,
    peers: readonly MatrixPeer[],
    peerOf: (cell: Cell) => MatrixPeer,
  ) {
    this.#gateway = gateway;
    this.#peerOf = peerOf;
    for (const peer of peers) peer.onFrame((frame) => this.#fromPeer(frame));
  }

  /** Installs cells at both ends. Those that one of them refuses are missing. */
  async install(cells: readonly Cell[]): Promise<void> {
    const installed = cells.filter((cell) => {
      try {
        this.#gateway.install(cell);
        return true;
      } catch (error) {
        this.outcomes.set(cell, { type: 'missing', why: (error as Error).message });
        return false;
      }
    });
    for (const [peer, own] of this.#byPeer(installed)) {
      for (const [cell, why] of await peer.install(own)) {
        this.outcomes.set(cell, { type: 'failed', why: `${peer.name} refuses it: ${why}` });
      }
    }
    for (const cell of installed) {
      this.#byTheirSpi.set(cell.theirSpi, cell);
      this.#byOurSpi.set(cell.ourSpi, cell);
      this.#seen.set(cell, { out: [], in: [] });
    }
  }

  /** Pings through every cell that stands, and judges it. */
  async ping(cells: readonly Cell[]): Promise<void> {
    const standing = cells.filter((cell) => !this.outcomes.has(cell));
    for (let at = 0; at < standing.length; at += AT_ONCE) {
      await this.#exchange(standing.slice(at, at + AT_ONCE));
    }
    for (const [peer, own] of this.#byPeer(standing)) {
      const counters = await peer.counters(own);
      for (const cell of own) this.outcomes.set(cell, this.#judge(cell, peer, counters.get(cell)));
    }
  }

  #byPeer(cells: readonly Cell[]): Map<MatrixPeer, Cell[]> {
    const groups = new Map<MatrixPeer, Cell[]>();
    for (const cell of cells) {
      const peer = this.#peerOf(cell);
      groups.set(peer, [...(groups.get(peer) ?? []), cell]);
    }
    return groups;
  }

  async #exchange(cells: readonly Cell[]): Promise<void> {
    const pings = cells.flatMap(pingsOf);
    for (const ping of pings) this.#waiting.set(essence(ping.reply), ping);
    this.#gateway.send(pings.map(({ request }) => request));
    this.#lastProgress = performance.now();
    const isOpen = (): boolean => pings.some(({ reply }) => this.#waiting.has(essence(reply)));
    while (isOpen()) {
      if (performance.now() - this.#lastProgress > this.#patience) {
        this.#patience = IMPATIENCE_MILLISECONDS;
        return;
      }
      this.#carry();
      await pause(1);
    }
  }

  #carry(): void {
    for (const frame of this.#gateway.toWire()) {
      const found = protectedFrame(frame);
      const cell = found && this.#byTheirSpi.get(found.spi);
      if (cell === undefined) this.#stray('leaves the gateway', frame);
      else {
        this.#seen.get(cell)!.out.push(found!.form);
        this.#peerOf(cell).send(frame);
      }
    }
    for (const packet of this.#gateway.delivered()) {
      if (this.#waiting.delete(essence(packet))) this.#lastProgress = performance.now();
      else this.#stray('is delivered', packet);
    }
  }

  #fromPeer(frame: Uint8Array): void {
    if (isLinkLocal(frame)) return;
    const found = protectedFrame(frame);
    const cell = found && this.#byOurSpi.get(found.spi);
    if (cell === undefined) this.#stray('comes from a peer', frame);
    else {
      this.#seen.get(cell)!.in.push(found!.form);
      this.#gateway.fromWire(frame);
    }
  }

  #stray(what: string, bytes: Uint8Array): void {
    this.strays.push(`${what}: ${Buffer.from(bytes.subarray(0, 64)).toString('hex')}`);
  }

  #judge(cell: Cell, peer: MatrixPeer, theirs: PeerCounters | undefined): Outcome {
    const expected = Array<string>(PINGS).fill(formOf(cell.transform.protocol, cell.column));
    const seen = this.#seen.get(cell)!;
    const ours = this.#gateway.counters(cell);
    const complaints = [
      ...pingsOf(cell)
        .filter(({ reply }) => this.#waiting.delete(essence(reply)))
        .map(({ number }) => `no right answer to ping ${number + 1}`),
      ...differences('packets out', seen.out, expected),
      ...differences('packets in', seen.in, expected),
      ...differences(`${peer.name}'s counters`, theirs, {
        received: PINGS,
        sent: PINGS,
        failures: 0,
      }),
      ...differences('our counters', pick(ours), expectedCounters(cell)),
    ];
    if (complaints.length === 0) return { type: 'shown', by: peer.name };
    return { type: 'failed', why: complaints.join('; ') };
  }
}

type OurCounters = ReturnType<MatrixGateway['counters']>;

function pick({ inPackets, outPackets, inSequence, outSequence, inDrops, inLost }: OurCounters) {
  return { inPackets, outPackets, inSequence, outSequence, inDrops, inLost };
}

function expectedCounters({ lastSequence }: Cell): ReturnType<typeof pick> {
  const packets = BigInt(PINGS);
  return {
    inPackets: packets,
    outPackets: packets,
    inSequence: lastSequence + packets,
    outSequence: lastSequence + packets + 1n,
    inDrops: {},
    inLost: 0n,
  };
}

function differences(what: string, got: unknown, expected: unknown): string[] {
  const text = (value: unknown): string =>
    JSON.stringify(value, (_, v: unknown) => (typeof v === 'bigint' ? Number(v) : v)) ?? 'none';
  return text(got) === text(expected) ? [] : [`${what} ${text(got)}, not ${text(expected)}`];
}
