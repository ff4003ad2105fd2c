import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { hintsForFiles, hintsForHost, hintsForPort } from '../../../src/config/host-hints.js';
import { loadConfig } from '../../../src/config/load.js';
import { ConfigError } from '../../../src/config/problem.js';
import { shadowedPolicies } from '../../../src/config/shadowed.js';
import { wipeKeys } from '../../../src/policy/authentication.js';
import { formatSelector } from '../../../src/wire/index.js';
import { keyOf } from '../../shared-key.js';

const TEN_LINES = `[gateway]
lan = ["lan0"]
wan = ["wan0"]

[connection.office]
local  = { address = "192.0.2.1", id = "a.example", networks = ["10.1.0.0/16"] }
remote = { address = "192.0.2.2", id = "b.example", networks = ["10.2.0.0/16"] }
psk_file = "office.psk"
`;

const PSK = 'correct horse battery staple';

let directory: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'esplane-config-'));
  writeFileSync(join(directory, 'office.psk'), `${PSK}\n`, { mode: 0o600 });
});
afterEach(() => rmSync(directory, { recursive: true }));

function load(text: string) {
  writeFileSync(join(directory, 'gateway.toml'), text);
  return loadConfig(join(directory, 'gateway.toml'));
}

/** The problems of a file, each as one line without the directory. */
function problems(text: string): string[] {
  try {
    load(text);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return error.message.replaceAll(`${directory}/`, '').split('\n');
  }
  return [];
}

describe('a configuration', () => {
  it('for a site-to-site tunnel fits in ten lines', () => {
    expect(TEN_LINES.trimEnd().split('\n').length).toBeLessThanOrEqual(10);
    const config = load(TEN_LINES);
    expect(config.name).toBe('main');
    expect(config.apiSocket).toBe('/run/esplane/main.sock');
    expect(config.ports).toEqual([
      { name: 'lan0', role: 'lan', kind: 'auto', device: 'lan0', queues: 0 },
      { name: 'wan0', role: 'wan', kind: 'auto', device: 'wan0', queues: 0 },
    ]);
    const [office] = config.connections;
    expect(office).toMatchObject({
      name: 'office',
      local: { address: '192.0.2.1', identity: { type: 2 } },
      remote: { address: '192.0.2.2', identity: { type: 2 } },
      livenessSeconds: 30,
      forceUdpEncapsulation: false,
      natTraversal: true,
    });
    const [net] = office!.children;
    expect(net).toMatchObject({ name: 'net', start: 'trap', replayWindow: 4096 });
  });

  it('takes the key from the file without its line end', () => {
    const [office] = load(TEN_LINES).connections;
    expect(Buffer.from(keyOf(office!).bytes).toString()).toBe(PSK);
  });

  it('takes a key in hexadecimal digits after 0x (RFC 7296 §2.15)', () => {
    writeFileSync(join(directory, 'office.psk'), '0x0011223344556677eEfF\n', { mode: 0o600 });
    const [office] = load(TEN_LINES).connections;
    expect(Buffer.from(keyOf(office!).bytes).toString('hex')).toBe('0011223344556677eeff');
  });

  it('protects both directions, after what the policies say, in their order', () => {
    const { spd } = load(`${TEN_LINES}
[[policy]]
action = "bypass"
local = ["10.1.0.0/24[tcp]"]
remote = ["0.0.0.0/0[tcp/22]"]
[[policy]]
action = "discard"
direction = "inbound"
`);
    const rows = spd.map((entry) => [
      entry.action,
      entry.direction,
      entry.policy,
      entry.localSelectors.map(formatSelector).join(),
      entry.remoteSelectors.map(formatSelector).join(),
    ]);
    expect(rows).toEqual([
      ['bypass', 'outbound', undefined, '10.1.0.0/24[tcp]', '0.0.0.0/0[tcp/22]'],
      ['bypass', 'inbound', undefined, '10.1.0.0/24[tcp]', '0.0.0.0/0[tcp/22]'],
      ['discard', 'inbound', undefined, '0.0.0.0/0,::/0', '0.0.0.0/0,::/0'],
      ['protect', 'outbound', 'office/net', '10.1.0.0/16', '10.2.0.0/16'],
      ['protect', 'inbound', 'office/net', '10.1.0.0/16', '10.2.0.0/16'],
    ]);
  });
});

