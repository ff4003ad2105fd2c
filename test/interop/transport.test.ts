/**
 * Transport mode with a real Linux kernel, keyed by charon in it: ESP, ESP in UDP, AH. Our host is a
 * namespace with a TUN, whose packets go through the dataplane over memory ports:
 *
 *     host (TUN) --- esplane === Linux with charon
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { GatewayConfig } from '../../src/config/gateway-config.js';
import { loadConfig } from '../../src/config/load.js';
import { MemoryHost } from '../../src/dataplane/memory-host.js';
import { Ike } from '../../src/ike/ike.js';
import { Namespaces } from '../../src/lab/namespaces.js';
import { Program } from '../../src/lab/program.js';
import { silentLog } from '../../src/log.js';
import { type Gateway, memoryParts, runGateway } from '../../src/main.js';
import { inlineLinks } from '../../src/workers/link.js';
import { frame } from '../unit/dataplane/packets.js';
import { protectedFrame } from './matrix/wire.js';
import { fetchCommand } from './support/capture.js';
import { Charon, PSK } from './support/charon.js';
import { FrameTransport } from './support/frame-transport.js';
import { GuestWire } from './support/guest-wire.js';
import { LinuxKernel } from './support/linux-kernel.js';
import { whyNot } from './support/network.js';
import { guestPlace } from './support/place.js';
import { TunHost } from './support/tun-host.js';
import type { ChildWords } from './support/udp-gateway.js';

const why = whyNot('linux.uml', 'charon-systemd', 'swanctl', 'python3');
const OURS = '192.0.2.1';
const THEIRS = '192.0.2.2';
const OUR_MAC = '02:00:00:00:00:01';
const IKE = 'aes128gcm16-prfsha256-x25519';
const DATA_BYTES = 300_000;

interface Case extends Omit<ChildWords, 'mode'> {
  readonly forceUdp?: boolean;
  /** What is on the wire, as `protectedFrame` calls it. */
  readonly form: string;
}

const CASES: readonly [string, Case][] = [
  ['ESP', { esp: 'aes256gcm16', form: 'esp 4' }],
  ['ESP in UDP', { esp: 'aes128-sha256', forceUdp: true, form: 'esp 4 udp' }],
  ['AH', { ah: 'sha256', form: 'ah 4' }],
];

