/**
 * The programs that bench/esp/forwarder.ts runs in namespaces of its own:
 *
 *   gateway {"plain": false, "seconds": 3}   between `lan` and `wan`; says `ready`, then JSON
 *   source {"bytes": 1400, "cpu": 0}         sends on `gen` until its standard input ends
 */
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { makeFrames } from '../src/bench/frames.js';
import { Secret } from '../src/crypto/secret.js';
import { addon } from '../src/dataplane/addon.js';
import { NativeDataplane } from '../src/dataplane/native.js';
import type { EspSpi } from '../src/sad/sad.js';
import { parseSelector } from '../src/wire/traffic-selector.js';
import { GENERATOR_MAC, LAN_MAC, LEFT, RIGHT } from './forwarder-addresses.js';

interface GatewayOptions {
  readonly plain: boolean;
  readonly seconds: number;
  readonly cpu: number;
}

const local = [parseSelector(LEFT.network)];
const remote = [parseSelector(RIGHT.network)];

function makeDataplane({ plain, cpu }: GatewayOptions): NativeDataplane {
  const dataplane = NativeDataplane.create({
    workers: 1,
    maxChildSas: 16,
    framesPerQueue: 8192,
    frameBytes: 2048,
    cpus: [cpu],
    plainForwarding: plain,
  });
  const port = { kind: 'xdp', queues: 1 } as const;
  dataplane.addPort({ name: 'lan', role: 'lan', device: 'lan', ...port });
  dataplane.addPort({ name: 'wan', role: 'wan', device: 'wan', ...port });
  dataplane.setNetworks({
    localAddresses: [LEFT.lan, LEFT.wan],
    localProtected: [LEFT.network],
    remoteProtected: [RIGHT.network],
  });
  dataplane.setSpd([
    {
      action: 'protect',
      direction: 'outbound',
      policy: 'tunnel',
      localSelectors: local,
      remoteSelectors: remote,
    },
  ]);
  return dataplane;
}

function installPair(dataplane: NativeDataplane): void {
  dataplane.install({
    policy: 'tunnel',
    protocol: 'esp',
    mode: 'tunnel',
    local: { address: LEFT.wan, port: 500 },
    remote: { address: RIGHT.wan, port: 500 },
    udpEncapsulation: false,
    inboundSpi: dataplane.allocateSpi(),
    outboundSpi: 0x1000 as EspSpi,
    encryption: 20,
    keyBits: 128,
    integrity: 0,
    inboundKey: new Secret(new Uint8Array(20).fill(1)),
    outboundKey: new Secret(new Uint8Array(20).fill(2)),
    esn: false,
    replayWindow: 4096,
    localSelectors: local,
    remoteSelectors: remote,
  });
}

/** Packets that left through the WAN port, a second, over the given time. */
async function runGateway(options: GatewayOptions): Promise<void> {
  const dataplane = makeDataplane(options);
  installPair(dataplane);
  dataplane.start();
  process.stdout.write('ready\n');
  await once(process.stdin, 'data'); // traffic flows
  const counted = () => {
    const [lan, wan] = dataplane.ports();
    return { arrived: Number(lan!.rxPackets + lan!.rxDropped), sent: Number(wan!.txPackets) };
  };
  await sleep(300);
  const [before, started] = [counted(), performance.now()];
  await sleep(options.seconds * 1000);
  const after = counted();
  const packets = after.sent - before.sent;
  const seconds = (performance.now() - started) / 1000;
  const lost = 1 - packets / (after.arrived - before.arrived);
  const { drops, espOutPackets } = dataplane.statistics();
  const modes = dataplane.ports().map(({ mode }) => mode);
  const esp = Number(espOutPackets);
  const dropped = Object.entries(drops).filter(([, count]) => count > 0n);
  const named = Object.fromEntries(dropped.map(([name, count]) => [name, Number(count)]));
  dataplane.stop();
  process.stdout.write(
    `${JSON.stringify({ packetsPerSecond: packets / seconds, lost, esp, modes, drops: named })}\n`,
  );
}

async function runSource({ bytes, cpu }: { bytes: number; cpu: number }): Promise<void> {
  const ends = { source: '10.1.0.10', destination: '10.2.0.7' };
  const macs = { sourceMac: GENERATOR_MAC, destinationMac: LAN_MAC };
  const frames = makeFrames({ ...ends, ...macs }, bytes, 16);
  const source = new addon.TrafficSource({ device: 'gen', frames, cpu });
  process.stdout.write('ready\n');
  process.stdin.resume();
  await once(process.stdin, 'end');
  process.stdout.write(`${source.sent()}\n`);
  source.stop();
}

const [role, json] = process.argv.slice(2);
if (role === 'gateway') await runGateway(JSON.parse(json!));
if (role === 'source') await runSource(JSON.parse(json!));
process.exit();
