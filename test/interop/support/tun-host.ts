/** A host whose only network card is a TUN in a namespace of its own, with its packets in our hands. */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { inNamespace, ipBatch } from '../../../src/lab/namespaces.js';

const program = fileURLToPath(new URL('./tun_host.py', import.meta.url));
const DEVICE = 'tun0';
const run = promisify(execFile);

export class TunHost {
  readonly #namespace: string;
  readonly #child: ChildProcess;
  #pending = Buffer.alloc(0);

  private constructor(namespace: string, child: ChildProcess) {
    this.#namespace = namespace;
    this.#child = child;
  }

  /** @param address with its prefix length; @param onPacket gets what the host sends */
  static async start(
    namespace: string,
    address: string,
    onPacket: (packet: Uint8Array) => void,
  ): Promise<TunHost> {
    const command = ['setpriv', '--pdeathsig', 'KILL', '/usr/bin/python3', program, DEVICE];
    const [file, ...args] = inNamespace(namespace, command);
    const child = spawn(file!, args, { stdio: ['pipe', 'pipe', 'pipe'] });
    const host = new TunHost(namespace, child);
    child.stdout!.on('data', (chunk: Buffer) => host.#take(chunk, onPacket));
    await once(child.stderr!, 'data');
    // Room for ESP in an MTU of 1500: in transport mode fragments find no SA (RFC 4303 §3.1.1).
    ipBatch(namespace, [`address add ${address} dev ${DEVICE}`, `link set ${DEVICE} mtu 1400 up`]);
    return host;
  }

  /** Hands packets to the host's kernel. */
  deliver(packets: readonly Uint8Array[]): void {
    for (const packet of packets) {
      const length = Buffer.alloc(2);
      length.writeUInt16BE(packet.length);
      this.#child.stdin!.write(Buffer.concat([length, packet]));
    }
  }

  /** Runs a command of the host to its end; what it prints. */
  async run(command: readonly string[]): Promise<string> {
    const [file, ...args] = inNamespace(this.#namespace, command);
    return (await run(file!, args)).stdout;
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const ended = once(this.#child, 'exit');
    this.#child.kill('SIGKILL');
    await ended;
  }

  #take(chunk: Buffer, onPacket: (packet: Uint8Array) => void): void {
    this.#pending = Buffer.concat([this.#pending, chunk]);
    while (this.#pending.length >= 2) {
      const end = 2 + this.#pending.readUInt16BE(0);
      if (this.#pending.length < end) return;
      onPacket(new Uint8Array(this.#pending.subarray(2, end)));
      this.#pending = this.#pending.subarray(end);
    }
  }
}
