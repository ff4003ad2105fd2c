/**
 * IKE_SA_INIT, IKE_AUTH with a Child SA, and its Delete, as responder: esplane beside strongSwan's
 * charon. Both are asked by the same initiator, over UDP between two network namespaces; the
 * responder has one core, the initiator the other.
 *
 * A responder's figure is set-ups a second of its own CPU time, so that an initiator that is the
 * slower one does not hide it. charon has its userspace ESP (kernel-libipsec), esplane its SAD over
 * memory ports. Needs root and strongSwan.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { inNamespace, ipBatch, Namespaces } from '../../src/lab/namespaces.js';
import { Program, sleep, waitFor } from '../../src/lab/program.js';
import { link } from '../../src/lab/topology.js';
import { Authorities } from '../../test/authorities.js';
import {
  type BenchColumn,
  type BenchTable,
  describeMachine,
  median,
  printIfMain,
} from '../table.js';

const ROUNDS = 3;
const SECONDS = 5;
/**
 * Set-ups that are under way at once: they keep the responder's core busy, and are fewer than there
 * may be without a COOKIE.
 */
const CONNECTIONS = 30;
const RESPONDER_CPU = 0;
const INITIATOR_CPU = 1;
const INITIATOR = '192.0.2.1';
const RESPONDER = '192.0.2.2';
const IKE = 'aes128gcm16-prfsha256-x25519';
const ESP = 'aes128gcm16';

// Compiled, this file lies in build/bench/bench/ike.
const PART = join(dirname(fileURLToPath(import.meta.url)), '../setups-part.js');

const COLUMNS: readonly BenchColumn[] = [
  { key: 'authentication', title: 'x25519 and' },
  { key: 'esplane', title: 'esplane', unit: '1/core-s', digits: 0 },
  { key: 'charon', title: 'charon', unit: '1/core-s', digits: 0 },
  { key: 'ratio', title: 'ratio', digits: 2 },
];

type Authentication = 'psk' | 'ecdsa';
type Kind = 'esplane' | 'charon';

interface Figures {
  readonly setups: number;
  readonly failures: number;
}

class SetupBench {
  readonly #folder = mkdtempSync(join(tmpdir(), 'esplane-setups-'));
  readonly #namespaces = new Namespaces();
  readonly #pki = new Authorities();
  readonly #initiator: string;
  readonly #responder: string;

