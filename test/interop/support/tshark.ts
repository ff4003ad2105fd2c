/**
 * tshark with the keys of a charon log, written with `ike = 4` and `chd = 4`: it decrypts IKE and
 * ESP independently of both ends. AES-GCM with a 16 octet ICV only, and no ESN.
 */
import { execute } from '../../../src/lab/namespaces.js';

interface EspKey {
  readonly source: string;
  readonly destination: string;
  readonly spi: string;
  readonly key: string;
}

export interface Keys {
  readonly initiatorSpi: string;
  readonly responderSpi: string;
  readonly ikeBits: number;
  readonly skEi: string;
  readonly skEr: string;
  readonly esp: readonly EspKey[];
}

/** The bytes that a log shows below `<label> => <n> bytes`, in hexadecimal; all occurrences. */
function dumps(log: string, label: string): string[] {
  const lines = log.split('\n');
  return lines.flatMap((line, at) => {
    const [, length] = new RegExp(`${label} => (\\d+) bytes`).exec(line) ?? [];
    if (length === undefined) return [];
    const rows = lines.slice(at + 1, at + 1 + Math.ceil(Number(length) / 16));
    const bytes = rows.map((row) => /\d+: ((?:[0-9A-F]{2} )+)/.exec(row)?.[1] ?? '');
    return [
      bytes
        .join('')
        .replaceAll(' ', '')
        .toLowerCase()
        .slice(0, Number(length) * 2),
    ];
  });
}

/** The keys of the one IKE SA and its one Child SA in a log. */
export function keysFromLog(log: string, sa: { initiatorSpi: string; responderSpi: string }): Keys {
  const one = (label: string): string => dumps(log, label).at(-1) ?? '';
  const proposal = /selected proposal: IKE:AES_GCM_16_(\d+)/.exec(log)?.[1];
  const spis = [...log.matchAll(/SPI 0x([0-9a-f]+), src (\S+) dst (\S+)/g)];
  const added = spis.slice(0, 2).map(([, spi, source, destination]) => {
    return { spi: spi!.padStart(8, '0'), source: source!, destination: destination! };
  });
  // Named after the end that sends with it.
  const initiator = one('encryption initiator key');
  const responder = one('encryption responder key');
  const local = /initiating IKE_SA/.test(log) ? initiator : responder;
  const remote = local === initiator ? responder : initiator;
  // charon installs its inbound SA first.
  const esp = added.map((entry, i) => ({ ...entry, key: i === 0 ? remote : local }));
  return {
    ...sa,
    ikeBits: Number(proposal),
    skEi: one('Sk_ei secret'),
    skEr: one('Sk_er secret'),
    esp,
  };
}

/** Fields of each packet that passes a display filter. */
export function decrypted(
  file: string,
  keys: Keys,
  filter: string,
  fields: readonly string[],
): string[][] {
  const ike = [keys.initiatorSpi, keys.responderSpi, keys.skEi, keys.skEr];
  const ikeCipher = `"AES-GCM-${keys.ikeBits} with 16 octet ICV [RFC5282]"`;
  const tables = [
    `uat:ikev2_decryption_table:${[...ike, ikeCipher, '""', '""', '"NONE [RFC4306]"'].join(',')}`,
    ...keys.esp.map(({ source, destination, spi, key }) => {
      const family = source.includes(':') ? 'IPv6' : 'IPv4';
      const cipher = 'AES-GCM with 16 octet ICV [RFC4106]';
      const row = [family, source, destination, `0x${spi}`, cipher, `0x${key}`, 'NULL', ''];
      return `uat:esp_sa:${row.map((cell) => `"${cell}"`).join(',')}`;
    }),
  ];
  const preferences = [
    'esp.enable_encryption_decode:TRUE',
    'esp.enable_authentication_check:TRUE',
    ...tables,
  ].flatMap((preference) => ['-o', preference]);
  const wanted = fields.flatMap((field) => ['-e', field]);
  const output = ['-T', 'fields', '-E', 'separator=|', '-E', 'occurrence=a', ...wanted];
  const text = execute(['tshark', '-r', file, ...preferences, '-Y', filter, ...output]);
  return text
    .split('\n')
    .filter(Boolean)
    .map((line) => line.split('|'));
}
