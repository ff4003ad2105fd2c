import { randomBytes } from 'node:crypto';
import { createSocket, type Socket } from 'node:dgram';
import { afterEach, describe, expect, it } from 'vitest';
import { MemoryNetwork } from '../../../src/net/memory.js';
import type { Datagram, Transport } from '../../../src/net/transport.js';
import { UdpTransport } from '../../../src/net/udp.js';
import { UdpSender } from '../../../src/net/udp-sender.js';
import {
  decodeMessage,
  EXCHANGE,
  encodeMessage,
  type IkeSpi,
  NOTIFY,
  type Payload,
  peekHeader,
  ZERO_IKE_SPI,
} from '../../../src/wire/index.js';
import { makeIkeSpi } from '../../../src/workers/shard-map.js';

const cleanUp: (() => unknown)[] = [];
afterEach(async () => {
  for (const action of cleanUp.splice(0)) await action();
});

/** Two ports of 127.0.0.0/8 that are most likely free. */
function somePorts(): [number, number] {
  const base = 20_000 + Math.floor(Math.random() * 20_000);
  return [base, base + 1];
}

function collect(transport: Transport) {
  const received: Datagram[] = [];
  transport.onDatagram((datagram) => received.push(datagram));
  return received;
}

async function until(condition: () => boolean): Promise<void> {
  const deadline = Date.now() + 5_000;
  while (!condition()) {
    if (Date.now() > deadline) throw new Error('waited in vain');
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

async function plainSocket(): Promise<Socket> {
  const socket = createSocket('udp4');
  await new Promise<void>((resolve) => socket.bind(0, '127.0.0.9', resolve));
  cleanUp.push(() => socket.close());
  return socket;
}

const marker = [0, 0, 0, 0];
const message = Uint8Array.from({ length: 28 }, (_, i) => i + 1);

describe('the UDP transport', () => {
  it('tells IKE, ESP, keepalives and noise apart on the port for NAT traversal', async () => {
    const [ike, nat] = somePorts();
    const transport = new UdpTransport({ ports: [ike, nat] });
    cleanUp.push(() => transport.close());
    const received = collect(transport);
    await transport.open(['127.0.0.2']);
    const peer = await plainSocket();
    const remote = { address: '127.0.0.9', port: peer.address().port };
    const send = (data: Uint8Array, port: number) =>
      new Promise((resolve) => peer.send(data, port, '127.0.0.2', resolve));
    await send(Uint8Array.of(0xff), nat);
    await send(Uint8Array.of(1, 2, 3), nat);
    await send(Uint8Array.of(...marker), nat);
    await send(new Uint8Array(0), ike);
    await send(Uint8Array.of(0xc0, 0, 0, 1, 9, 9, 9, 9), nat);
    await send(Uint8Array.from([...marker, ...message]), nat);
    await send(message, ike);
    await until(() => received.length === 2);
    const local = (port: number) => ({ address: '127.0.0.2', port });
    const order = received.sort((a, b) => b.local.port - a.local.port);
    expect(order[0]).toMatchObject({ local: local(nat), remote });
    expect(order[1]).toMatchObject({ local: local(ike), remote });
    for (const { data } of received) expect([...data]).toEqual([...message]);
    expect(transport.counters()).toMatchObject({
      received: 2,
      keepalives: 1,
      'esp-in-udp': 1,
      short: 3,
    });
  });

  it('sends from the address and port asked for, with the marker where asked', async () => {
    const [ike, nat] = somePorts();
    const transport = new UdpTransport({ ports: [ike, nat] });
    cleanUp.push(() => transport.close());
    await transport.open(['127.0.0.2', '127.0.0.3']);
    const peer = await plainSocket();
    const seen: [string, number, number[]][] = [];
    peer.on('message', (data, from) => seen.push([from.address, from.port, [...data]]));
    const remote = { address: '127.0.0.9', port: peer.address().port };
    transport.send({ address: '127.0.0.3', port: ike }, remote, false, message);
    await until(() => seen.length === 1);
    transport.send({ address: '127.0.0.2', port: nat }, remote, true, message);
    await until(() => seen.length === 2);
    expect(seen).toEqual([
      ['127.0.0.3', ike, [...message]],
      ['127.0.0.2', nat, [...marker, ...message]],
    ]);
  });

  it('lets others in its process send, which it counts, until it is closed', async () => {
    const [ike, nat] = somePorts();
    const transport = new UdpTransport({ ports: [ike, nat] });
    const sender = new UdpSender(transport.senderId);
    const local = { address: '127.0.0.2', port: nat };
    const peer = await plainSocket();
    const remote = { address: '127.0.0.9', port: peer.address().port };
    const seen: number[][] = [];
    peer.on('message', (data) => seen.push([...data]));
    sender.send(local, remote, true, message);
    await transport.open(['127.0.0.2']);
    sender.send(local, remote, true, message);
    sender.send(local, { address: '::1', port: 9 }, true, message);
    await until(() => seen.length === 1);
    await transport.close();
    sender.send(local, remote, true, message);
    expect(transport.counters()).toMatchObject({ sent: 1, 'send-errors': 1, 'no-socket': 2 });
    expect(seen).toEqual([[...marker, ...message]]);
    expect(() => new UdpSender(transport.senderId + 1_000)).toThrow('no such sockets');
  });

  it('waits for an address that is not there, and counts what cannot leave', async () => {
    const told: [string, boolean][] = [];
    const transport = new UdpTransport({
      ports: somePorts(),
      onAddress: (address, present) => told.push([address, present]),
    });
    cleanUp.push(() => transport.close());
    // TEST-NET-1 is on no machine (RFC 5737).
    await transport.open(['192.0.2.77', '127.0.0.2']);
    expect(told).toEqual([['192.0.2.77', false]]);
    const remote = { address: '127.0.0.9', port: 9 };
    transport.send({ address: '192.0.2.77', port: 500 }, remote, false, message);
    expect(transport.counters()['no-socket']).toBe(1);
    transport.refresh();
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(told).toEqual([['192.0.2.77', false]]);
  });

  it('opens what is new, closes what is gone, and does not disturb what stays', async () => {
    const [ike, nat] = somePorts();
    const transport = new UdpTransport({ ports: [ike, nat] });
    cleanUp.push(() => transport.close());
    const received = collect(transport);
    await transport.open(['127.0.0.2', '127.0.0.3']);
    await transport.open(['127.0.0.3', '127.0.0.4']);
    const peer = await plainSocket();
    peer.on('error', () => {});
    for (const n of [2, 3, 4]) peer.send(message, ike, `127.0.0.${n}`);
    await until(() => received.length === 2);
    expect(received.map(({ local }) => local.address).sort()).toEqual(['127.0.0.3', '127.0.0.4']);

    // What another has taken, nobody gets: what was open stays open.
    const other = new UdpTransport({ ports: [ike, nat] });
    cleanUp.push(() => other.close());
    await other.open(['127.0.0.5']);
    await expect(transport.open(['127.0.0.6', '127.0.0.5'])).rejects.toThrow('is taken');
    for (const n of [3, 4, 6]) peer.send(message, ike, `127.0.0.${n}`);
    await until(() => received.length === 4);
    expect(
      received
        .slice(2)
        .map(({ local }) => local.address)
        .sort(),
    ).toEqual(['127.0.0.3', '127.0.0.4']);
  });

  it('says that a port is taken', async () => {
    const ports = somePorts();
    const [first, second] = [new UdpTransport({ ports }), new UdpTransport({ ports })];
    cleanUp.push(
      () => first.close(),
      () => second.close(),
    );
    await first.open(['127.0.0.2']);
    await expect(second.open(['127.0.0.2'])).rejects.toThrow(
      'UDP port 500 or 4500 of 127.0.0.2 is taken: does another IKE daemon run?',
    );
  });
});

describe('the gate before IKE', () => {
  const header = {
    initiatorSpi: '00112233445566aa' as IkeSpi,
    responderSpi: ZERO_IKE_SPI,
    exchangeType: EXCHANGE.IKE_SA_INIT,
    initiator: true,
    response: false,
    messageId: 0,
  };
  const nonce: Payload = { kind: 'Nonce', data: new Uint8Array(32).fill(7) };
  const request = (...payloads: Payload[]) => encodeMessage({ header, payloads });

  async function gate() {
    const ports = somePorts();
    const transport = new UdpTransport({ ports });
    cleanUp.push(() => transport.close());
    const received = collect(transport);
    await transport.open(['127.0.0.2']);
    const peer = await plainSocket();
    const answers: Uint8Array[] = [];
    peer.on('message', (data) => answers.push(new Uint8Array(data)));
    return { transport, received, peer, answers, ports };
  }

  it.each([
    ['500', 0],
    ['4500, behind the marker,', 1],
  ] as const)(
    'on port %s asks for a COOKIE while it is to, and knows it again',
    async (_, which) => {
      const { transport, received, peer, answers, ports } = await gate();
      const bare = which === 0 ? [] : marker;
      const send = (data: Uint8Array) =>
        peer.send(Uint8Array.of(...bare, ...data), ports[which], '127.0.0.2');
      send(request(nonce));
      await until(() => received.length === 1);
      expect(received[0]).toMatchObject({ proved: false });

      transport.demandCookies(true);
      send(request(nonce));
      await until(() => answers.length === 1);
      expect([...answers[0]!.subarray(0, bare.length)]).toEqual(bare);
      const answer = decodeMessage(answers[0]!.subarray(bare.length));
      expect(answer.header).toMatchObject({ ...header, initiator: false, response: true });
      const [cookie] = answer.payloads;
      expect(cookie).toMatchObject({ kind: 'N', notifyType: NOTIFY.COOKIE });
      send(request(cookie!, nonce));
      await until(() => received.length === 2);
      expect(received[1]).toMatchObject({ proved: true });

      // No nonce: nothing that a COOKIE could be made of.
      send(request());
      await until(() => transport.counters().nonsense === 1);
      transport.demandCookies(false);
      send(request(nonce));
      await until(() => received.length === 3);
      expect(transport.counters()).toMatchObject({ 'cookies-demanded': 1, overflows: 0 });
    },
  );

  it('lets all through that bears an SPI of ours, and little that does not', async () => {
    const { transport, received, peer, ports } = await gate();
    const send = (responderSpi: IkeSpi) => {
      const auth = { ...header, responderSpi, exchangeType: EXCHANGE.IKE_AUTH, messageId: 1 };
      peer.send(encodeMessage({ header: auth, payloads: [] }), ports[0], '127.0.0.2');
    };
    for (let n = 0; n < 300; n++) send(`5${n.toString(16).padStart(15, '0')}` as IkeSpi);
    await until(() => received.length + transport.counters().foreign === 300);
    expect(transport.counters().foreign).toBeGreaterThan(150);
    received.length = 0;
    for (let n = 0; n < 300; n++) send(makeIkeSpi(0, 1, randomBytes, transport.spiKey));
    await until(() => received.length >= 300);
  });

  it('reads all that comes without a pause, in order, and opens anew between two reads', async () => {
    const { transport, received, peer, ports } = await gate();
    const send = (messageId: number) => {
      const responderSpi = makeIkeSpi(0, 1, randomBytes, transport.spiKey);
      const auth = { ...header, responderSpi, exchangeType: EXCHANGE.IKE_AUTH, messageId };
      const data = encodeMessage({ header: auth, payloads: [] });
      return new Promise((resolve) => peer.send(data, ports[0], '127.0.0.2', resolve));
    };
    for (let n = 0; n < 2_000; n++) await send(n);
    await until(() => received.length === 2_000);
    const numbers = received.map(({ data }) => peekHeader(data)!.messageId);
    expect(numbers).toEqual(Array.from({ length: 2_000 }, (_, n) => n));
    for (let n = 2_001; n < 2_020; n++) {
      await send(n);
      await until(() => received.length === n);
      await transport.open([]);
      await transport.open(['127.0.0.2']);
    }
  });

  it('counts what the kernel had no room for', async () => {
    const { transport, peer, ports } = await gate();
    const long = new Uint8Array(60_000);
    // In one turn, in which nothing is read.
    for (let n = 0; n < 400; n++) peer.send(long, ports[0], '127.0.0.2');
    await until(() => transport.counters().overflows > 0);
  });
});

describe('the network in memory', () => {
  it('carries markers as the wire does, and loses what the tap wants lost', async () => {
    const wire: number[][] = [];
    const network = new MemoryNetwork((_, __, data) => wire.push([...data]) !== 2);
    const [a, b] = [network.transport(), network.transport()];
    await a.open(['192.0.2.1']);
    await b.open(['192.0.2.2']);
    const received = collect(b);
    const at = (address: string, port: number) => ({ address, port });
    for (let i = 0; i < 3; i++) {
      a.send(at('192.0.2.1', 4500), at('192.0.2.2', 4500), true, message);
    }
    a.send(at('192.0.2.1', 500), at('192.0.2.2', 500), false, message);
    a.send(at('192.0.2.3', 500), at('192.0.2.2', 500), false, message);
    await until(() => received.length === 3);
    expect(wire).toEqual([
      ...Array.from({ length: 3 }, () => [...marker, ...message]),
      [...message],
    ]);
    for (const { data } of received) expect([...data]).toEqual([...message]);
    expect(a.counters()).toMatchObject({ sent: 4, 'no-socket': 1 });
  });
});
