/** A packet capture by tcpdump in a namespace, and what is in it. */
import { join } from 'node:path';
import { execute, inNamespace } from '../../../src/lab/namespaces.js';
import { Program, sleep, waitFor } from '../../../src/lab/program.js';

export class Capture {
  readonly file: string;
  readonly #program: Program;

  private constructor(file: string, program: Program) {
    this.file = file;
    this.#program = program;
  }

  /** Resolves once it captures. @param bytes of each packet; 0: all */
  static async start(
    namespace: string,
    device: string,
    folder: string,
    bytes = 0,
  ): Promise<Capture> {
    const file = join(folder, `${device}-${Date.now()}.pcap`);
    const options = ['-Z', 'root', '--immediate-mode', '-U', '-s', String(bytes)];
    const command = ['tcpdump', ...options, '-i', device, '-w', file];
    const program = new Program({ namespace, command, logFile: `${file}.log` });
    await waitFor('tcpdump', 10, () => program.log().includes('listening') || undefined);
    return new Capture(file, program);
  }

  async stop(): Promise<this> {
    await sleep(200);
    await this.#program.stop();
    return this;
  }

  /** Packets that match a filter of tcpdump. */
  count(filter: string): number {
    const output = execute(['tcpdump', '-n', '--count', '-r', this.file, filter]);
    return Number(/^(\d+) packet/m.exec(output)?.[1]);
  }
}

/** What must not be seen on a wire: packets of the protected networks. */
export const CLEAR_TEXT = 'net 10.1.0.0/16 or net 10.2.0.0/16 or net fd01::/16 or net fd02::/16';

/** SHA-256 of what an HTTP server sends, fetched from within a namespace. */
export function fetchDigest(namespace: string, url: string): string {
  return execute(inNamespace(namespace, fetchCommand(url))).trim();
}

/** The same as a command, for a guest. */
export function fetchCommand(url: string): string[] {
  const program =
    'import sys, urllib.request, hashlib\n' +
    'body = urllib.request.urlopen(sys.argv[1], timeout=20).read()\n' +
    'print(hashlib.sha256(body).hexdigest(), len(body))';
  return ['python3', '-c', program, url];
}
