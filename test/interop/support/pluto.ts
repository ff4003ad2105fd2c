/**
 * libreswan's pluto as a peer, in a namespace. Its package conflicts with strongSwan's, so it is
 * unpacked below build/ instead of installed (scripts/packages.mjs), and sees itself where it would
 * be in a mount namespace of its own. Its ESP is the kernel's, which may have none: then there are
 * IKE SAs, and no Child SAs.
 */
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { waitFor } from '../../../src/lab/program.js';
import { PSK } from './charon.js';
import type { Place, Running } from './place.js';

const root = fileURLToPath(new URL('../../../build/libreswan', import.meta.url));
const BIN = '/usr/libexec/ipsec';
const machine = process.arch === 'x64' ? 'x86_64' : 'aarch64';
const libraries = `${root}/usr/lib/${machine}-linux-gnu`;
/** Before a command: with the libraries that came with it. */
const WITH_LIBRARIES = ['env', `LD_LIBRARY_PATH=${libraries}:${libraries}/nss`];

/** Undefined where it is there. */
export function whyNoPluto(): string | undefined {
  if (existsSync(`${root}${BIN}/pluto`)) return undefined;
  const reason = 'no libreswan in build/libreswan: `npm test -- interop` fetches it as root';
  console.warn(`skipped: ${reason}`);
  return reason;
}

export interface PlutoSide {
  readonly address: string;
  readonly id: string;
  readonly networks: readonly string[];
}

export interface PlutoOptions {
  readonly local: PlutoSide;
  readonly remote: PlutoSide;
  /** Further lines of the connection, in libreswan's words. */
  readonly lines?: readonly string[];
  /** Name of its own, in place of the pre-shared key on both sides. */
  readonly certificate?: string;
  /** A postquantum preshared key (RFC 8784). */
  readonly ppk?: { readonly id: string; readonly secret: string };
}

export class Pluto {
  readonly #place: Place;
  readonly #running: Running;
  /** Of the log, what a test before has seen. */
  #seen = 0;

  private constructor(place: Place, running: Running) {
    this.#place = place;
    this.#running = running;
  }

  static async start(place: Place): Promise<Pluto> {
    const { folder } = place;
    await place.write('ipsec.conf', 'config setup\n');
    await place.write('ipsec.secrets', '');
    await place.run(['mkdir', '-p', `${folder}/run`, `${folder}/nss`]);
    await place.run([
      ...WITH_LIBRARIES,
      `${root}/usr/bin/certutil`,
      '-N',
      '-d',
      `sql:${folder}/nss`,
      '--empty-password',
    ]);
    const files = ['--config', 'ipsec.conf', '--secretsfile', 'ipsec.secrets', '--rundir', 'run'];
    const more = ['--nssdir', 'nss', '--ipsecdir', '.', '--no-dnssec', '--nofork', '--stderrlog'];
    const script = [
      'mount --make-rprivate /',
      `mount -t tmpfs none /usr/libexec && mkdir ${BIN} && mount --bind ${root}${BIN} ${BIN}`,
      `cd ${folder} && exec ${BIN}/pluto ${[...files, ...more].join(' ')}`,
    ].join('\n');
    const pluto = new Pluto(
      place,
      await place.start([...WITH_LIBRARIES, 'unshare', '-m', 'sh', '-ec', script]),
    );
    await waitFor('pluto', 10, async () =>
      (await pluto.log()).includes('listening for IKE messages') ? true : undefined,
    );
    return pluto;
  }