/** A problem without its file, line and column. */
const withoutPlace = (line: string): string => line.split(': ').slice(1).join(': ');

describe('Child SAs', () => {
  const bare = TEN_LINES.replaceAll(/, networks = \[[^\]]*\]/g, '');
  const tables = `${bare}start = "always"
child_rekey_seconds = 600
[connection.office.child.voice]
local = ["10.1.5.0/24"]
remote = ["10.2.5.0/24"]
esp = ["aes128gcm16-x25519"]
rekey_seconds = 60
[connection.office.child.data]
local = ["10.1.6.0/24"]
remote = ["10.2.6.0/24"]
start = "trap"
fragmentation = "after"
lifetime_seconds = 900
`;

  it('are one with the networks of both sides, or each a table of its own', () => {
    const [only] = load(TEN_LINES).connections[0]!.children;
    expect(only).toMatchObject({ name: 'net', start: 'trap', fragmentation: 'before' });
    expect(only!.lifetime).toEqual({ rekeySeconds: 3600, endSeconds: 3960 });
    const { connections, spd } = load(tables);
    const [voice, data] = connections[0]!.children;
    expect(voice).toMatchObject({ name: 'voice', start: 'always', replayWindow: 4096 });
    expect(voice!.lifetime).toEqual({ rekeySeconds: 60, endSeconds: 66 });
    expect(voice!.proposals).toHaveLength(1);
    expect(data).toMatchObject({ name: 'data', start: 'trap', fragmentation: 'after' });
    expect(data!.lifetime).toEqual({ rekeySeconds: 600, endSeconds: 900 });
    expect(data!.proposals).toHaveLength(2);
    expect(spd.map(({ policy }) => policy)).toEqual([
      ...['office/voice', 'office/voice'],
      ...['office/data', 'office/data'],
    ]);
  });

  it('are of ESP or AH, in tunnel or transport mode, as the connection or their table says', () => {
    const transport = tables
      .replace('start = "always"', 'start = "always"\nmode = "transport"\nah = ["sha384-esn"]')
      .replace('local = ["10.1.5.0/24"]', 'local = ["192.0.2.0/24[tcp]"]')
      .replace('remote = ["10.2.5.0/24"]\n', '')
      .replace('start = "trap"', 'start = "trap"\nmode = "tunnel"');
    const { connections, spd } = load(transport);
    const [voice, data] = connections[0]!.children;
    expect(voice).toMatchObject({ mode: 'transport', proposals: [{ protocol: 'esp' }] });
    expect(data).toMatchObject({ mode: 'tunnel', proposals: [{ protocol: 'ah', esn: [true] }] });
    const [first] = spd.map(({ localSelectors, remoteSelectors }) =>
      [...localSelectors, ...remoteSelectors].map(formatSelector),
    );
    expect(first).toEqual(['192.0.2.1/32[tcp]', '192.0.2.2/32']);
  });

  it('have DF and DSCP of the outer header as the connection or their table says', () => {
    const { connections } = load(
      tables
        .replace('start = "always"', 'start = "always"\ndscp = 46')
        .replace('start = "trap"', 'start = "trap"\ndf = "set"\ndscp = "copy"'),
    );
    const [voice, data] = connections[0]!.children;
    expect(voice!.outer).toEqual({ df: 'copy', dscp: 46 });
    expect(data!.outer).toEqual({ df: 'set', dscp: 'copy' });
    expect(problems(`${TEN_LINES}dscp = 64\n`)).toEqual([
      expect.stringContaining('office.dscp: found 64, allowed: a whole number from 0 to 63'),
    ]);
    expect(problems(`${bare}mode = "transport"\ndf = "set"\n`)).toEqual([
      expect.stringContaining('office.df: found "set" in transport mode, allowed: tunnel mode'),
    ]);
  });

  it('have SAs for single queues as the connection or their table says', () => {
    const { connections } = load(
      tables
        .replace('start = "always"', 'start = "always"\nper_resource = true')
        .replace('start = "trap"', 'start = "trap"\nper_resource = 4'),
    );
    expect(connections[0]!.children.map(({ perResource }) => perResource)).toEqual(['auto', 4]);
    expect(load(tables).connections[0]!.children[0]!.perResource).toBeUndefined();
    expect(problems(`${TEN_LINES}per_resource = 0\n`).map(withoutPlace)).toEqual([
      'connection.office.per_resource: found 0, allowed: a whole number from 1 to 128',
    ]);
    expect(problems(`${TEN_LINES}per_resource = "all"\n`)).toHaveLength(1);
  });

  it('have TFC padding and dummy packets, with ESP in tunnel mode only', () => {
    const { connections } = load(
      tables.replace('start = "trap"', 'start = "trap"\ntfc = { pad_to = 1400 }'),
    );
    const [voice, data] = connections[0]!.children;
    expect(voice!.tfc).toBeUndefined();
    expect(data!.tfc).toEqual({ padTo: 1400, dummiesPerSecond: 0 });
    const tfc = 'tfc = { dummies_per_second = 5 }\n';
    expect(problems(`${TEN_LINES}ah = ["sha256"]\n${tfc}`).map(withoutPlace)).toEqual([
      'connection.office.tfc: found with AH, allowed: ESP in tunnel mode',
    ]);
    expect(problems(`${bare}mode = "transport"\n${tfc}`).map(withoutPlace)).toEqual([
      'connection.office.tfc: found with transport mode, allowed: ESP in tunnel mode',
    ]);
  });

  it('of a route-based tunnel take what is routed into its interface, in an SPD of their own', () => {
    const routed = TEN_LINES.replaceAll(/, networks = \[[^\]]*\]/g, '').replace(
      'psk_file',
      'interface = "ipsec0"\npsk_file',
    );
    const { connections, spd } = load(routed.replace('lan = ["lan0"]\n', ''));
    expect(connections[0]!.interface).toBe('ipsec0');
    expect(spd).toHaveLength(2);
    for (const entry of spd) {
      expect(entry).toMatchObject({ policy: 'office/net', interface: 'ipsec0' });
      for (const side of [entry.localSelectors, entry.remoteSelectors]) {
        expect(side.map(formatSelector)).toEqual(['0.0.0.0/0', '::/0']);
      }
    }
    const narrower = load(TEN_LINES.replace('psk_file', 'interface = "ipsec0"\npsk_file'));
    expect(narrower.spd[0]!.localSelectors.map(formatSelector)).toEqual(['10.1.0.0/16']);
  });

  it('have an interface that is no port and no other tunnel’s, and tunnel mode with it', () => {
    const at = (lines: string) => problems(TEN_LINES.replace('psk_file', `${lines}\npsk_file`));
    expect(at('interface = "lan0"').map(withoutPlace)).toEqual([
      'connection.office.interface: found "lan0", which is a port, allowed: a name of its own',
    ]);
    expect(at('interface = "esp-main"').map(withoutPlace)).toEqual([
      `connection.office.interface: found "esp-main", which is the gateway's own, allowed: a name of its own`,
    ]);
    const second = TEN_LINES.slice(TEN_LINES.indexOf('[connection')).replace('office', 'home');
    const both = `${TEN_LINES}${second}`.replaceAll('psk_file', 'interface = "ipsec0"\npsk_file');
    expect(problems(both).map(withoutPlace)).toEqual([
      'connection.home.interface: found "ipsec0", which is of connection "office", allowed: a name of its own',
    ]);
    expect(at('interface = "ipsec0"\nmode = "transport"')[0]).toContain(
      'connection.office.interface: found with transport mode, allowed: tunnel mode',
    );
  });

  it('in transport mode are between the gateways, and AH goes through no NAT', () => {
    const office = (lines: string) => problems(`${bare}${lines}\n`).map(withoutPlace);
    expect(office('mode = "transport"')).toEqual([]);
    const transport = `${bare}mode = "transport"\n`;
    const hint = 'is in transport mode, but with route_table = 0 what this host itself sends';
    expect(hintsForHost(load(transport)).join()).not.toContain(hint);
    const alone = transport.replace('[gateway]\n', '[gateway]\nroute_table = 0\n');
    expect(hintsForHost(load(alone)).join()).toContain(hint);
    expect(problems(`${TEN_LINES}mode = "transport"\n`).map(withoutPlace)).toEqual([
      'connection.office.local.networks[0]: found "10.1.0.0/16" in transport mode, allowed: a network with 192.0.2.1 in it',
      'connection.office.remote.networks[0]: found "10.2.0.0/16" in transport mode, allowed: a network with 192.0.2.2 in it',
    ]);
    expect(
      problems(`${bare.replace('192.0.2.2', '%any')}start = "wait"\nmode = "transport"\n`),
    ).toEqual([expect.stringContaining('where peers at "%any" may be, in transport mode')]);
    expect(problems(`${TEN_LINES}esp = ["aes256"]\nah = ["sha256"]\n`).join()).toContain(
      'esp or ah, not both',
    );
    expect(problems(`${TEN_LINES}ah = ["sha256"]\nudp_encapsulation = "always"\n`)).toEqual([
      expect.stringContaining('found udp_encapsulation = "always", allowed: ESP'),
    ]);
  });

  it('tell what is wrong with them', () => {
    expect(problems(bare).map(withoutPlace)).toEqual([
      'connection.office.local.networks: missing, allowed: a list, or [connection.<name>.child.<name>] tables',
      'connection.office.remote.networks: missing, allowed: a list, or [connection.<name>.child.<name>] tables',
    ]);
    expect(problems(tables.replace('remote = ["10.2.5.0/24"]\n', '')).map(withoutPlace)).toEqual([
      'connection.office.child.voice.remote: missing, allowed: a list',
    ]);
    expect(problems(tables.replace('esp = ["aes128gcm16-x25519"]', 'ah = ["aes128"]'))[0]).toMatch(
      /office\.child\.voice\.ah\[0\]: found "aes128": unknown algorithm "aes128", did you mean /,
    );
    expect(problems(tables.replace('esp = ["aes128gcm16-x25519"]', 'esp = ["rot13"]'))).toEqual([
      expect.stringContaining('connection.office.child.voice.esp[0]: found "rot13"'),
    ]);
    expect(problems(tables.replace('rekey_seconds = 60\n', 'rekey_second = 60\n'))).toEqual([
      expect.stringContaining('did you mean "rekey_seconds"?'),
    ]);
    expect(problems(tables.replace('= 900', '= 500'))).toEqual([
      expect.stringContaining('found 500, with a rekeying after 600'),
    ]);
    expect(problems(`${TEN_LINES}${tables.slice(tables.indexOf('child_rekey'))}`)).toEqual([
      expect.stringContaining('local.networks: found networks beside child tables'),
      expect.stringContaining('remote.networks: found networks beside child tables'),
    ]);
  });
});

