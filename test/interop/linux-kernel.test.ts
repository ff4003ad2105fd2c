/** esplane with a real Linux kernel's ESP, keyed by charon inside it; and tshark as the witness. */
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { GatewayProcess } from '../../src/lab/gateway-process.js';
import { execute, inNamespace, ip, ipBatch } from '../../src/lab/namespaces.js';
import { Program } from '../../src/lab/program.js';
import { ping } from '../../src/lab/traffic.js';
import { Capture, CLEAR_TEXT, fetchCommand, fetchDigest } from './support/capture.js';
import { Charon } from './support/charon.js';
import { charonOptions, ourView, type Suite, startGateway, theirView } from './support/gateway.js';
import { LinuxKernel } from './support/linux-kernel.js';
import { makeNetwork, type Network, peerAddresses, whyNot } from './support/network.js';
import { guestPlace } from './support/place.js';
import { decrypted, keysFromLog } from './support/tshark.js';

const why = whyNot('linux.uml', 'charon-systemd', 'swanctl', 'tcpdump', 'tshark', 'ethtool');
const common = { ike: 'aes256gcm16-prfsha256-x25519' };
const RAW = 'ip proto 50 or ip6 proto 50';
const AH = 'ip proto 51 or ip6 proto 51';
const UDP = 'udp port 4500';
const DATA_BYTES = 4_000_000;

const cases: [string, Suite, string][] = [
  ['ESP over IPv4', { ...common, esp: 'aes128gcm16', family: 'ipv4' }, RAW],
  ['ESP over IPv6', { ...common, esp: 'aes256gcm16', family: 'ipv6' }, RAW],
  ['ESP in UDP over IPv4', { ...common, esp: 'aes256gcm16', family: 'ipv4', forceUdp: true }, UDP],
  ['ESP in UDP over IPv6', { ...common, esp: 'aes128gcm16', family: 'ipv6', forceUdp: true }, UDP],
  ['ESP with ESN', { ...common, esp: 'aes128gcm16-esn' }, RAW],
  ['AES-CBC with HMAC-SHA2-512', { ...common, esp: 'aes256-sha512-noesn' }, RAW],
  ['ChaCha20-Poly1305 over IPv6', { ...common, esp: 'chacha20poly1305', family: 'ipv6' }, RAW],
  ['AH over IPv4', { ...common, esp: '', ah: 'sha256' }, AH],
  ['AH with ESN over IPv6', { ...common, esp: '', ah: 'sha384-esn', family: 'ipv6' }, AH],
];

