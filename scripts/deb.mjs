// npm run deb: a Debian package of what is built, in build/: the daemon in /usr/lib/esplane, its
// unit, man pages, completions and the configuration's schema.
import {
  chmodSync,
  cpSync,
  mkdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { isMain, main, root, run } from './run.mjs';

const { version, description, dependencies } = JSON.parse(
  readFileSync(join(root, 'package.json'), 'utf8'),
);
/** What only the build of the addon needs, which is in the package built. */
const BUILD_ONLY = ['node-gyp', 'node-addon-api'];

/** Makes the package; resolves to its path. */
export async function makeDeb() {
  const stage = join(root, 'build/deb');
  rmSync(stage, { recursive: true, force: true });
  const at = (...path) => join(stage, ...path);
  const put = (path, text, mode = 0o644) => {
    mkdirSync(at(path, '..'), { recursive: true });
    writeFileSync(at(path), text);
    chmodSync(at(path), mode);
  };
  copyProgram(at('usr/lib/esplane'));
  mkdirSync(at('usr/bin'), { recursive: true });
  symlinkSync('../lib/esplane/dist/cli/main.js', at('usr/bin/esplane'));
  chmodSync(at('usr/lib/esplane/dist/cli/main.js'), 0o755);
  put('usr/lib/systemd/system/esplane.service', packaging('esplane.service'));
  put('usr/lib/sysusers.d/esplane.conf', 'u esplane - "esplane IPsec gateway" /run/esplane\n');
  put('usr/share/doc/esplane/gateway.toml', packaging('gateway.toml'));
  for (const file of ['README.md', 'LICENSE', 'CHANGELOG.md']) {
    put(`usr/share/doc/esplane/${file}`, readFileSync(join(root, file)));
  }
  const tool = async (...args) =>
    (await run([process.execPath, 'dist/cli/main.js', ...args])).lines;
  await tool('man', at('usr/share/man'));
  for (const [shell, path] of Object.entries(COMPLETIONS)) {
    put(path, `${(await tool('completion', shell)).join('\n')}\n`);
  }
  put('usr/share/esplane/gateway.schema.json', `${(await tool('check', '--schema')).join('\n')}\n`);
  mkdirSync(at('etc/esplane/conf.d'), { recursive: true });
  mkdirSync(at('etc/esplane/psk'), { recursive: true, mode: 0o700 });
  put('DEBIAN/control', await control(at('usr')));
  put('DEBIAN/postinst', packaging('postinst'), 0o755);
  put('DEBIAN/prerm', packaging('prerm'), 0o755);
  put('DEBIAN/postrm', packaging('postrm'), 0o755);
  const deb = join(root, `build/esplane_${version}_${architecture()}.deb`);
  await run(['dpkg-deb', '--root-owner-group', '--build', stage, deb]);
  rmSync(stage, { recursive: true });
  return deb;
}

const COMPLETIONS = {
  bash: 'usr/share/bash-completion/completions/esplane',
  zsh: 'usr/share/zsh/vendor-completions/_esplane',
  fish: 'usr/share/fish/vendor_completions.d/esplane.fish',
};

const packaging = (file) => readFileSync(join(root, 'scripts/packaging', file), 'utf8');
const architecture = () => ({ x64: 'amd64' })[process.arch] ?? process.arch;

/** The compiled JavaScript, the addon, and the npm packages that it needs at run time. */
function copyProgram(to) {
  mkdirSync(join(to, 'build/Release'), { recursive: true });
  for (const path of ['dist', 'package.json', 'build/Release/esplane.node']) {
    cpSync(join(root, path), join(to, path), { recursive: true });
  }
  for (const name of runTimePackages()) {
    cpSync(join(root, 'node_modules', name), join(to, 'node_modules', name), { recursive: true });
  }
}

/** Of package-lock.json: what our own dependencies lead to. */
function runTimePackages() {
  const { packages } = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8'));
  const found = new Set();
  const visit = (name) => {
    const entry = packages[`node_modules/${name}`];
    if (entry === undefined || found.has(name)) return;
    found.add(name);
    for (const next of Object.keys(entry.dependencies ?? {})) visit(next);
  };
  for (const name of Object.keys(dependencies)) if (!BUILD_ONLY.includes(name)) visit(name);
  return found;
}

async function control(usr) {
  const { lines } = await run(['ldd', join(usr, 'lib/esplane/build/Release/esplane.node')]);
  const ipsecMb = lines.some((line) => line.includes('libIPSec_MB')) ? ', libipsec-mb1' : '';
  const { lines: size } = await run(['du', '-sk', usr]);
  return `Package: esplane
Version: ${version}
Architecture: ${architecture()}
Maintainer: esplane <esplane@localhost>
Installed-Size: ${Number.parseInt(size[0], 10)}
Depends: nodejs (>= 20.19), nftables, iproute2, libc6 (>= 2.36), libstdc++6 (>= 12)${ipsecMb}
Recommends: ethtool, iproute2
Section: net
Priority: optional
Description: ${description}
`;
}

if (isMain(import.meta.url)) {
  await main(async () => {
    const deb = await makeDeb();
    console.log(`${deb.replace(`${root}/`, '')}  ${(statSync(deb).size / 1e6).toFixed(1)} MB`);
  });
}
