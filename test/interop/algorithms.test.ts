/**
 * Every algorithm that esplane and strongSwan both have: those of IKE with an IKE SA for each, in both
 * roles; those of ESP and AH as Child SAs of one IKE SA that strongSwan asks for, with the keys that
 * the Linux kernel shows in which it has installed them.
 */
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { waitFor } from '../../src/lab/program.js';
import { type Protocol, WORDS, type Word } from '../../src/policy/algorithm.js';
import { Charon, type CharonOptions, PSK, type Side } from './support/charon.js';
import { GatewayProcess } from './support/gateway-process.js';
import { LinuxKernel } from './support/linux-kernel.js';
import { makeNetwork, type Network, peerAddresses, whyNot } from './support/network.js';
import { guestPlace, namespacePlace } from './support/place.js';
import type { Children, ChildWords, GatewayConfig } from './support/udp-gateway.js';
import { xfrmStates } from './support/xfrm.js';

const why = whyNot('linux.uml', 'charon-systemd', 'swanctl', 'ethtool');
const ROLES = ['initiator', 'responder'] as const;

/** Words that mean what another means. */
const ALIASES = ['curve25519', 'curve448'];
/** strongSwan knows no implicit IV (RFC 8750). */
const isCommon = (word: string): boolean => !ALIASES.includes(word) && !word.endsWith('iiv');

function words(protocol: Protocol, part: Word['part']): string[] {
  return Object.entries(WORDS[protocol])
    .filter(([text, word]) => word.part === part && isCommon(text))
    .map(([text]) => text);
}

const isAead = (protocol: Protocol, text: string): boolean => {
  const word = WORDS[protocol][text]!;
  return word.part === 'encryption' && word.aead;
};

/** One proposal for each cipher; integrity algorithms, PRFs and groups take turns. */
function ikeProposals(): string[] {
  const macs = words('ike', 'integrity');
  const prfs = words('ike', 'prf');
  const groups = words('ike', 'keyExchange');
  let withMac = 0;
  return words('ike', 'encryption').map((cipher, i) => {
    const mac = isAead('ike', cipher) ? [] : [macs[withMac++ % macs.length]!];
    return [cipher, ...mac, prfs[i % prfs.length]!, groups[i % groups.length]!].join('-');
  });
}

/** Each cipher of ESP with each integrity algorithm, each AEAD, ESN; AH likewise; transport mode. */
function childRows(): ChildWords[] {
  const macs = words('esp', 'integrity');
  const esp = words('esp', 'encryption').flatMap((cipher) =>
    isAead('esp', cipher) ? [cipher] : macs.map((mac) => `${cipher}-${mac}`),
  );
  // AH's GMAC (RFC 4543 §4) strongSwan has not.
  const ah = words('ah', 'integrity').filter((word) => !word.endsWith('gmac'));
  return [
    ...esp.map((text) => ({ esp: text })),
    ...ah.map((text) => ({ ah: text })),
    { esp: 'aes256gcm16-esn' },
    { esp: 'aes128-sha256-esn' },
    { ah: 'sha512-esn' },
    { esp: 'aes128gcm16', mode: 'transport' },
    { ah: 'sha256', mode: 'transport' },
  ];
}

const nameOf = ({ esp, ah, mode }: ChildWords): string =>
  [esp ?? `AH ${ah}`, ...(mode === undefined ? [] : [`${mode} mode`])].join(', ');

