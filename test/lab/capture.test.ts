/**
 * What a capture is good for with the keys of `lab_esp_keys`: tshark, which is not ours, reads the
 * packets inside ESP. Without the switch no key is written anywhere. Gateway a hides how long its
 * packets are (RFC 4303 §2.7), which their captures show.
 */
import {
  createWriteStream,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { finished } from 'node:stream/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ApiClient } from '../../src/api/client.js';
import { NamespaceLab } from '../../src/lab/namespace-lab.js';
import { execute, whyNoNamespaces } from '../../src/lab/namespaces.js';
import { sleep, waitFor } from '../../src/lab/program.js';
import { makeTopology, type Topology } from '../../src/lab/topology.js';
import { ping } from '../../src/lab/traffic.js';
import { compileIfStale } from '../compiled.js';

const reason = whyNoNamespaces();
if (reason !== undefined) console.warn(`skipped: ${reason}`);

describe.skipIf(reason !== undefined)('the keys of lab_esp_keys', () => {
  let topology: Topology;
  let folder: string;
  let lab: NamespaceLab;
  const keys = () => join(folder, 'esp_sa');

  beforeAll(async () => {
    compileIfStale();
    topology = makeTopology();
    folder = mkdtempSync(join(tmpdir(), 'esplane-keys-'));
    const { ipv4 } = topology.a.wan;
    lab = await NamespaceLab.start(topology, folder, false, (settings) => ({
      ...settings,
      esp: ['aes128gcm16-noesn'],
      ...(settings.local.address === ipv4
        ? {
            gatewayLines: [`lab_esp_keys = "${keys()}"`],
            connectionLines: ['tfc = { pad_to = 1000 }'],
          }
        : {}),
    }));
  }, 60_000);

  afterAll(async () => {
    await lab?.stop();
    topology?.remove();
    rmSync(folder, { recursive: true, force: true });
  });

  /** What tshark has to say of a capture, with Wireshark's configuration in `folder`. */
  const tshark = (file: string, filter: string, ...fields: readonly string[]) =>
    execute([
      ...['env', `WIRESHARK_CONFIG_DIR=${folder}`, 'tshark', '-r', file, '-Y', filter],
      ...['-o', 'esp.enable_encryption_decode:TRUE', '-o', 'esp.enable_authentication_check:TRUE'],
      ...['-T', 'fields', ...fields.flatMap((field) => ['-e', field])],
    ])
      .trim()
      .split('\n');

  it('open a capture to tshark, and nobody else reads them', async () => {
    const { a, b } = topology;
    const file = join(folder, 'outside.pcapng');
    const out = createWriteStream(file, { mode: 0o600 });
    const end = new AbortController();
    const api = new ApiClient(join(folder, 'a', 'api.sock'));
    const capturing = api.capture(
      { filter: 'esp', where: 'outside' },
      (chunk) => out.write(chunk),
      end.signal,
    );
    await waitFor('the capture', 5, () => out.bytesWritten > 0 || undefined);
    expect((await ping(a.hostNamespace, b.host.ipv4, { count: 3 })).received).toBe(3);
    await sleep(200);
    end.abort();
    await capturing.catch(() => {});
    out.end();
    await finished(out);
    const types = tshark(file, 'esp && icmp', 'icmp.type', 'esp.icv_good');
    expect(types.filter((line) => line.startsWith('8'))).toHaveLength(3);
    expect(types.filter((line) => line.startsWith('0'))).toHaveLength(3);
    // Outside and inside. Around ESP's text, a multiple of four, stand 52 bytes.
    const lengths = (type: number) =>
      new Set(tshark(file, `esp && icmp.type == ${type}`, 'ip.len'));
    expect(lengths(8)).toEqual(new Set(['1056,84'])); // padded to 1000
    expect(lengths(0)).toEqual(new Set(['140,84']));
    expect(statSync(keys()).mode & 0o777).toBe(0o600);
  });

  it('are written nowhere without the switch', async () => {
    const { connections } = await lab.b.status();
    const [sa] = connections.flatMap(({ ikeSas }) => ikeSas.flatMap(({ childSas }) => childSas));
    // The other gateway of the pair has written them.
    expect(readFileSync(keys(), 'utf8')).toContain(`"0x${sa!.inboundSpi}"`);
    expect(readdirSync(join(folder, 'b')).sort()).toEqual([
      'api.sock',
      'gateway.toml',
      'log',
      'psk',
    ]);
  });
});
