import { describe, expect, it } from 'vitest';
import type { ChildSaStatus, Status } from '../../../src/api/status.js';
import { draw, drawLine, type LabView } from '../../../src/lab/draw.js';

function childSa(inboundSpi: string, outboundSpi: string, out: number, inward: number) {
  return {
    name: 'net',
    state: 'installed',
    inboundSpi,
    outboundSpi,
    proposal: 'AES_GCM_16_128/ESN',
    protocol: 'esp',
    mode: 'tunnel',
    udpEncapsulation: false,
    esn: true,
    localSelectors: [],
    remoteSelectors: [],
    ageSeconds: 10,
    inPackets: inward,
    inBytes: inward * 1000,
    outPackets: out,
    outBytes: out * 1000,
  } satisfies ChildSaStatus;
}

function status(uptimeSeconds: number, sa: ChildSaStatus, drops = {}): Status {
  const ikeSa = {
    initiatorSpi: '0123456789abcdef',
    responderSpi: 'fedcba9876543210',
    role: 'initiator',
    state: 'established',
    local: '192.0.2.1',
    remote: '192.0.2.2',
    localId: 'a',
    remoteId: 'b',
    proposal: 'AES_GCM_16_128/PRF_HMAC_SHA2_256/CURVE25519',
    nat: 'none',
    ageSeconds: 10,
    childSas: [sa],
  } as const;
  const port = {
    role: 'wan',
    device: 'wan',
    mode: 'xdp-native-copy',
    note: '',
    queues: 1,
  } as const;
  return {
    version: '0.1.0',
    name: 'a',
    uptimeSeconds,
    cryptoKernel: 'aesni',
    workerLoads: [],
    workers: 1,
    ports: [{ name: 'wan', ...port, rxPackets: 0, txPackets: 0 }],
    connections: [{ name: 'lab', wanted: 'up', ikeSas: [ikeSa] }],
    esp: { outPackets: 0, inPackets: 0, outBytes: 0, inBytes: 0 },
    drops,
  };
}

function view(): LabView {
  return {
    headline: 'esplane',
    elapsedSeconds: 3725,
    a: {
      host: ['10.1.0.2', 'fd01::2'],
      wan: ['192.0.2.1', '2001:db8::1'],
      status: status(12, childSa('0000a001', '0000b001', 5000, 70)),
      previous: status(10, childSa('0000a001', '0000b001', 1000, 50)),
    },
    b: {
      host: ['10.2.0.2', 'fd02::2'],
      wan: ['192.0.2.2', '2001:db8::2'],
      status: status(12, childSa('0000b001', '0000a001', 80, 4990), { too_big: 3 }),
      previous: undefined,
    },
    wire: { espPackets: 5080, clearTextPackets: 7 },
    ping: { sent: 20, received: 19, milliseconds: 0.214 },
    bulk: { name: 'TCP', aToB: 1.25e9 },
    doing: '',
  };
}

describe('the lab on the screen', () => {
  it('shows each SA from its sender, with what the other end received of it', () => {
    const [aToB, bToA] = draw(view()).filter((line) => /^[ab] -> [ab] /.test(line));
    // 4,000 packets of 1,000 bytes in two seconds.
    expect(aToB).toMatch(
      /^a -> b {2}0000b001 {2}AES_GCM_16_128\/ESN +2,000 +16.0 Mbit\/s +5,000 +4,990$/,
    );
    expect(bToA).toMatch(/^b -> a {2}0000a001 {2}AES_GCM_16_128\/ESN +0 +0 bit\/s +80 +70$/);
  });

  it('shows ping, bulk traffic, the wire and the drops by name', () => {
    const text = draw(view()).join('\n');
    expect(text).toContain('20 sent, 19 received, 0.21 ms');
    expect(text).toContain('a -> b 1.25 Gbit/s   b -> a -');
    expect(text).toContain('clear text 7');
    expect(text).toContain('gateway a: none');
    expect(text).toContain('gateway b: too_big 3');
    expect(text).toContain('01:02:05');
  });

  it('fits a terminal of 80 columns', () => {
    for (const line of draw(view())) expect(line.length).toBeLessThanOrEqual(80);
  });

  it('says why there is no tunnel', () => {
    const { a, ...rest } = view();
    const down = {
      ...a.status!,
      connections: [{ name: 'lab', wanted: 'up', lastError: 'no answer', ikeSas: [] } as const],
    };
    const lines = draw({ ...rest, a: { ...a, status: down } });
    expect(lines).toContain('tunnel  lab: no answer');
    expect(drawLine({ ...rest, a: { ...a, status: undefined } })).toContain('ping 19/20');
  });
});