describe.skipIf(why)(`every algorithm${why === undefined ? '' : ` (${why})`}`, () => {
  let network: Network;
  let gateway: GatewayProcess;
  let ours: Side;
  let theirs: Side;

  /** Both sides of a test, and their end of the wire. */
  async function open(configurePeer: boolean): Promise<void> {
    network = makeNetwork(configurePeer);
    const { ours: site, peer } = network;
    ours = { address: site.wan.ipv4, id: 'a.test', networks: [site.networks.ipv4] };
    theirs = { address: peer.wan.ipv4, id: 'b.test', networks: [peer.networks.ipv4] };
    gateway = await GatewayProcess.start(site.gatewayNamespace, ours.address);
  }

  async function close(): Promise<void> {
    await gateway?.stop();
    network?.remove();
  }

  const common = { psk: PSK, esp: ['aes128gcm16'] };

  describe('of IKE', () => {
    const proposals = ikeProposals();
    const row = (i: number, side: Side): Side => ({ ...side, id: `${i}.${side.id}` });
    const established = new Map<string, readonly string[]>();

    beforeAll(async () => {
      await open(true);
      const place = namespacePlace(network.peer.namespace, join(network.folder, 'charon'));
      for (const role of ROLES) established.set(role, await negotiateAll(role, place));
    });
    afterAll(close);

    /** The proposals of the IKE SAs that both sides have, all of them at once. */
    async function negotiateAll(
      role: (typeof ROLES)[number],
      place: ReturnType<typeof namespacePlace>,
    ): Promise<string[]> {
      const configs = proposals.map(
        (ike, i): GatewayConfig => ({
          ...common,
          ...{ name: `row${i}`, ike: [ike], local: row(i, ours), remote: row(i, theirs) },
        }),
      );
      gateway.command({ type: 'configure', config: configs });
      const start = role === 'responder' ? ('start' as const) : ('none' as const);
      const options: CharonOptions = {
        ...{ esp: 'userspace', local: theirs, remote: ours, start },
        ...{ ikeProposal: proposals[0]!, espProposal: 'aes128gcm16' },
        more: Object.fromEntries(
          proposals.map((ikeProposal, i) => [
            `row${i}`,
            { ikeProposal, local: row(i, theirs), remote: row(i, ours) },
          ]),
        ),
      };
      const charon = await Charon.start(place, options);
      try {
        if (role === 'initiator') {
          for (const { name } of configs) gateway.command({ type: 'initiate', connection: name! });
        }
        const both = async () => {
          const spis = new Map((await charon.sas()).map((sa) => [sa.initiatorSpi, sa]));
          return (await gateway.view())
            .filter((view) => view.state === 'established' && view.role === role)
            .filter((view) => {
              const sa = spis.get(view.initiatorSpi);
              return sa?.state === 'ESTABLISHED' && sa.responderSpi === view.responderSpi;
            })
            .map(({ connection }) => proposals[Number(connection.slice('row'.length))]!);
        };
        await waitFor('all IKE SAs', 30, async () => {
          return (await both()).length === proposals.length || undefined;
        }).catch(() => {});
        return await both();
      } finally {
        for (const { name } of configs) gateway.command({ type: 'terminate', connection: name! });
        await charon.stop();
      }
    }

    describe.each(ROLES)('as %s', (role) => {
      it.each(proposals)('%s', (proposal) => {
        expect(established.get(role)).toContain(proposal);
      });
    });
  });

  describe('of ESP and AH', () => {
    const rows = childRows();
    const ike = 'aes128gcm16-prfsha256-x25519';
    /** By name: the keys of both directions, as we have them and as the kernel has. */
    const keys = new Map<string, { ours: readonly string[]; kernel: readonly string[] }>();
    let kernel: LinuxKernel | undefined;

    beforeAll(async () => {
      await open(false);
      const { peer, folder } = network;
      const { namespace, device } = peer;
      kernel = await LinuxKernel.boot({ namespace, device, folder: join(folder, 'kernel') });
      const lines = peerAddresses({ ...peer, device: 'vec0' }).map((line) => `ip ${line}`);
      await kernel.run([`modprobe -aq ${MODULES}`, ...lines].join('\n'));
      const children = childrenOf(false);
      const config = { ...common, ike: [ike], local: ours, remote: theirs, children };
      gateway.command({ type: 'configure', config });
      await Charon.start(guestPlace(kernel), {
        ...{ esp: 'kernel', local: theirs, remote: ours, children: childrenOf(true) },
        ...{ ikeProposal: ike, espProposal: 'aes128gcm16', start: 'start' },
      });
      const made = () => gateway.reports.filter((report) => report.type === 'child');
      // Whichever is missing then, its own test tells.
      await waitFor('all Child SAs', 60, async () => {
        return made().length >= rows.length || undefined;
      }).catch(() => {});
      const states = xfrmStates(await kernel.run('ip xfrm state', 60));
      const keysOf = (spi: string) => states.find((state) => state.spi === spi)?.keys ?? '';
      for (const { child, keyIn, keyOut, spiIn, spiOut } of made()) {
        keys.set(child, { ours: [keyIn, keyOut], kernel: [keysOf(spiIn), keysOf(spiOut)] });
      }
    });
    afterAll(async () => {
      await kernel?.stop();
      await close();
    });

    const childName = (i: number): string => `row${i}`;

    /** A host of each side for each row; in transport mode it is the gateway, by its ports. */
    const ends = (i: number): [string[], string[]] =>
      rows[i]!.mode === 'transport'
        ? [[`${ours.address}/32[tcp/${1000 + i}]`], [`${theirs.address}/32[tcp/${1000 + i}]`]]
        : [[`10.1.0.${i}/32`], [`10.2.0.${i}/32`]];

    const childrenOf = (turned: boolean): Children =>
      Object.fromEntries(
        rows.map((row, i) => {
          const [here, there] = ends(i);
          return [childName(i), turned ? [there, here, row] : [here, there, row]];
        }),
      );

    it.each(rows.map((row, i) => [nameOf(row), i] as const))('%s', (_, i) => {
      const found = keys.get(childName(i));
      expect(found).toBeDefined();
      expect(found!.kernel).toEqual(found!.ours);
    });
  });
});

const MODULES =
  'cmac xcbc sha512_generic chacha20poly1305 crypto_null ccm ctr gcm ah4 esp4 authencesn';
