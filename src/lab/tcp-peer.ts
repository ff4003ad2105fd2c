/**
 * One end of a TCP throughput measurement, run in a host's namespace. The receiving end counts.
 *
 *     node tcp-peer.js serve PORT
 *     node tcp-peer.js send|receive ADDRESS PORT SECONDS     prints {"bytes": n, "seconds": s}
 */
import { connect, createServer, type Socket } from 'node:net';
import { pathToFileURL } from 'node:url';

interface Count {
  readonly bytes: number;
  /** From the first byte to the last. */
  readonly seconds: number;
}

/** The first byte from the client says what the server is to do. */
const RECEIVE = 0x72;
const SEND = 0x73;
const chunk = Buffer.alloc(128 * 1024, 'esplane ');

/** Counts what arrives until the other end has sent all. */
function count(socket: Socket): Promise<Count> {
  return new Promise((resolve, reject) => {
    let bytes = 0;
    let first = 0;
    let last = 0;
    socket.on('data', (data) => {
      last = performance.now();
      if (bytes === 0) first = last;
      bytes += data.length;
    });
    socket.on('end', () => resolve({ bytes, seconds: (last - first) / 1000 }));
    socket.on('error', reject);
  });
}

/** Writes as fast as the other end takes it, and ends our direction. */
function fill(socket: Socket, seconds: number): void {
  const end = performance.now() + seconds * 1000;
  const more = (): void => {
    while (performance.now() < end) {
      if (!socket.write(chunk)) return;
    }
    socket.off('drain', more);
    socket.end();
  };
  socket.on('drain', more);
  more();
}

function serve(port: number): void {
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on('error', () => socket.destroy());
    socket.once('data', (request) => {
      if (request[0] === SEND) {
        socket.resume();
        fill(socket, request[1]!);
        return;
      }
      if (request.length > 1) socket.unshift(request.subarray(1));
      count(socket).then(
        (result) => socket.end(JSON.stringify(result)),
        () => socket.destroy(),
      );
    });
  });
  server.listen(port, '::', () => process.stdout.write('ready\n'));
}

async function measure(
  direction: string,
  address: string,
  port: number,
  seconds: number,
): Promise<Count> {
  const socket = connect({ host: address, port, allowHalfOpen: true });
  await new Promise((resolve, reject) => {
    socket.once('connect', resolve);
    socket.once('error', reject);
  });
  if (direction === 'receive') {
    socket.write(Buffer.from([SEND, seconds]));
    const result = await count(socket);
    socket.end();
    return result;
  }
  socket.write(Buffer.from([RECEIVE]));
  fill(socket, seconds);
  let answer = '';
  for await (const data of socket as AsyncIterable<Buffer>) answer += data.toString();
  return JSON.parse(answer) as Count;
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const [verb = '', ...rest] = process.argv.slice(2);
  if (verb === 'serve') serve(Number(rest[0]));
  else {
    const result = await measure(verb, rest[0]!, Number(rest[1]), Number(rest[2]));
    process.stdout.write(`${JSON.stringify(result)}\n`);
  }
}
