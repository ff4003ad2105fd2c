/**
 * strongSwan's charon as a peer: with its userspace ESP (kernel-libipsec) on this machine, whose
 * kernel may have none, or with the kernel's ESP in a guest. The former speaks tunnel mode in UDP
 * only, without ESN.
 */
import { waitFor } from '../../../src/lab/program.js';
import type { Place, Running } from './place.js';
import type { Children } from './udp-gateway.js';
import { parseEvents, type Section } from './vici.js';

export const PSK = 'a pre-shared key for tests only';

export interface CharonOptions {
  readonly esp: 'userspace' | 'kernel';
  readonly local: Side;
  readonly remote: Side;
  /** In strongSwan's words, such as `aes128gcm16-prfsha256-x25519`. */
  readonly ikeProposal: string;
  readonly espProposal: string;
  /** ESP in UDP even without a NAT. */
  readonly forceUdp?: boolean;
  /** In place of the one Child SA `net`: the networks of each, its own first. */
  readonly children?: Children;
  /** `start`: it begins with all its Child SAs by itself. */
  readonly start?: 'none' | 'start';
  /** In place of the one connection `gw`: others, and where they differ from this one. */
  readonly more?: Readonly<Record<string, Partial<CharonOptions>>>;
  readonly childless?: 'allow' | 'prefer' | 'force' | 'never';
  /** Half-open IKE SAs above which it asks for a COOKIE. */
  readonly cookieThreshold?: number;
  /** A postquantum preshared key (RFC 8784). */
  readonly ppk?: { readonly id: string; readonly secret: string; readonly required: boolean };
  /** Addresses to move to, beside the first one. */
  readonly alternatives?: readonly string[];
  /** RFC 4555; default: it can. */
  readonly mobike?: boolean;
  /** Silence before it asks whether we live; 0, the default: it never does. */
  readonly dpdSeconds?: number;
  /** Bytes of an IP datagram above which its IKE messages go in fragments. */
  readonly fragmentBytes?: number;
  /** In place of the pre-shared key on its side, or on ours. */
  readonly localCertificate?: CharonCertificate | undefined;
  readonly remoteAuthority?: CharonAuthority | undefined;
  /** What it wants to know of our certificate; its plugins ask OCSP responders, then for CRLs. */
  readonly revocation?: 'strict';
  /** RFC 7427; from the start of the daemon on. */
  readonly signatureAuthentication?: boolean;
}

/** Contents of files in PEM. */
export interface CharonCertificate {
  readonly certificate: string;
  readonly key: string;
  /** What leads from it to the authority that we trust. */
  readonly intermediates?: readonly string[];
}

export interface CharonAuthority {
  readonly ca: string;
  readonly crl?: string;
}

export interface Side {
  readonly address: string;
  readonly id: string;
  readonly networks: readonly string[];
}

/** What `swanctl --list-sas` says of an IKE SA. */
export interface CharonIkeSa {
  readonly state: string;
  readonly remoteHost: string;
  readonly remotePort: string;
  readonly initiatorSpi: string;
  readonly responderSpi: string;
  /** In the words of strongSwan's log, such as `AES_GCM_16-128/PRF_HMAC_SHA2_256/CURVE_25519`. */
  readonly proposal: string;
  readonly children: readonly CharonChildSa[];
}

export interface CharonChildSa {
  readonly state: string;
  readonly spiIn: string;
  readonly spiOut: string;
  readonly proposal: string;
  readonly packetsIn: number;
  readonly packetsOut: number;
  readonly localTs: readonly string[];
  readonly remoteTs: readonly string[];
}

export class Charon {
  readonly #place: Place;
  #running: Running;

  private constructor(place: Place, running: Running) {
    this.#place = place;
    this.#running = running;
  }

  /** Another daemon in the place of this one, with other options. */
  async restart(options: CharonOptions): Promise<void> {
    await this.#running.stop();
    this.#running = (await Charon.start(this.#place, options)).#running;
  }

