// npm run deb:test: the Debian package under a real systemd, in a machine made of namespaces:
// notify, watchdog, credentials, capabilities, hardening, reload, update, removal, purge. What is
// looked at stands in packaging/guest.sh. Needs root, debootstrap, cgroup2 and Debian's packages.
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { makeDeb } from './deb.mjs';
import { isMain, main, root, run, timed } from './run.mjs';

const RELEASE = 'bookworm';
const MIRROR = process.env.ESPLANE_DEBIAN_MIRROR ?? 'http://deb.debian.org/debian';
const PACKAGES =
  'systemd,systemd-sysv,dbus,nftables,iproute2,procps,iputils-ping,libstdc++6,libipsec-mb1';
const TIMEOUT_SECONDS = 900;

const work = join(root, 'build/deb-test');
const at = (...path) => join(work, ...path);

async function test() {
  mkdirSync(work, { recursive: true });
  if (!existsSync(at('debian'))) await timed('a Debian with systemd', makeDebian);
  const deb = await timed('the package', makeDeb);
  await timed('the machine', () => makeMachine(deb));
  const { lines } = await runMachine();
  const end = lines.findLast((line) => /^\d+ failed/.test(line));
  if (end === undefined) throw new Error('the machine did not come to an end');
  if (!end.startsWith('0 ')) process.exitCode = 1;
}

/** Made once, and copied for each machine. */
async function makeDebian() {
  const fresh = at('debootstrap');
  rmSync(fresh, { recursive: true, force: true });
  await run(['debootstrap', '--variant=minbase', `--include=${PACKAGES}`, RELEASE, fresh, MIRROR]);
  await run(['mv', fresh, at('debian')]);
}

async function makeMachine(deb) {
  const machine = at('machine');
  rmSync(machine, { recursive: true, force: true });
  await run(['cp', '-a', at('debian'), machine]);
  const put = (path, content, mode = 0o644) => {
    writeFileSync(join(machine, path), content);
    chmodSync(join(machine, path), mode);
  };
  await packNode(join(machine, 'root/nodejs.deb'));
  put('root/esplane.deb', readFileSync(deb));
  put('root/guest.sh', readFileSync(join(root, 'scripts/packaging/guest.sh')), 0o755);
  put('root/list', '');
  put('etc/systemd/system/guest.service', GUEST_UNIT);
  put('etc/systemd/system/guest.target', GUEST_TARGET);
}

const GUEST_UNIT = `[Unit]
After=dbus.service
[Service]
Type=oneshot
ExecStartPre=/usr/bin/dpkg -i /root/nodejs.deb
ExecStart=/root/guest.sh
ExecStopPost=/usr/bin/systemctl poweroff --force
StandardOutput=append:/root/list
StandardError=inherit
TimeoutStartSec=infinity
`;

const GUEST_TARGET = `[Unit]
Requires=multi-user.target guest.service
After=multi-user.target
`;

/** The Node that runs this, as the package that ours depends on. */
async function packNode(file) {
  const stage = at('nodejs');
  rmSync(stage, { recursive: true, force: true });
  mkdirSync(join(stage, 'usr/bin'), { recursive: true });
  mkdirSync(join(stage, 'DEBIAN'), { recursive: true });
  cpSync(process.execPath, join(stage, 'usr/bin/node'));
  const control = [
    'Package: nodejs',
    `Version: ${process.versions.node}`,
    'Architecture: amd64',
    'Maintainer: nobody <nobody@localhost>',
    'Description: the Node of the machine that tests',
    '',
  ];
  writeFileSync(join(stage, 'DEBIAN/control'), control.join('\n'));
  await run(['dpkg-deb', '-Znone', '--root-owner-group', '--build', stage, file]);
  rmSync(stage, { recursive: true });
}

/** Until it powers itself off; what it writes into its list is shown as it comes. */
function runMachine() {
  const machine = join(root, 'scripts/packaging/machine.sh');
  const list = at('machine/root/list');
  const script = `tail -n +1 -f ${list} & ${machine} ${at('machine')} --unit=guest.target; sleep 1; kill $!`;
  return run(['sh', '-c', script], { timeoutSeconds: TIMEOUT_SECONDS, show: true });
}

if (isMain(import.meta.url)) await main(test);