  constructor() {
    this.#initiator = this.#namespaces.add('initiator');
    this.#responder = this.#namespaces.add('responder');
    link(this.#initiator, 'wan', this.#responder, 'wan');
    ipBatch(this.#initiator, [`address add ${INITIATOR}/24 dev wan`]);
    ipBatch(this.#responder, [
      `address add ${RESPONDER}/24 dev wan`,
      'address add 10.2.0.1/32 dev lo',
    ]);
    this.#pki.make('root', { ca: true });
    this.#pki.make('r', { issuer: 'root', extensions: ['subjectAltName = DNS:r.bench'] });
    for (let i = 0; i < CONNECTIONS; i++) {
      const extensions = [`subjectAltName = DNS:i${i}.bench`];
      this.#pki.make(`i${i}`, { issuer: 'root', extensions });
    }
  }

  close(): void {
    this.#namespaces.remove();
    this.#pki.remove();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  /** Set-ups a second of the responder's CPU time. */
  async measure(kind: Kind, authentication: Authentication): Promise<number> {
    const folder = mkdtempSync(join(this.#folder, `${kind}-`));
    const start = kind === 'esplane' ? this.#startEsplane : this.#startCharon;
    const responder = await start.call(this, folder, authentication);
    try {
      const initiator = this.#program(
        this.#initiator,
        INITIATOR_CPU,
        join(folder, 'initiator.log'),
        [
          ...[process.execPath, PART, 'initiator'],
          this.#configuration(join(folder, 'initiator'), 'initiator', authentication),
          String(SECONDS),
        ],
      );
      await started('the initiator', initiator, 'warm');
      const before = cpuSeconds(responder.pid);
      await initiator.exited;
      const used = cpuSeconds(responder.pid) - before;
      const { setups, failures } = JSON.parse(initiator.lastLines(1)) as Figures;
      if (failures > setups / 100) throw new Error(`${failures} set-ups failed of ${setups}`);
      return setups / used;
    } finally {
      await responder.stop(2);
    }
  }

  #program(namespace: string, cpu: number, logFile: string, command: readonly string[]): Program {
    return new Program({
      namespace,
      command: ['taskset', '-c', String(cpu), ...command],
      logFile,
    });
  }

  async #startEsplane(folder: string, authentication: Authentication): Promise<Program> {
    const file = this.#configuration(folder, 'responder', authentication);
    const log = join(folder, 'responder.log');
    const command = [process.execPath, PART, 'responder', file];
    const program = this.#program(this.#responder, RESPONDER_CPU, log, command);
    await started('the responder', program, 'ready');
    return program;
  }

  /** A configuration in the words of esplane, for either side; the path of it. */
  #configuration(folder: string, role: 'initiator' | 'responder', by: Authentication): string {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    writeFileSync(join(folder, 'psk'), 'a key for benchmarks\n', { mode: 0o600 });
    const end = (name: string, address: string, network: string, own: boolean) => {
      const fields = [
        `address = "${address}"`,
        `id = "${name}.bench"`,
        `networks = ["${network}"]`,
      ];
      if (by === 'ecdsa' && own) {
        fields.push(`cert = "${this.#pki.path(`${name}.pem`)}"`);
        fields.push(`key = "${this.#pki.path(`${name}.key`)}"`);
      }
      if (by === 'ecdsa' && !own) fields.push(`ca = ["${this.#pki.path('root.pem')}"]`);
      return `{ ${fields.join(', ')} }`;
    };
    const connection = (i: number) => {
      const initiator = end(`i${i}`, INITIATOR, `10.1.${i}.0/24`, role === 'initiator');
      const responder = end('r', RESPONDER, '10.2.0.0/16', role === 'responder');
      const [local, remote] =
        role === 'initiator' ? [initiator, responder] : [responder, initiator];
      return [
        `[connection.c${i}]`,
        `local = ${local}`,
        `remote = ${remote}`,
        ...(by === 'psk' ? ['psk_file = "psk"'] : []),
        `ike = ["${IKE}"]`,
        `esp = ["${ESP}"]`,
        'start = "wait"',
        '',
      ];
    };
    const lines = [
      ...['[gateway]', 'name = "setups"', 'lan = ["lan"]', 'wan = ["wan"]', 'workers = 1'],
      ...['ike_workers = 1', 'half_open_per_address = 1000', ''],
      ...Array.from({ length: CONNECTIONS }, (_, i) => connection(i)).flat(),
    ];
    const path = join(folder, `${role}.toml`);
    writeFileSync(path, lines.join('\n'));
    return path;
  }