  /** Starts a daemon and loads its one connection, `gw` with the child `net`. */
  static async start(place: Place, options: CharonOptions): Promise<Charon> {
    await place.write('strongswan.conf', daemonConfig(place.folder, options));
    await writeConnection(place, options);
    const command = ['env', ...environment(place), '/usr/sbin/charon-systemd'];
    const charon = new Charon(place, await place.start(command));
    await waitFor('charon', 10, () => charon.#answers()).catch(async (error: Error) => {
      const output = await place.read('output.log').catch(() => '');
      throw new Error(`${error.message}\n${output}`);
    });
    await charon.swanctl('--load-all', '--noprompt');
    return charon;
  }

  /** Loads another connection in place of the one before. */
  async load(options: CharonOptions): Promise<void> {
    await writeConnection(this.#place, options);
    await this.swanctl('--load-all', '--noprompt', '--clear');
  }

  swanctl(verb: string, ...args: readonly string[]): Promise<string> {
    const uri = `unix://${this.#place.folder}/vici.sock`;
    const command = ['swanctl', verb, ...args, '--uri', uri];
    return this.#place.run(['env', ...environment(this.#place), ...command]);
  }

  async initiate(): Promise<void> {
    await this.swanctl('--initiate', '--child', 'net', '--timeout', '15');
  }

  /** Deletes all its IKE SAs. */
  async terminate(): Promise<void> {
    await this.swanctl('--terminate', '--ike', 'gw', '--timeout', '15');
  }

  async sas(): Promise<CharonIkeSa[]> {
    return parseEvents(await this.swanctl('--list-sas', '--raw'), 'list-sa').map(ikeSa);
  }

  /** Its log, with the keys of IKE and ESP in it: for tshark. */
  log(): Promise<string> {
    return this.#place.read('charon.log');
  }

  async stop(): Promise<void> {
    await this.#running.stop();
  }

  async #answers(): Promise<true | undefined> {
    try {
      return (await this.swanctl('--stats')).includes('uptime') || undefined;
    } catch {
      return undefined;
    }
  }
}

function environment({ folder }: Place): string[] {
  return [`STRONGSWAN_CONF=${folder}/strongswan.conf`, `SWANCTL_DIR=${folder}`];
}

const PLUGINS =
  'random nonce drbg openssl aes sha1 sha2 hmac kdf gmp curve25519 gcm ccm ctr chapoly cmac xcbc ' +
  'pem pkcs1 pkcs8 pubkey x509 constraints revocation curl kernel-netlink socket-default vici updown';

/** The daemon's own configuration. kernel-libipsec comes first: it takes ESP from the kernel. */
function daemonConfig(
  folder: string,
  {
    esp,
    cookieThreshold = 30,
    fragmentBytes = 1280,
    signatureAuthentication = true,
  }: CharonOptions,
): string {
  return `charon {
  load = ${esp === 'userspace' ? 'kernel-libipsec ' : ''}${PLUGINS}
  cookie_threshold = ${cookieThreshold}
  signature_authentication = ${signatureAuthentication ? 'yes' : 'no'}
  fragment_size = ${fragmentBytes}
  retransmit_timeout = 0.5
  retransmit_tries = 4
  plugins {
    vici { socket = unix://${folder}/vici.sock }
  }
  filelog {
    main {
      path = ${folder}/charon.log
      append = no
      flush_line = yes
      default = 1
      ike = 4
      chd = 4
      knl = 2
    }
  }
}
charon-systemd { journal { default = -1 } }
swanctl { load = pem pkcs1 pkcs8 pubkey x509 openssl random }
`;
}

/** The connection, and the files that it names. Those of the connection before are gone. */
async function writeConnection(place: Place, options: CharonOptions): Promise<void> {
  await place.run(['rm', '-rf', ...CREDENTIALS.map((name) => `${place.folder}/${name}`)]);
  await place.write('swanctl.conf', connectionConfig(options));
  const { localCertificate: own, remoteAuthority: authority } = options;
  if (own !== undefined) {
    await place.write('x509/own.pem', own.certificate);
    await place.write('private/own.pem', own.key);
    for (const [i, pem] of (own.intermediates ?? []).entries()) {
      await place.write(`x509ca/between-${i}.pem`, pem);
    }
  }
  if (authority === undefined) return;
  await place.write('x509ca/authority.pem', authority.ca);
  if (authority.crl !== undefined) await place.write('x509crl/authority.pem', authority.crl);
}

const CREDENTIALS = ['x509', 'x509ca', 'x509crl', 'private'];

/** How its side, or ours, proves itself. */
function proof(certificate: string | undefined): string {
  return certificate === undefined ? 'auth = psk' : `auth = pubkey\n      ${certificate}`;
}