  /** In place of the connection before, with its SAs. */
  async load(options: PlutoOptions): Promise<void> {
    const { local, remote, ppk, certificate, lines = [] } = options;
    const side = (name: string, { address, id, networks }: PlutoSide) => [
      ...[`${name}=${address}`, `${name}id=@${id}`, `${name}subnet=${networks[0]}`],
    ];
    const proof =
      certificate === undefined
        ? ['authby=secret']
        : [`leftcert=${certificate}`, 'leftsendcert=always', 'rightca=%same'];
    const words = [...proof, 'ikev2=insist', 'retransmit-timeout=5s', ...lines];
    const connection = [...side('left', local), ...side('right', remote), ...words];
    await this.#place.write(
      'ipsec.conf',
      ['config setup', 'conn site', ...connection.map((line) => `    ${line}`), ''].join('\n'),
    );
    const key =
      ppk === undefined ? '' : `@${remote.id} @${local.id} : PPKS "${ppk.id}" "${ppk.secret}"\n`;
    await this.#place.write('ipsec.secrets', `@${remote.id} @${local.id} : PSK "${PSK}"\n${key}`);
    await this.whack('--rereadsecrets');
    const at = this.#place.folder;
    const ends = ['--ctlsocket', `${at}/run/pluto.ctl`, '--config', `${at}/ipsec.conf`, 'site'];
    const add = [...WITH_LIBRARIES, `${root}${BIN}/addconn`, ...ends].join(' ');
    // It complains of what it does anyway; the log tells whether it has.
    await this.#place.run(['sh', '-c', `${add} >${at}/addconn.log 2>&1 || true`]);
    await this.says(/added IKEv2 connection/).catch(async (error: Error) => {
      throw new Error(`${error.message}\n${await this.#place.read('addconn.log')}`);
    });
  }

  /** Puts a certificate with its key, both in PEM, into the store, by this name. */
  async importCertificate(name: string, own: string): Promise<void> {
    const { folder } = this.#place;
    await this.#place.write('own.pem', own);
    const files = ['-in', `${folder}/own.pem`, '-out', `${folder}/own.p12`];
    const out = ['openssl', 'pkcs12', '-export', '-passout', 'pass:', '-name', name, ...files];
    await this.#place.run(out);
    const store = ['-d', `sql:${folder}/nss`, '-W', ''];
    await this.#place.run([
      ...WITH_LIBRARIES,
      `${root}/usr/bin/pk12util`,
      '-i',
      `${folder}/own.p12`,
      ...store,
    ]);
  }

  /** Trusts an authority, in PEM. */
  async trust(name: string, authority: string): Promise<void> {
    const { folder } = this.#place;
    await this.#place.write('ca.pem', authority);
    const store = ['-d', `sql:${folder}/nss`, '-t', 'CT,,', '-n', name];
    await this.#place.run([
      ...WITH_LIBRARIES,
      `${root}/usr/bin/certutil`,
      '-A',
      ...store,
      '-i',
      `${folder}/ca.pem`,
    ]);
  }

  /** Forgets the connection, its SAs, and what its log says of them. */
  async unload(): Promise<void> {
    await this.whack('--name', 'site', '--delete');
    this.#seen = (await this.log()).length;
  }

  /** Resolves when its log says so, of the connection that is loaded. */
  async says(what: RegExp): Promise<void> {
    const since = async () => (await this.log()).slice(this.#seen);
    const said = async () => what.test(await since()) || undefined;
    await waitFor(`pluto to say ${what}`, 10, said).catch(async (error: Error) => {
      throw new Error(`${error.message}\n${await since()}`);
    });
  }

  /** @returns what it says; whether it succeeds is told by its log */
  whack(...args: readonly string[]): Promise<string> {
    const socket = ['--ctlsocket', `${this.#place.folder}/run/pluto.ctl`];
    const whack = [...WITH_LIBRARIES, `${root}${BIN}/whack`, ...socket, ...args];
    return this.#place.run(['sh', '-c', `${whack.join(' ')} || true`]);
  }

  async initiate(): Promise<void> {
    await this.whack('--name', 'site', '--initiate', '--asynchronous');
  }

  log(): Promise<string> {
    return this.#place.read('output.log');
  }

  async stop(): Promise<void> {
    await this.#running.stop();
  }
}
