import { describe, expect, it } from 'vitest';
import type { EspSpi } from '../../../src/sad/sad.js';
import type { IkeSpi } from '../../../src/wire/index.js';
import type { FromWorker, ToWorker } from '../../../src/workers/messages.js';
import { Packer, unpack } from '../../../src/workers/parcel.js';

const local = { address: '192.0.2.1', port: 4500 };
const remote = { address: '2001:db8::2', port: 500 };
const data = Uint8Array.of(1, 2, 3);
const spi = 0xfedcba98 as EspSpi;
const [ikeSpi, theirs] = ['0011223344556677' as IkeSpi, '8899aabbccddeeff' as IkeSpi];
const established = {
  connection: 'office',
  ikeSpi,
  peerIdentity: 'b.example',
  initialContact: false,
} as const;

function through<M extends FromWorker | ToWorker>(messages: readonly M[]): M[] {
  const packer = new Packer();
  for (const message of messages) packer.add(message);
  const arrived: M[] = [];
  unpack<M>(structuredClone(packer.take().parcel), (message) => arrived.push(message));
  return arrived;
}

describe('a parcel', () => {
  it('brings what a worker posts, in order', () => {
    const messages: FromWorker[] = [
      { type: 'half-open', address: '192.0.2.1', initiatorSpi: theirs, ourSpi: ikeSpi },
      { type: 'spi', spi, state: 'reserved' },
      { type: 'send', local, remote, marker: true, data },
      { type: 'send', local, remote, marker: false, data, whole: true },
      { type: 'log', level: 'info', connection: 'office', message: 'a line' },
      { type: 'spi', spi, state: 'installed', policy: 'office/net' },
      { type: 'ike-established', ...established },
      { type: 'ike-established', ...established, initialContact: true, replaces: theirs },
      { type: 'spi', spi, state: 'free' },
      { type: 'ike-closed', connection: 'office', ikeSpi, reason: 'asked for' },
      { type: 'ike-closed', connection: undefined, ikeSpi, reason: 'silence' },
      { type: 'stopped' },
    ];
    expect(through(messages)).toStrictEqual(messages);
  });

  it('brings what the main thread posts, in order', () => {
    const messages: ToWorker[] = [
      { type: 'datagram', local, remote, data, proof: 'demanded' },
      { type: 'superseded', ikeSpi: '0011223344556677' as IkeSpi },
      { type: 'datagram', local: remote, remote: local, data },
    ];
    expect(through(messages)).toStrictEqual(messages);
  });

  it('moves the memory that is named, and is empty afterwards', () => {
    const packer = new Packer();
    const { buffer } = new Uint8Array(4);
    packer.add({ type: 'view', id: 1 });
    packer.add({ type: 'stop' }, [buffer]);
    const { parcel, transfer } = packer.take();
    expect(transfer).toEqual([buffer]);
    expect(parcel).toHaveLength(4);
    expect(packer.isEmpty).toBe(true);
  });
});
