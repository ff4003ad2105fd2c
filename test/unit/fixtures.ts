/** Documents that several tests of the control plane use. */
import type { Explanation } from '../../src/api/explain.js';
import type { Control } from '../../src/api/routes.js';
import type { Status } from '../../src/api/status.js';
import type { Plan } from '../../src/config/plan.js';
import { parseFilter } from '../../src/watch/filter.js';
import type { TraceAnswer } from '../../src/watch/packet-watcher.js';
import { fileHead, lossBlock } from '../../src/watch/pcapng.js';
import type { ProbeResult } from '../../src/watch/probe.js';

export const emptyStatus: Status = {
  version: '0.1.0',
  name: 'main',
  uptimeSeconds: 61,
  cryptoKernel: 'aesni',
  workers: 2,
  workerLoads: [],
  ports: [],
  connections: [],
  esp: { outPackets: 0, inPackets: 0, outBytes: 0, inBytes: 0 },
  drops: {},
};

export const busyStatus: Status = {
  ...emptyStatus,
  ports: [
    {
      name: 'lan0',
      role: 'lan',
      device: 'lan0',
      mode: 'xdp-native-copy',
      note: '',
      queues: 1,
      rxPackets: 12_345,
      txPackets: 1,
    },
  ],
  connections: [
    {
      name: 'office',
      wanted: 'up',
      lastError: 'an old error',
      ikeSas: [
        {
          initiatorSpi: '1111111111111111',
          responderSpi: '2222222222222222',
          role: 'initiator',
          state: 'established',
          local: '192.0.2.1:500',
          remote: '192.0.2.2:500',
          localId: 'a.example',
          remoteId: 'b.example',
          proposal: 'AES_GCM_16_128/PRF_HMAC_SHA2_256/CURVE25519',
          nat: 'none',
          ageSeconds: 3_700,
          childSas: [
            {
              name: 'net',
              state: 'installed',
              inboundSpi: '01000001',
              outboundSpi: '02000002',
              proposal: 'AES_GCM_16_128/ESN',
              protocol: 'esp',
              mode: 'tunnel',
              udpEncapsulation: false,
              esn: true,
              localSelectors: ['10.1.0.0/16'],
              remoteSelectors: ['10.2.0.0/16'],
              ageSeconds: 59,
              inPackets: 10,
              inBytes: 1_536,
              outPackets: 1,
              outBytes: 100,
            },
          ],
        },
      ],
    },
    { name: 'home', wanted: 'up', lastError: 'no answer from 192.0.2.9', ikeSas: [] },
    { name: 'lab', wanted: 'on-demand', ikeSas: [] },
  ],
  esp: { outPackets: 1, inPackets: 10, outBytes: 100, inBytes: 1_536 },
  drops: { 'replay-duplicate': 3, 'no-sa': 1_000 },
};

export const somePlan: Plan = {
  connections: [
    { connection: 'old', action: 'stop', changed: [] },
    { connection: 'office', action: 'restart', changed: ['remote.address', 'psk'] },
    { connection: 'home', action: 'renew', changed: ['esp'] },
    { connection: 'lab', action: 'stay', changed: [] },
    { connection: 'branch', action: 'start', changed: [] },
  ],
  ports: [
    { port: 'wan2', action: 'add', to: 'wan' },
    { port: 'lan1', action: 'reopen', from: 'lan', to: 'lan, packet' },
    { port: 'wan1', action: 'remove', from: 'wan' },
  ],
  settings: [
    { key: 'frames', from: '4096', to: '8192', when: 'next start' },
    { key: 'log_level', from: 'info', to: 'debug', when: 'now' },
  ],
  policies: false,
};

export const someExplanation: Explanation = {
  connection: 'home',
  state: 'down',
  summary: 'it is down, and is tried again',
  failure: {
    notify: 'no answer',
    explanation: 'no answer from 192.0.2.9:500 to IKE_SA_INIT, sent 7 times',
    child: 'net',
    secondsAgo: 61,
    unproved: false,
  },
  advice: ['does the peer run?', 'is UDP 500 let through?'],
};

export const someTrace: TraceAnswer = {
  report: {
    ...{ lane: 1, receivedAt: { port: 0 }, outbound: true, receivedBytes: 78 },
    received: {
      ...{ source: '10.1.0.5', destination: '10.2.0.9', protocol: 17, bytes: 64 },
      ...{ sourcePort: 4000, destinationPort: 53 },
    },
    ...{ beginTicks: 1400, workTicks: 300, finishTicks: 200, sendTicks: 100 },
    spi: 0xc0000001,
    sent: { source: '192.0.2.1', destination: '192.0.2.2', protocol: 50, bytes: 120 },
    ...{ sentBytes: 134, sentAt: { port: 1 }, sentFrames: 1, turned: false },
    ...{ verdict: 'sent', meaning: 'left through a port', dropped: false },
  },
  ...{ receivedOn: 'lan0', sentOn: 'wan0', connection: 'office', child: 'net' },
};

/** An Enhanced Packet Block of four bytes (draft-ietf-opsawg-pcapng §4.3). */
export const somePacketBlock = Buffer.from(
  '06000000240000000000000000000000000000000400000004000000deadbeef24000000',
  'hex',
);

/** A file with one packet, and seven lost. */
export const someCapture: readonly Buffer[] = [
  fileHead('esplane', [{ name: 'lan0', description: 'inside', link: 'ethernet' }]),
  lossBlock(7, 1_000),
  somePacketBlock,
];

export const someProbe: ProbeResult = {
  ...{ connection: 'office', local: '192.0.2.1:500', remote: '192.0.2.9:500', nat: 'none' },
  liveness: {
    ...{ requests: 5, lost: 1 },
    roundTripMilliseconds: { least: 1, median: 1.25, most: 3 },
  },
  pathMtu: 1420,
  tried: [
    { bytes: 1500, arrived: false },
    { bytes: 1420, arrived: true },
    { bytes: 1430, arrived: false },
  ],
  children: [{ name: 'net', pathMtu: 1500, innerMtu: 1438, lost: 2, received: 1000 }],
};

/** What a gateway answers that has one packet to show. */
export const someWatching: Pick<Control, 'capture' | 'trace' | 'probe'> = {
  probe: async (connection) => ({ ...someProbe, connection }),
  async capture({ filter }) {
    parseFilter(filter);
    const waiting = [...someCapture];
    return { read: () => waiting.shift() ?? new Uint8Array(), stop: () => {} };
  },
  async trace({ filter }) {
    parseFilter(filter);
    return someTrace;
  },
};