describe.skipIf(why)(`the Linux kernel${why === undefined ? '' : ` (${why})`}`, () => {
  let network: Network;
  let kernel: LinuxKernel;
  let ourServer: Program;
  let gateway: GatewayProcess | undefined;
  let charon: Charon | undefined;
  const digests = { ours: '', theirs: '' };

  beforeAll(async () => {
    network = makeNetwork(false);
    const { ours, peer, folder } = network;
    const { namespace, device } = peer;
    kernel = await LinuxKernel.boot({ namespace, device, folder: join(folder, 'kernel') });
    const lines = peerAddresses({ ...peer, device: 'vec0' }).map((line) => `ip ${line}`);
    await kernel.run(lines.join('\n'));
    // Charon's routes have the right source addresses; the way there is the default route.
    await kernel.run(`ip route add default via ${ours.wan.ipv4}`);
    await kernel.run(`ip route add ::/0 via ${ours.wan.ipv6}`);
    // Both sides serve a file over HTTP; whoever fetches it must get the same bytes.
    const makeFile = (path: string): string =>
      `head -c ${DATA_BYTES} /dev/urandom > ${path}/data; sha256sum < ${path}/data | cut -d ' ' -f 1`;
    const serve = (path: string): string[] => {
      return ['python3', '-m', 'http.server', '--bind', '::', '--directory', path, '8000'];
    };
    digests.ours = execute(['sh', '-c', makeFile(folder)]).trim();
    ourServer = new Program({
      namespace: ours.hostNamespace,
      command: serve(folder),
      logFile: join(folder, 'http.log'),
    });
    digests.theirs = (await kernel.run(`mkdir /run/www; ${makeFile('/run/www')}`)).trim();
    await kernel.run(`${serve('/run/www').join(' ')} >/run/http.log 2>&1 </dev/null &`);
  });

  afterEach(async () => {
    await charon?.stop();
    await gateway?.stop();
    charon = undefined;
    gateway = undefined;
  });

  afterAll(async () => {
    await ourServer?.stop();
    await kernel?.stop();
    network?.remove();
  });

  async function startBoth(suite: Suite): Promise<[GatewayProcess, Charon]> {
    gateway = await startGateway(network, suite);
    charon = await Charon.start(guestPlace(kernel), charonOptions(network, 'kernel', suite));
    return [gateway, charon];
  }

  it.each(cases)('%s: agrees, and carries ping and files both ways', async (_, suite, onWire) => {
    const { ours, peer, folder } = network;
    const capture = await Capture.start(peer.namespace, peer.device, folder);
    const [gateway, charon] = await startBoth(suite);
    await gateway.up();
    expect(theirView((await charon.sas())[0])).toMatchObject(withoutEsn(await ourView(gateway)));
    const protocol = suite.ah === undefined ? 'esp' : 'ah';
    expect(await kernel.run('ip xfrm state')).toContain(`proto ${protocol} `);

    const pings = { count: 5, intervalSeconds: 0.05, bytes: 600 };
    const all = { sent: 5, received: 5 };
    for (const family of ['ipv4', 'ipv6'] as const) {
      expect(await ping(ours.hostNamespace, peer.host[family], pings)).toMatchObject(all);
      const back = `ping -q -n -c 5 -i 0.05 -W 1 -I ${peer.host[family]} ${ours.host[family]}`;
      expect((await kernel.exec(back)).output).toContain('5 received');
    }
    const theirUrl = `http://${peer.host.ipv4}:8000/data`;
    expect(fetchDigest(ours.hostNamespace, theirUrl)).toBe(`${digests.theirs} ${DATA_BYTES}`);
    const fetch = fetchCommand(`http://${ours.host.ipv4}:8000/data`);
    expect((await guestPlace(kernel).run(fetch)).trim()).toBe(`${digests.ours} ${DATA_BYTES}`);

    await capture.stop();
    expect(capture.count(onWire)).toBeGreaterThan(1000);
    for (const other of [RAW, AH, UDP]) {
      const long = other === UDP ? `${UDP} and greater 400` : other;
      if (other !== onWire) expect(capture.count(long)).toBe(0);
    }
    expect(capture.count(CLEAR_TEXT)).toBe(0);
  });

  it.each([
    ['over IPv4', { ...common, esp: 'aes128gcm16', family: 'ipv4' }],
    ['over IPv6', { ...common, esp: 'aes128gcm16', family: 'ipv6' }],
    ['in UDP', { ...common, esp: 'aes128gcm16', family: 'ipv4', forceUdp: true }],
  ] as [string, Suite][])(
    'takes and makes fragments %s: 1800 and 8000 bytes through an MTU of 1500',
    async (_, suite) => {
      const { ours, peer, folder } = network;
      const capture = await Capture.start(peer.namespace, peer.device, folder);
      const [gateway] = await startBoth(suite);
      await gateway.up();
      // Without DF: Linux fragments behind ESP, esplane before it.
      for (const size of [1772, 7972]) {
        const pings = { count: 5, intervalSeconds: 0.05, bytes: size };
        const all = { sent: 5, received: 5 };
        expect(await ping(ours.hostNamespace, peer.host.ipv4, pings)).toMatchObject(all);
        const back = `ping -q -n -c 5 -i 0.05 -W 1 -s ${size} -I ${peer.host.ipv4} ${ours.host.ipv4}`;
        expect((await kernel.exec(back)).output).toContain('5 received');
      }
      await capture.stop();
      const fragments =
        suite.family === 'ipv6' ? 'ip6 proto 44' : 'ip[6:2] & 0x3fff != 0 and (ip proto 50 or udp)';
      const from = (address: string): string => `src ${address} and (${fragments})`;
      expect(capture.count(from(peer.wan[suite.family ?? 'ipv4']))).toBeGreaterThan(10);
      expect(capture.count(from(ours.wan[suite.family ?? 'ipv4']))).toBe(0);
      expect(capture.count(CLEAR_TEXT)).toBe(0);
    },
  );

  describe('and this host itself', () => {
    let ownServer: Program;

    beforeAll(() => {
      const { ours, folder } = network;
      const serve = ['python3', '-m', 'http.server', '--bind', '::', '--directory', folder, '8000'];
      const namespace = ours.gatewayNamespace;
      ownServer = new Program({ namespace, command: serve, logFile: join(folder, 'own-http.log') });
    });
    afterAll(async () => {
      await ownServer?.stop();
    });

    const url = (address: string): string =>
      `http://${address.includes(':') ? `[${address}]` : address}:8000/data`;

    /** Files both ways between a namespace and the peer's address. */
    async function exchangeFiles(namespace: string, ours: string, theirs: string): Promise<void> {
      expect(fetchDigest(namespace, url(theirs))).toBe(`${digests.theirs} ${DATA_BYTES}`);
      const back = await guestPlace(kernel).run(fetchCommand(url(ours)));
      expect(back.trim()).toBe(`${digests.ours} ${DATA_BYTES}`);
    }

    it('in transport mode: raised by a packet, carries ping, fragments and files both ways', async () => {
      const { ours, peer, folder } = network;
      for (const family of ['ipv4', 'ipv6'] as const) {
        const suite: Suite = { ...common, esp: 'aes128gcm16', family };
        const [here, there] = [ours.wan[family], peer.wan[family]];
        const capture = await Capture.start(peer.namespace, peer.device, folder);
        const transport = { mode: 'transport', start: 'trap' } as const;
        const only = (end: { readonly address: string; readonly id?: string }) => ({
          ...end,
          networks: [`${end.address}/${family === 'ipv4' ? 32 : 128}`],
        });
        gateway = await startGateway(network, suite, {
          ...transport,
          local: only({ address: here, id: 'a.test' }),
          remote: only({ address: there, id: 'b.test' }),
        });
        const options = charonOptions(network, 'kernel', suite);
        const words = { mode: 'transport' } as const;
        charon = await Charon.start(guestPlace(kernel), {
          ...options,
          children: { net: [[`${there}`], [`${here}`], words] },
        });
        await ping(ours.gatewayNamespace, there, { count: 1 });
        const { childSa } = await gateway.waitForTunnel();
        expect(childSa.mode).toBe('transport');
        expect(await kernel.run('ip xfrm state')).toContain('mode transport');
        for (const bytes of [600, 3000]) {
          const pings = { count: 3, intervalSeconds: 0.05, bytes };
          expect(await ping(ours.gatewayNamespace, there, pings)).toMatchObject({ received: 3 });
          const back = `ping -q -n -c 3 -i 0.05 -W 1 -s ${bytes} ${here}`;
          expect((await kernel.exec(back)).output).toContain('3 received');
        }
        await exchangeFiles(ours.gatewayNamespace, here, there);
        await capture.stop();
        expect(capture.count(RAW)).toBeGreaterThan(1000);
        expect(capture.count('tcp or icmp or (icmp6 and ip6[40] >= 128 and ip6[40] < 133)')).toBe(
          0,
        );
        await charon.stop();
        charon = undefined;
        await gateway.stop();
        gateway = undefined;
        // The guard keeps what no daemon protects; the next one has a policy of its own.
        const left = `ping -n -q -c 1 -W 1 ${there} || true`;
        const namespace = inNamespace(ours.gatewayNamespace, ['sh', '-c', left]);
        expect(execute(namespace)).toContain('0 received');
      }
    });

    it('by a route-based tunnel: what is routed into its interface, of this host and of others', async () => {
      const { ours, peer, folder } = network;
      const suite: Suite = { ...common, esp: 'aes256gcm16', family: 'ipv4' };
      const capture = await Capture.start(peer.namespace, peer.device, folder);
      const own = { start: 'trap', interface: 'ipsec0' } as const;
      gateway = await startGateway(network, suite, own);
      const routes = (way: readonly [string, string]) =>
        ipBatch(ours.gatewayNamespace, [
          `route replace ${peer.networks.ipv4} ${way[0]}`,
          `route replace ${peer.networks.ipv6} ${way[1]}`,
        ]);
      routes([`dev ipsec0 src ${ours.lan.ipv4}`, `dev ipsec0 src ${ours.lan.ipv6}`]);
      charon = await Charon.start(guestPlace(kernel), charonOptions(network, 'kernel', suite));
      await ping(ours.gatewayNamespace, peer.host.ipv4, { count: 1 });
      const { childSa } = await gateway.waitForTunnel();
      // Everything is asked for; the peer takes its part of it.
      expect(childSa.remoteSelectors).toEqual(Object.values(peer.networks));
      expect(ip(['-n', ours.gatewayNamespace, 'link', 'show', 'ipsec0'])).toContain('mtu 1446');

      const pings = { count: 3, intervalSeconds: 0.05, bytes: 600 };
      for (const family of ['ipv4', 'ipv6'] as const) {
        for (const [namespace, address] of [
          [ours.gatewayNamespace, ours.lan[family]],
          [ours.hostNamespace, ours.host[family]],
        ] as const) {
          expect(await ping(namespace, peer.host[family], pings)).toMatchObject({ received: 3 });
          const back = `ping -q -n -c 3 -i 0.05 -W 1 -I ${peer.host[family]} ${address}`;
          expect((await kernel.exec(back)).output).toContain('3 received');
        }
      }
      await exchangeFiles(ours.gatewayNamespace, ours.lan.ipv4, peer.host.ipv4);
      await exchangeFiles(ours.hostNamespace, ours.host.ipv6, peer.host.ipv6);

      // No daemon, no tunnel: what is routed into the interface goes nowhere.
      await gateway.stop();
      gateway = undefined;
      const before = await capture.stop();
      expect(before.count(RAW)).toBeGreaterThan(1000);
      expect(before.count(CLEAR_TEXT)).toBe(0);
      expect(await ping(ours.hostNamespace, peer.host.ipv4, { count: 1 })).toMatchObject({
        received: 0,
      });
      ip(['-n', ours.gatewayNamespace, 'link', 'del', 'ipsec0']);
      routes([`via ${peer.wan.ipv4}`, `via ${peer.wan.ipv6}`]);
    });
  });

  it('lets tshark decrypt every IKE message and ESP packet without a warning', async () => {
    const { ours, peer, folder } = network;
    const capture = await Capture.start(peer.namespace, peer.device, folder);
    const [gateway, charon] = await startBoth({
      ike: 'aes128gcm16-prfsha256-x25519',
      esp: 'aes128gcm16-noesn',
    });
    await gateway.up();
    const sa = (await charon.sas())[0]!;
    await ping(ours.hostNamespace, peer.host.ipv4, { count: 5, intervalSeconds: 0.05 });
    await gateway.down();
    await capture.stop();
    const keys = keysFromLog(await charon.log(), sa);

    const warnings = decrypted(capture.file, keys, '_ws.expert', ['frame.number', '_ws.expert']);
    expect(warnings).toEqual([]);
    const messages = decrypted(capture.file, keys, 'isakmp', [
      'frame.number',
      'isakmp.enc.decrypted',
    ]);
    const ikePackets = capture.count('udp port 500 or udp port 4500');
    expect(messages).toHaveLength(ikePackets);
    // All but the two of IKE_SA_INIT are encrypted: IKE_AUTH, and the INFORMATIONAL of the Delete.
    expect(messages.filter(([, text]) => text !== '')).toHaveLength(ikePackets - 2);
    expect(ikePackets).toBeGreaterThanOrEqual(6);
    const icmp = decrypted(capture.file, keys, 'esp && icmp', ['esp.icv_good', 'icmp.type']);
    expect(icmp).toHaveLength(10);
    expect(icmp.every(([good]) => good === '1')).toBe(true);
  });
});

/** charon lists ESN apart. */
function withoutEsn<T extends { esp: string }>(view: T): T {
  return { ...view, esp: view.esp.replace('/ESN', '') };
}
