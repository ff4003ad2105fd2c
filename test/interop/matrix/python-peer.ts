/** The peer for what Linux lacks: python_peer.py, on Python's cryptography. */
import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { type Cell, nameOf } from './cells.js';
import type { MatrixPeer, PeerCounters } from './peer.js';

const SCRIPT = fileURLToPath(new URL('./python_peer.py', import.meta.url));
const PYTHON = '/usr/bin/python3';

/** What it says: its counters, by SPI that it receives on. */
interface Report {
  readonly counters: Record<string, { received: number; sent: number; failures: number }>;
  readonly errors: readonly string[];
}

export class PythonPeer implements MatrixPeer {
  readonly name = 'python';
  readonly #child: ChildProcess;
  #listener: (frame: Uint8Array) => void = () => {};
  #reported: (report: Report) => void = () => {};
  #ended: (error: Error) => void = () => {};
  #input = Buffer.alloc(0);

  private constructor() {
    this.#child = spawn(PYTHON, [SCRIPT], { stdio: ['pipe', 'pipe', 'inherit'] });
    this.#child.stdout!.on('data', (data: Buffer) => this.#take(data));
    this.#child.once('exit', (code) => this.#ended(new Error(`python_peer.py ended: ${code}`)));
  }

  static start(): PythonPeer {
    return new PythonPeer();
  }

  async install(cells: readonly Cell[]): Promise<Map<Cell, string>> {
    this.#write('S', Buffer.from(JSON.stringify(cells.map(association))));
    return new Map();
  }

  send(frame: Uint8Array): void {
    this.#write('F', frame);
  }

  onFrame(listener: (frame: Uint8Array) => void): void {
    this.#listener = listener;
  }

  async counters(cells: readonly Cell[]): Promise<Map<Cell, PeerCounters>> {
    const { counters } = await this.#report();
    return new Map(cells.map((cell) => [cell, counters[cell.theirSpi]!]));
  }

  async errors(): Promise<string> {
    return (await this.#report()).errors.join('\n');
  }

  async stop(): Promise<void> {
    const ended = new Promise((resolve) => this.#child.once('exit', resolve));
    this.#child.kill('SIGKILL');
    await ended;
  }

  #report(): Promise<Report> {
    return new Promise((resolve, reject) => {
      this.#reported = resolve;
      this.#ended = reject;
      this.#write('R', new Uint8Array());
    });
  }

  /** A message is its length, a letter, and that many bytes. */
  #write(letter: string, payload: Uint8Array): void {
    const head = Buffer.alloc(5);
    head.writeUInt32BE(payload.length);
    head.write(letter, 4);
    this.#child.stdin!.write(Buffer.concat([head, payload]));
  }

  #take(data: Buffer): void {
    this.#input = Buffer.concat([this.#input, data]);
    while (this.#input.length >= 5) {
      const end = 5 + this.#input.readUInt32BE();
      if (this.#input.length < end) return;
      const payload = this.#input.subarray(5, end);
      if (this.#input[4] === 'F'.charCodeAt(0)) this.#listener(payload);
      else this.#reported(JSON.parse(payload.toString()) as Report);
      this.#input = this.#input.subarray(end);
    }
  }
}

/** A pair of SAs as the script knows it: what it receives with, and what it sends with. */
function association(cell: Cell) {
  const { transform, column } = cell;
  return {
    name: `${transform.name} ${nameOf(column)}`,
    protocol: transform.protocol,
    mode: column.mode,
    esn: column.esn,
    udp: column.udp,
    encryption: transform.encryption,
    integrity: transform.integrity,
    here: cell.theirs,
    there: cell.ours,
    in: { spi: cell.theirSpi, keymat: cell.ourKeymat.toString('hex') },
    out: { spi: cell.ourSpi, keymat: cell.theirKeymat.toString('hex') },
    sequence: String(cell.lastSequence),
  };
}