describe.skipIf(why)(`transport mode${why === undefined ? '' : ` (${why})`}`, () => {
  const folder = mkdtempSync(join(tmpdir(), 'esplane-transport-'));
  const links = { lan: `lan-${folder}`, wan: `wan-${folder}`, kernel: `kernel-${folder}` };
  /** Forms of the packets that crossed the wire, and what was neither ESP nor AH nor IKE. */
  const seen = { forms: new Set<string>(), others: 0 };
  let namespaces: Namespaces;
  let wire: GuestWire;
  let kernel: LinuxKernel;
  let host: TunHost;
  let server: Program;
  let transport: FrameTransport;
  let poll: NodeJS.Timeout;
  let ends: { lan: MemoryHost; wan: MemoryHost; kernel: MemoryHost } | undefined;
  let gateway: Gateway | undefined;
  let charon: Charon | undefined;

  beforeAll(async () => {
    namespaces = new Namespaces();
    const namespace = namespaces.add('host');
    wire = await GuestWire.open();
    kernel = await LinuxKernel.boot({ wire, folder: join(folder, 'kernel') });
    await kernel.run(
      [
        `ip address add ${THEIRS}/24 dev vec0`,
        `ip neighbour replace ${OURS} lladdr ${OUR_MAC} dev vec0 nud permanent`,
        `mkdir /run/www; head -c ${DATA_BYTES} /dev/zero > /run/www/data`,
        'python3 -m http.server --directory /run/www 8000 >/run/http.log 2>&1 </dev/null &',
      ].join('\n'),
    );
    host = await TunHost.start(namespace, `${OURS}/24`, (packet) =>
      ends?.lan.send([frame(packet)]),
    );
    writeFileSync(join(folder, 'data'), new Uint8Array(DATA_BYTES));
    server = new Program({
      namespace,
      command: ['python3', '-m', 'http.server', '--directory', folder, '8000'],
      logFile: join(folder, 'http.log'),
    });
    wire.onFrame((received) => {
      if (transport?.receive(received)) return;
      note(received);
      ends?.wan.send([received]);
    });
    poll = setInterval(carry, 1);
  });

  afterEach(async () => {
    await charon?.stop();
    await gateway?.stop();
    for (const end of Object.values(ends ?? {})) end.close();
    charon = undefined;
    gateway = undefined;
    ends = undefined;
  });

  afterAll(async () => {
    clearInterval(poll);
    await server?.stop();
    await host?.stop();
    await kernel?.stop();
    wire?.close();
    namespaces?.remove();
    rmSync(folder, { recursive: true, force: true });
  });

  /** From the dataplane to the wire, and to our host. */
  function carry(): void {
    if (ends === undefined) return;
    for (const sent of ends.wan.receive()) {
      note(sent);
      wire.send(sent);
    }
    host.deliver(ends.kernel.receive());
  }

  function note(passing: Uint8Array): void {
    const isArp = passing[12] === 0x08 && passing[13] === 0x06;
    const isMulticast = (passing[0]! & 1) === 1;
    const form = protectedFrame(passing)?.form;
    if (form !== undefined) seen.forms.add(form);
    else if (!isArp && !isMulticast) seen.others++;
  }

  async function startBoth(row: Case): Promise<void> {
    const { esp, ah, forceUdp = false } = row;
    transport = new FrameTransport((sent) => wire.send(sent));
    const parts = memoryParts({
      log: silentLog,
      transport,
      localAddresses: [OURS],
      reinjectLink: links.kernel,
      openLink: (dataplane) =>
        inlineLinks({ sad: dataplane, makeCore: (environment) => new Ike(environment) }),
    });
    gateway = await runGateway(configuration(row), parts);
    const [lan, wan] = [new MemoryHost(links.lan), new MemoryHost(links.wan)];
    ends = { lan, wan, kernel: new MemoryHost(links.kernel) };
    const words = { ...(esp && { esp }), ...(ah && { ah }), mode: 'transport' } as const;
    const side = (address: string, id: string) => ({ address, id, networks: [`${address}/32`] });
    charon = await Charon.start(guestPlace(kernel), {
      ...{ esp: 'kernel', local: side(THEIRS, 'b.test'), remote: side(OURS, 'a.test') },
      children: { net: [[`${THEIRS}/32`], [`${OURS}/32`], words] },
      ...{ ikeProposal: IKE, espProposal: '', forceUdp },
    });
    seen.forms.clear();
    seen.others = 0;
  }

  function configuration({ esp, ah, forceUdp = false }: Case): GatewayConfig {
    const file = join(folder, 'gateway.toml');
    writeFileSync(join(folder, 'psk'), `${PSK}\n`, { mode: 0o600 });
    const lines = [
      ...['[gateway]', 'lan = ["lan0"]', 'wan = ["wan0"]', '[connection.office]'],
      `local = { address = "${OURS}", id = "a.test" }`,
      `remote = { address = "${THEIRS}", id = "b.test" }`,
      ...['psk_file = "psk"', 'mode = "transport"', 'start = "wait"', `ike = ["${IKE}"]`],
      ah === undefined ? `esp = ["${esp}"]` : `ah = ["${ah}"]`,
      `udp_encapsulation = "${forceUdp ? 'always' : 'auto'}"`,
    ];
    writeFileSync(file, lines.join('\n'));
    const port = { kind: 'memory', device: '', queues: 1 } as const;
    const lan = { ...port, name: 'lan', role: 'lan', link: links.lan, networks: [] } as const;
    const networks = ['192.0.2.0/24'];
    const wan = { ...port, name: 'wan', role: 'wan', link: links.wan, networks } as const;
    const ports = [lan, { ...wan, addresses: [OURS] }];
    return { ...loadConfig(file), ports, workers: 1, ikeWorkers: 1 };
  }

  it.each(CASES)('%s: agrees, and carries ping and TCP both ways', async (_, row) => {
    await startBoth(row);
    expect(await gateway!.up('office')).toMatchObject({ result: 'established' });
    const { connections } = await gateway!.status();
    const [child] = connections[0]!.ikeSas[0]!.childSas;
    expect(child).toMatchObject({ mode: 'transport', protocol: row.ah ? 'ah' : 'esp' });
    expect(await kernel.run('ip xfrm state')).toContain('mode transport');

    const ping = ['ping', '-q', '-n', '-c', '5', '-i', '0.05', '-W', '2', '-s', '600'];
    expect(await host.run([...ping, THEIRS])).toContain('5 received');
    expect((await kernel.exec([...ping, OURS].join(' '))).output).toContain('5 received');
    const fetched = await host.run(fetchCommand(`http://${THEIRS}:8000/data`));
    expect(fetched).toContain(` ${DATA_BYTES}`);
    const back = await guestPlace(kernel).run(fetchCommand(`http://${OURS}:8000/data`));
    expect(back).toBe(fetched);
    expect([...seen.forms]).toEqual([row.form]);
    expect(seen.others).toBe(0);
  });
});