it('an interface that is not there, or is down, is told', () => {
  const wan = { device: 'wan0', role: 'wan' } as const;
  expect(hintsForPort(wan, undefined)).toEqual([
    'there is no interface "wan0" (wan) on this machine',
  ]);
  // As /sys/class/net/wan0/flags has them: BROADCAST and MULTICAST, and UP beside those.
  expect(hintsForPort(wan, 0x1002)).toEqual([
    'interface "wan0" (wan) is down: ip link set wan0 up',
  ]);
  expect(hintsForPort(wan, 0x1003)).toEqual([]);
});

it('a file, or a folder, that anybody may write is told, with the command that mends it', () => {
  const file = join(directory, 'gateway.toml');
  load(TEN_LINES);
  expect(hintsForFiles(directory)).toEqual([]);
  chmodSync(file, 0o666);
  chmodSync(directory, 0o777);
  const told = (one: string) =>
    `anybody may write ${one}, and so decide what is protected: chmod o-w ${one}`;
  expect(hintsForFiles(file)).toEqual([told(directory), told(file)]);
});

describe('what stands in the file in vain is told:', () => {
  const second = TEN_LINES.slice(TEN_LINES.indexOf('[connection.office]'))
    .replace('office]', 'branch]')
    .replace('192.0.2.2', '192.0.2.3');
  const hints = (text: string) => shadowedPolicies(load(text));

  it('a connection between the same networks as one before it', () => {
    expect(hints(TEN_LINES)).toEqual([]);
    expect(hints(`${TEN_LINES}${second}`)).toEqual([
      'connection branch/net is sent nothing: connection office/net comes before it and takes it all',
    ]);
    expect(hints(`${TEN_LINES}${second.replace('10.2.0.0/16', '10.2.0.0/15')}`)).toEqual([]);
    expect(hints(`${TEN_LINES}${second}interface = "ipsec0"\n`)).toEqual([]);
  });

  it('a connection between networks that go in clear', () => {
    const bypass = '[[policy]]\naction = "bypass"\nremote = ["10.0.0.0/8"]\n';
    expect(hints(`${TEN_LINES}${bypass}`)).toEqual([
      'connection office/net is sent nothing: [[policy]] with action "bypass" comes before it and takes it all',
    ]);
  });
});

