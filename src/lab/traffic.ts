/** Ping and TCP between two hosts of the lab, run in the hosts' namespaces. */
import { spawn } from 'node:child_process';
import { inNamespace } from './namespaces.js';
import { compiledProgram, Program, waitFor } from './program.js';

const TCP_PORT = 5201;
const tcpPeer = compiledProgram('lab/tcp-peer.js');

export interface PingResult {
  readonly sent: number;
  readonly received: number;
  /** Mean round trip; undefined where nothing came back. */
  readonly milliseconds?: number;
}

export interface PingOptions {
  readonly count: number;
  readonly intervalSeconds?: number;
  /** Bytes of the echo's data. */
  readonly bytes?: number;
  /** Address that the requests are sent from; default: as the kernel chooses. */
  readonly source?: string;
}

/** Pings from a namespace, with iputils' ping; every request is waited for a second. */
export async function ping(
  namespace: string,
  address: string,
  { count, intervalSeconds = 0.2, bytes = 56, source }: PingOptions,
): Promise<PingResult> {
  const options = ['-n', '-q', '-W', '1', '-c', String(count), '-s', String(bytes)];
  const from = source === undefined ? [] : ['-I', source];
  const command = ['ping', ...options, ...from, '-i', String(intervalSeconds), address];
  const seconds = count * intervalSeconds + 15;
  const output = await outputOf(inNamespace(namespace, command), seconds);
  const [, sent, received] = /(\d+) packets transmitted, (\d+) received/.exec(output) ?? [];
  if (sent === undefined) throw new Error(`ping ${address}: ${output.trim()}`);
  const mean = /= [\d.]+\/([\d.]+)\//.exec(output)?.[1];
  return {
    sent: Number(sent),
    received: Number(received),
    ...(mean === undefined ? {} : { milliseconds: Number(mean) }),
  };
}

export interface TcpResult {
  readonly bytes: number;
  readonly seconds: number;
  readonly bitsPerSecond: number;
}

/** Where TCP is measured to: `serveTcp` runs there. */
export async function serveTcp(namespace: string, logFile: string): Promise<Program> {
  const command = [process.execPath, tcpPeer, 'serve', String(TCP_PORT)];
  const server = new Program({ namespace, command, logFile });
  await waitFor('the TCP server', 10, () => server.log().includes('ready') || undefined);
  return server;
}

/** One TCP connection, in one direction, as fast as it goes; the receiver's count. */
export async function measureTcp(
  namespace: string,
  address: string,
  direction: 'send' | 'receive',
  seconds: number,
): Promise<TcpResult> {
  const args = [direction, address, String(TCP_PORT), String(seconds)];
  const command = inNamespace(namespace, [process.execPath, tcpPeer, ...args]);
  const output = await outputOf(command, seconds + 15);
  const line = output.trim().split('\n').at(-1) ?? '';
  if (!line.startsWith('{')) throw new Error(`TCP to ${address}: ${output.trim() || 'no answer'}`);
  const counted = JSON.parse(line) as { bytes: number; seconds: number };
  return { ...counted, bitsPerSecond: (counted.bytes * 8) / Math.max(counted.seconds, 0.001) };
}

/** What a command prints; it is killed when it takes too long. */
function outputOf(command: readonly string[], seconds: number): Promise<string> {
  const [file, ...args] = command;
  return new Promise((resolve, reject) => {
    const child = spawn(file!, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    const timer = setTimeout(() => child.kill('SIGKILL'), seconds * 1000);
    let output = '';
    const collect = (data: Buffer): void => {
      output += data.toString();
    };
    child.stdout.on('data', collect);
    child.stderr.on('data', collect);
    child.once('error', reject);
    child.once('close', () => {
      clearTimeout(timer);
      resolve(output);
    });
  });
}