/** The connection `gw` with the child `net`, or others. */
function connectionConfig({ more = { gw: {} }, ...options }: CharonOptions): string {
  const all = Object.entries(more).map(([name, differing]) =>
    connectionTable(name, { ...options, ...differing }),
  );
  return `connections {
${all.join('')}}
secrets {
  ike-1 { secret = "${PSK}" }
  ${options.ppk === undefined ? '' : `ppk-1 { id = ${options.ppk.id}\n secret = "${options.ppk.secret}" }`}
}
`;
}

function connectionTable(name: string, options: CharonOptions): string {
  const { local, remote, ikeProposal, espProposal, forceUdp = false, start = 'none' } = options;
  const { childless = 'allow', alternatives = [], ppk, mobike = true, dpdSeconds = 0 } = options;
  const { children = { net: [local.networks, remote.networks] as const } } = options;
  const child = (
    childName: string,
    [ours, theirs, words = {}]: Children[string],
  ) => `      ${childName} {
        local_ts = ${ours.join(',')}
        remote_ts = ${theirs.join(',')}
        ${words.ah === undefined ? `esp_proposals = ${words.esp ?? espProposal}` : `ah_proposals = ${words.ah}`}
        mode = ${words.mode ?? 'tunnel'}
        start_action = ${start}
      }`;
  const tables = Object.entries(children).map(([childName, entry]) => child(childName, entry));
  return `  ${name} {
    version = 2
    local_addrs = ${[local.address, ...alternatives].join(',')}
    remote_addrs = ${remote.address}
    proposals = ${ikeProposal}
    encap = ${forceUdp ? 'yes' : 'no'}
    mobike = ${mobike ? 'yes' : 'no'}
    dpd_delay = ${dpdSeconds}s
    childless = ${childless}
    ${ppk === undefined ? '' : `ppk_id = ${ppk.id}\n    ppk_required = ${ppk.required ? 'yes' : 'no'}`}
    local {
      ${proof(options.localCertificate && 'certs = own.pem')}
      id = "${local.id}"
    }
    remote {
      ${proof(options.remoteAuthority && 'cacerts = authority.pem')}
      ${options.revocation === undefined ? '' : `revocation = ${options.revocation}`}
      id = "${remote.id}"
    }
    children {
${tables.join('\n')}
    }
  }
`;
}

/** An event holds one section, named after the connection. */
function ikeSa(event: Section): CharonIkeSa {
  const sa = Object.values(event)[0] as Section;
  return {
    state: text(sa.state),
    remoteHost: text(sa['remote-host']),
    remotePort: text(sa['remote-port']),
    initiatorSpi: text(sa['initiator-spi']),
    responderSpi: text(sa['responder-spi']),
    proposal: [algorithm(sa), text(sa['prf-alg']), text(sa['dh-group'])].filter(Boolean).join('/'),
    children: Object.values((sa['child-sas'] ?? {}) as Section).map((child) =>
      childSa(child as Section),
    ),
  };
}

function childSa(sa: Section): CharonChildSa {
  return {
    state: text(sa.state),
    spiIn: text(sa['spi-in']).padStart(8, '0'),
    spiOut: text(sa['spi-out']).padStart(8, '0'),
    proposal: algorithm(sa),
    packetsIn: Number(text(sa['packets-in'])),
    packetsOut: Number(text(sa['packets-out'])),
    localTs: sa['local-ts'] as string[],
    remoteTs: sa['remote-ts'] as string[],
  };
}

/** Cipher with its key length, where it has several, and integrity algorithm, as far as there are. */
function algorithm(sa: Section): string {
  const cipher = [text(sa['encr-alg']), text(sa['encr-keysize'])].filter(Boolean).join('-');
  return [cipher, text(sa['integ-alg'])].filter(Boolean).join('/');
}

const text = (value: unknown): string => (typeof value === 'string' ? value : '');

/** A key as charon logs it: the last one of this name, in hexadecimal digits. */
export function loggedKey(log: string, name: string): string {
  const lines = log.slice(log.lastIndexOf(`${name} =>`)).split('\n');
  let digits = '';
  for (const line of lines.slice(1)) {
    const octets = /\] (?:<\S+> )? *\d+: ((?:[0-9A-F]{2} ){1,16})/.exec(line);
    if (octets === null) break;
    digits += octets[1]!.replaceAll(' ', '').toLowerCase();
  }
  return digits;
}