describe('a mistake is told with file, line, key, what was found and what is allowed:', () => {
  const change = (from: string, to: string) => problems(TEN_LINES.replace(from, to));
  const add = (text: string) => problems(`${TEN_LINES}${text}\n`);

  it('a syntax error', () => {
    expect(problems('[gateway\nlan = 1')).toEqual([
      expect.stringMatching(/^gateway\.toml:1:\d+: .*, allowed: TOML 1\.0$/),
    ]);
    expect(change('"lan0"', 'lan0')[0]).toMatch(/: invalid value, allowed: .* in quotes: "wan0"$/);
    expect(problems(`${TEN_LINES}${TEN_LINES}`)[0]).toMatch(
      /each table and each key is there once$/,
    );
  });

  it('a text in place of a list of one', () => {
    expect(change('["wan0"]', '"wan0"')).toEqual([
      'gateway.toml:3:1: gateway.wan: found "wan0", allowed: a list, as in ["wan0"]',
    ]);
  });

  it('a key in another table than its own', () => {
    expect(change('id = "b.example"', 'psk_file = "b"').map(withoutPlace)).toEqual([
      'connection.office.remote.psk_file: unknown key, allowed: that key in [connection.office]',
    ]);
    expect(add('networks = ["10.1.0.0/16"]').map(withoutPlace)).toEqual([
      'connection.office.networks: unknown key, allowed: that key in [connection.office.local] or [connection.office.remote]',
    ]);
    expect(add('wan = ["wan0"]').map(withoutPlace)).toEqual([
      'connection.office.wan: unknown key, allowed: that key in [gateway]',
    ]);
  });

  it('a value that is none of the allowed', () => {
    expect(add('start = "now"')).toEqual([
      'gateway.toml:9:1: connection.office.start: found "now", allowed: "always", "trap", "wait"',
    ]);
  });

  it('an unknown key, with the one that was meant', () => {
    expect(add('livenes_seconds = 3')).toEqual([
      'gateway.toml:9:1: connection.office.livenes_seconds: unknown key, did you mean "liveness_seconds"?',
    ]);
  });

  it('an interface whose name is a pattern to nft or to the kernel: it would open the guard', () => {
    for (const name of ['wan*', 'ipsec%d', 'a\\\\b']) {
      expect(add(`interface = "${name}"`)[0]).toContain('allowed: the name of a network interface');
    }
  });

  it('a key that is missing, at its table', () => {
    expect(change('wan = ["wan0"]', '')).toEqual([
      'gateway.toml:1:1: gateway.wan: missing, allowed: a list',
    ]);
  });

  it('a network with host bits, inside an inline table', () => {
    expect(change('10.2.0.0/16', '10.2.0.1/16')).toEqual([
      'gateway.toml:7:65: connection.office.remote.networks[0]: found "10.2.0.1/16", allowed: a network such as "10.1.0.0/16", "10.0.0.1-10.0.0.9", "2001:db8::/32[tcp/443]"; host bits are set in 10.2.0.1/16: 10.2.0.0/16?',
    ]);
  });

  it('a secret in the file, which is not repeated', () => {
    const found = add(`psk = "${PSK}"`);
    expect(found).toEqual([
      'gateway.toml:9:1: connection.office.psk: unknown key, allowed: "psk_file" or "psk_credential" (secrets never stand in this file)',
    ]);
    expect(found.join()).not.toContain(PSK);
  });

  it('a credential outside of its unit, unless only a look is taken', () => {
    const text = TEN_LINES.replace('psk_file = "office.psk"', 'psk_credential = "psk_office"');
    expect(problems(text)).toEqual([
      'gateway.toml:8:1: connection.office.psk_credential: found "psk_office", allowed: a credential only under systemd (LoadCredential=, $CREDENTIALS_DIRECTORY)',
    ]);
    const assumed: string[][] = [];
    const { connections } = loadConfig(join(directory, 'gateway.toml'), (...names) => {
      assumed.push(names);
    });
    wipeKeys(connections);
    expect(assumed).toEqual([['office', 'psk_office']]);
  });

  it('a key file that others may read, with the command that mends it', () => {
    chmodSync(join(directory, 'office.psk'), 0o640);
    expect(problems(TEN_LINES)).toEqual([
      'gateway.toml:8:1: connection.office.psk_file: office.psk has mode 0640, allowed: nothing for group and others: chmod 600 office.psk',
    ]);
  });

  it('a key file that is not there', () => {
    expect(change('office.psk', 'other.psk')[0]).toMatch(
      /^gateway\.toml:8:1: connection\.office\.psk_file: no file other\.psk, allowed: /,
    );
  });

  it('a key in hexadecimal digits that are none, and the key is not shown', () => {
    writeFileSync(join(directory, 'office.psk'), '0x00112233445566778\n', { mode: 0o600 });
    const [problem] = problems(TEN_LINES);
    expect(problem).toMatch(/office\.psk begins with 0x, allowed: pairs of hexadecimal digits/);
    expect(problem).not.toContain('0011');
  });

  it('a key that is too short to resist guessing', () => {
    writeFileSync(join(directory, 'office.psk'), 'secret\n', { mode: 0o600 });
    expect(problems(TEN_LINES)[0]).toMatch(/office\.psk holds 6 bytes, allowed: at least 8 bytes$/);
  });

  it('an algorithm that does not exist, with the one that was meant, or all', () => {
    expect(add('ike = ["aes128gcm16-prfsha256-x25519", "rot13"]')[0]).toMatch(
      /^gateway\.toml:9:40: connection\.office\.ike\[1\]: found "rot13": unknown algorithm "rot13", allowed: for ike: .*aes256gcm16/,
    );
    expect(add('esp = ["aes256gmc16-x25519"]').map(withoutPlace)).toEqual([
      'connection.office.esp[0]: found "aes256gmc16-x25519": unknown algorithm "aes256gmc16", did you mean "aes256gcm16"?',
    ]);
  });

  it('an algorithm as strongSwan has it too, with the same here: no shorter ICV', () => {
    for (const [word, meant] of [
      ['aes256gcm', 'aes256gcm16'],
      ['aes128gcm128', 'aes128gcm16'],
      ['aes192ccm96', 'aes192ccm12'],
    ]) {
      expect(add(`esp = ["${word}"]`)[0]).toContain(`, did you mean "${meant}"?`);
    }
    expect(add('esp = ["aes256-sha2_384"]')[0]).toContain(', did you mean "sha384"?');
  });

  it('a key or a start of strongSwan, with what says the same', () => {
    expect(add('leftsubnet = ["10.1.0.0/16"]').map(withoutPlace)).toEqual([
      'connection.office.leftsubnet: unknown key, what strongSwan calls leftsubnet is here: local.networks',
    ]);
    expect(add('start = "route"').map(withoutPlace)).toEqual([
      'connection.office.start: found "route", did you mean "trap"?',
    ]);
  });

  it('an unknown key of a table within a connection, with the keys of that table', () => {
    expect(add('tfc = { rate = 3 }').map(withoutPlace)).toEqual([
      'connection.office.tfc.rate: unknown key, allowed: pad_to, dummies_per_second',
    ]);
  });

  it('a proposal that lacks something', () => {
    expect(add('ike = ["aes256-sha256"]').map(withoutPlace)).toEqual([
      'connection.office.ike[0]: found "aes256-sha256": it has no key exchange, such as x25519',
    ]);
  });

  it('an identity that cannot be one', () => {
    expect(change('"b.example"', '"ipv4:b.example"')[0]).toMatch(
      /^gateway\.toml:7:35: connection\.office\.remote\.id: found "ipv4:b\.example" \(.+\), allowed: an address/,
    );
  });

  it('families that do not fit', () => {
    expect(change('192.0.2.2', '2001:db8::2')).toEqual([
      'gateway.toml:7:12: connection.office.remote.address: found 2001:db8::2 for the local address 192.0.2.1, allowed: both IPv4 or both IPv6',
    ]);
  });

  it('a start towards a peer without an address', () => {
    expect(change('192.0.2.2', '%any')).toEqual([
      'gateway.toml:5:1: connection.office.start: found "trap" with a peer at "%any", allowed: "wait"',
    ]);
  });

  it('an interface that is lan and wan', () => {
    expect(change('wan = ["wan0"]', 'wan = ["wan0", "lan0"]')).toEqual([
      'gateway.toml:3:16: gateway.wan[1]: found "lan0" again, allowed: each interface once, lan or wan',
    ]);
  });

  it('a number out of range and a text where a number or a word belongs', () => {
    expect(change('[gateway]', '[gateway]\nworkers = "many"\nqueues = 65')).toEqual([
      'gateway.toml:2:1: gateway.workers: found "many", allowed: "auto", or a whole number from 1 to 64',
      'gateway.toml:3:1: gateway.queues: found 65, allowed: a whole number from 0 to 64',
    ]);
  });

  it('a queue of a worker that there is not', () => {
    expect(change('[gateway]', '[gateway]\nworkers = 2\nqueue_workers = [0, 1, 2]')).toEqual([
      'gateway.toml:3:24: gateway.queue_workers[2]: found 2, allowed: a number below workers, which is 2',
    ]);
    expect(change('[gateway]', '[gateway]\nqueue_workers = [0]')).toEqual([
      'gateway.toml:1:1: gateway.workers: found "auto" beside queue_workers, allowed: a number',
    ]);
  });

  it('a listener that is no address with a port', () => {
    const listen = (text: string) => change('[gateway]', `[gateway]\nmetrics_listen = "${text}"`);
    expect(listen('localhost:9477')[0]).toMatch(/allowed: an address and a port, such as/);
    for (const wrong of ['127.0.0.1', '127.0.0.1:0', '::1:9477', '[127.0.0.1]:9477']) {
      expect(listen(wrong)).toHaveLength(1);
    }
    const text = TEN_LINES.replace('[gateway]', '[gateway]\nmetrics_listen = "[::1]:9477"');
    expect(load(text).metricsListen).toEqual({ address: '::1', port: 9477 });
  });

  it('every mistake at once', () => {
    expect(change('"10.1.0.0/16"', '"ten"').length + add('start = 1\nesp = []').length).toBe(3);
  });
});