  async #startCharon(folder: string, authentication: Authentication): Promise<Program> {
    writeFileSync(join(folder, 'strongswan.conf'), charonDaemon(folder));
    writeFileSync(join(folder, 'swanctl.conf'), charonConnection(authentication));
    for (const [directory, file] of [
      ['x509', 'r.pem'],
      ['private', 'r.key'],
      ['x509ca', 'root.pem'],
    ] as const) {
      mkdirSync(join(folder, directory));
      const pem = readFileSync(this.#pki.path(file));
      writeFileSync(join(folder, directory, file), pem, { mode: 0o600 });
    }
    const environment = [`STRONGSWAN_CONF=${folder}/strongswan.conf`, `SWANCTL_DIR=${folder}`];
    const daemon = ['env', ...environment, '/usr/sbin/charon-systemd'];
    const log = join(folder, 'responder.log');
    const program = this.#program(this.#responder, RESPONDER_CPU, log, daemon);
    const load = ['swanctl', '--load-all', '--noprompt', '--uri', `unix://${folder}/vici.sock`];
    const [file, ...args] = inNamespace(this.#responder, ['env', ...environment, ...load]);
    await waitFor('charon', 10, async () => {
      await sleep(300);
      try {
        execFileSync(file!, args, { stdio: 'pipe' });
        return true;
      } catch {
        return undefined;
      }
    });
    return program;
  }
}

/** Waits for a word of a program; throws with its output where it does not come. */
async function started(what: string, program: Program, word: string): Promise<void> {
  await waitFor(what, 300, () => {
    if (!program.running) throw new Error(`${what} has ended:\n${program.lastLines()}`);
    return program.log().includes(word) || undefined;
  });
}

/** Without files of logs, limits, COOKIEs and routes. */
function charonDaemon(folder: string): string {
  return `charon {
  load = kernel-libipsec random nonce openssl pem pkcs1 pkcs8 pubkey x509 kdf kernel-netlink socket-default vici
  cookie_threshold = 0
  install_routes = no
  block_threshold = 0
  ikesa_table_size = 1024
  ikesa_table_segments = 16
  plugins { vici { socket = unix://${folder}/vici.sock } }
  filelog { main { path = ${folder}/charon.log
    default = 0 } }
}
charon-systemd { journal { default = -1 } }
swanctl { load = pem pkcs1 pkcs8 pubkey x509 openssl random }
`;
}

function charonConnection(authentication: Authentication): string {
  const auth = authentication === 'psk' ? 'auth = psk' : 'auth = pubkey';
  return `connections { gw {
  version = 2
  local_addrs = ${RESPONDER}
  remote_addrs = ${INITIATOR}
  proposals = ${IKE}
  unique = never
  send_cert = always
  local { ${auth}
    id = r.bench
    ${authentication === 'psk' ? '' : 'certs = r.pem'} }
  remote { ${auth}
    ${authentication === 'psk' ? '' : 'cacerts = root.pem'} }
  children { net { esp_proposals = ${ESP}
    local_ts = 10.2.0.0/16
    remote_ts = 10.1.0.0/16 } }
} }
secrets { ike-any { secret = "a key for benchmarks" } }
`;
}

/** CPU time of a process with all its threads, in seconds (proc(5), schedstat). */
function cpuSeconds(pid: number): number {
  const tasks = `/proc/${pid}/task`;
  const nanoseconds = readdirSync(tasks).map((task) =>
    Number(readFileSync(`${tasks}/${task}/schedstat`, 'utf8').split(' ')[0]),
  );
  return nanoseconds.reduce((sum, value) => sum + value, 0) / 1e9;
}

export async function benchSetups(): Promise<BenchTable> {
  const bench = new SetupBench();
  try {
    const rows = [];
    for (const [authentication, title] of [
      ['psk', 'a pre-shared key'],
      ['ecdsa', 'ECDSA P-256 certificates'],
    ] as const) {
      const esplane: number[] = [];
      const charon: number[] = [];
      for (let round = 0; round < ROUNDS; round++) {
        charon.push(await bench.measure('charon', authentication));
        esplane.push(await bench.measure('esplane', authentication));
      }
      rows.push({
        authentication: title,
        esplane: median(esplane),
        charon: median(charon),
        ratio: median(esplane) / median(charon),
      });
    }
    return {
      name: 'setups',
      title: 'IKE SA with a Child SA, set up and deleted, as responder',
      notes: [
        `${CONNECTIONS} at once, ${ROUNDS} rounds of ${SECONDS} s in turns, medians; ${IKE}, ${ESP}.`,
        "Set-ups a second of the responder's CPU time.",
      ],
      machine: describeMachine(),
      columns: COLUMNS,
      rows,
    };
  } finally {
    bench.close();
  }
}

await printIfMain(import.meta.url, benchSetups);
