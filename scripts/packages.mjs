// Debian packages: what each part needs, how to see that it is there, and their installation.
import {
  accessSync,
  constants,
  existsSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { CommandError, root, run } from './run.mjs';

const pythonModule = (name) => `/usr/lib/python3/dist-packages/${name}`;
const plugin = (name) => `/usr/lib/ipsec/plugins/libstrongswan-${name}.so`;

/** Where Node's headers may be: the running Node's own, or Debian's. */
export const headerFolders = [join(dirname(process.execPath), '..'), '/usr'].map((prefix) =>
  join(prefix, 'include/node'),
);

/** libFuzzer's runtime of each clang that is installed; its folder has the whole version in it. */
function fuzzerRuntimes() {
  const list = (folder) => (existsSync(folder) ? readdirSync(folder) : []);
  return list('/usr/lib')
    .filter((name) => name.startsWith('llvm-'))
    .map((name) => `/usr/lib/${name}/lib/clang`)
    .flatMap((folder) => list(folder).map((version) => `${folder}/${version}/lib/linux`))
    .flatMap((folder) => list(folder).map((file) => `${folder}/${file}`))
    .filter((file) => file.includes('libclang_rt.fuzzer-'));
}

// package: a command or files (or what finds them), one of which shows that it is there, whichever
// way it came.
const parts = {
  build: { 'g++': 'g++', make: 'make', python3: 'python3' },
  headers: { 'libnode-dev': headerFolders.map((folder) => join(folder, 'node_api.h')) },
  // Compiled in where it is there (ESPLANE_IPSEC_MB in binding.gyp); the addon works without.
  ipsecMb: { 'libipsec-mb-dev': '/usr/include/intel-ipsec-mb.h' },
  lab: {
    iproute2: 'ip',
    'iputils-ping': 'ping',
    'iputils-tracepath': 'tracepath',
    ethtool: 'ethtool',
    nftables: 'nft',
    procps: 'sysctl',
  },
  unit: {
    openssl: 'openssl',
    'python3-scapy': pythonModule('scapy'),
    'python3-cryptography': pythonModule('cryptography'),
  },
  native: {
    cmake: 'cmake',
    'doctest-dev': '/usr/include/doctest/doctest.h',
    'libssl-dev': '/usr/include/openssl/evp.h',
    // Sanitizers and libFuzzer. The runtime is of Debian 12's clang, which is version 14.
    clang: 'clang',
    'libclang-rt-14-dev': fuzzerRuntimes,
  },
  interop: {
    'charon-systemd': 'charon-systemd',
    'strongswan-swanctl': 'swanctl',
    'libcharon-extra-plugins': plugin('kernel-libipsec'),
    'libstrongswan-standard-plugins': plugin('gcm'),
    'libstrongswan-extra-plugins': plugin('curve25519'),
    'user-mode-linux': 'linux.uml',
    kmod: 'modprobe',
    tcpdump: 'tcpdump',
    tshark: 'tshark',
  },
};

const searchPath = `${process.env.PATH ?? ''}:/usr/sbin:/sbin`.split(delimiter);

function isThere(probe) {
  if (typeof probe === 'function') return isThere(probe());
  if (Array.isArray(probe)) return probe.some(isThere);
  if (probe.startsWith('/')) return existsSync(probe);
  return searchPath.some((folder) => isExecutable(join(folder, probe)));
}

function isExecutable(path) {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** What of the system is compiled into the addon and may come or go without a source changing. */
export function compiledIn() {
  return missingPackages('ipsecMb').length === 0 ? 'ipsec-mb' : '';
}

/** The packages of these parts that are not there. */
export function missingPackages(...names) {
  return names.flatMap((name) =>
    Object.entries(parts[name])
      .filter(([, probe]) => !isThere(probe))
      .map(([name]) => name),
  );
}

export function canInstall() {
  return process.getuid() === 0 && isThere('apt-get');
}

export function installCommand(packages) {
  return `apt-get install --no-install-recommends ${packages.join(' ')}`;
}

/** Installs packages by apt as root. The package lists are fetched only where apt wants them. */
export async function installPackages(packages) {
  const allowServices = forbidServiceStart();
  const install = () =>
    apt(['install', '-y', '--no-install-recommends', '-o', 'Dpkg::Use-Pty=0', ...packages]);
  try {
    await install().catch(async () => {
      await apt(['update', '-qq']);
      await install();
    });
  } finally {
    allowServices();
  }
  // The tests run charon in their own namespaces; the service would take the host's port 500.
  if (packages.includes('charon-systemd') && existsSync('/run/systemd/system')) {
    await run(['systemctl', 'disable', '--now', 'strongswan.service'], { check: false });
  }
}

/** apt-get, which waits for its turn where another apt or dpkg holds a lock. */
async function apt(args, tries = 40) {
  const env = { DEBIAN_FRONTEND: 'noninteractive', LC_ALL: 'C.UTF-8' };
  const hint = 'the network and /etc/apt/sources.list; or install these packages by hand';
  for (let attempt = 1; ; attempt++) {
    try {
      return await run(['apt-get', '-o', 'DPkg::Lock::Timeout=120', ...args], { env, hint });
    } catch (error) {
      const held =
        error instanceof CommandError && /could not get lock/i.test(error.lines.join('\n'));
      if (!held || attempt === tries) throw error;
      await new Promise((resolve) => setTimeout(resolve, 3000));
    }
  }
}

/** Keeps packages from starting their daemons on this machine; returns what undoes it. */
function forbidServiceStart() {
  const policy = '/usr/sbin/policy-rc.d';
  if (existsSync(policy)) return () => {};
  writeFileSync(policy, '#!/bin/sh\nexit 101\n', { mode: 0o755 });
  const undo = () => rmSync(policy, { force: true });
  process.once('exit', undo);
  return undo;
}

/** libreswan as Debian 12 has it, its tools, and libraries that nothing else here needs. */
const libreswan = [
  ...['libreswan', 'libnss3-tools', 'libnss3', 'libnspr4', 'libcurl3-nss', 'libldap-2.5-0'],
  ...['libldns3', 'libunbound8', 'libevent-core-2.1-7', 'libevent-pthreads-2.1-7'],
];

/**
 * Fetches libreswan and unpacks it below build/, where its tests find it: its package cannot be
 * installed beside strongSwan's. Without it they are skipped.
 */
export async function unpackLibreswan() {
  const folder = join(root, 'build/libreswan');
  if (existsSync(folder) || !canInstall()) return;
  const unfinished = `${folder}.tmp`;
  rmSync(unfinished, { recursive: true, force: true });
  mkdirSync(unfinished, { recursive: true });
  const fetch = `cd '${unfinished}' && apt-get -qq download ${libreswan.join(' ')}`;
  const unpack = 'for package in *.deb; do dpkg-deb -x $package .; rm $package; done';
  try {
    await run(['sh', '-ec', `${fetch}\n${unpack}`]);
    renameSync(unfinished, folder);
  } catch (error) {
    rmSync(unfinished, { recursive: true, force: true });
    process.stderr.write(`tested without libreswan: ${error.message}\n`);
  }
}
