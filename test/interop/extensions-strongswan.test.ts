/**
 * Extensions of IKEv2 against strongSwan over UDP, without a dataplane, in both roles:
 * fragmentation at 576 bytes (RFC 7383), a second key exchange that it does not know (RFC 9370), and
 * moves of either side (RFC 4555), postquantum preshared keys (RFC 8784), and Child SAs of single
 * resources, which it does not know either (RFC 9611).
 */
import { beforeAll, describe, expect, it } from 'vitest';
import { execute, inNamespace, ipBatch } from '../../src/lab/namespaces.js';
import { WAN } from '../../src/lab/topology.js';
import { DEFAULT_IKE } from '../../src/policy/proposal.js';
import { loggedKey, PSK } from './support/charon.js';
import { GatewayProcess } from './support/gateway-process.js';
import { useIkePair, whyNoIkePair as why } from './support/ike-pair.js';

/** With a second key exchange of each Child SA that is not the first (RFC 9370 §2.2.4). */
const ESP = 'aes128gcm16-x25519-ke1_mlkem768';

/** So many that a message with their selectors takes 1,100 octets. */
const NETWORKS = Array.from({ length: 60 }, (_, n) => `10.1.${2 * n}.0/24`);

describe.skipIf(why)(`extensions with strongSwan${why === undefined ? '' : ` (${why})`}`, () => {
  const pair = useIkePair({ fragmentBytes: 576 }, { drainTime: 100 });

  describe('a peer that knows of no second key exchange', () => {
    async function expectFirstAlone(): Promise<void> {
      const [sa] = await pair.charon.sas();
      expect(sa).toMatchObject({ state: 'ESTABLISHED' });
      expect(sa!.proposal).not.toContain('KE1');
      expect(pair.gateway.drain()).not.toContain('IKE_INTERMEDIATE');
    }

    it('connects at once by what we propose by default, as responder', async () => {
      await pair.configure({ ike: DEFAULT_IKE }, { ikeProposal: 'default' });
      pair.gateway.command({ type: 'initiate' });
      await pair.gateway.next('installed');
      await expectFirstAlone();
    });

    it('connects at once by what we propose by default, as initiator', async () => {
      const ikeProposal = 'aes256gcm16-prfsha384-x25519';
      await pair.configure({ ike: DEFAULT_IKE }, { ikeProposal });
      await pair.charon.initiate();
      await pair.gateway.next('installed');
      await expectFirstAlone();
    });
  });

  describe('a peer that knows of no Child SAs of single resources', () => {
    it.each(['initiator', 'responder'] as const)('has one for all, as %s', async (role) => {
      await pair.configure({ perResource: 'auto' });
      if (role === 'initiator') await pair.charon.initiate();
      else pair.gateway.command({ type: 'initiate' });
      await pair.gateway.next('installed');
      const [sa] = await pair.charon.sas();
      expect(sa).toMatchObject({ state: 'ESTABLISHED' });
      expect(sa!.children).toHaveLength(1);
      const [view] = await pair.gateway.view();
      expect(view!.children.map(({ resource }) => resource)).toEqual([undefined]);
      pair.gateway.command({ type: 'rekey', what: 'child' });
      await pair.gateway.next('installed');
      expect((await pair.charon.sas())[0]!.state).toBe('ESTABLISHED');
    });
  });

  describe('a move to another address', () => {
    const ELSEWHERE = { ours: '192.0.2.101', theirs: '192.0.2.102' };

    beforeAll(() => {
      ipBatch(pair.network.ours.gatewayNamespace, [`address add ${ELSEWHERE.ours}/24 dev ${WAN}`]);
    });

    it('of ours: the peer follows, and makes sure that we are there', async () => {
      await pair.configure({ mobike: true, alternatives: [ELSEWHERE.ours] });
      pair.gateway.command({ type: 'initiate' });
      await pair.gateway.next('installed');
      pair.gateway.command({ type: 'addresses', present: [ELSEWHERE.ours] });
      expect(await pair.gateway.next('moved')).toMatchObject({ local: ELSEWHERE.ours });
      const [sa] = await pair.charon.sas();
      expect(sa).toMatchObject({ state: 'ESTABLISHED', remoteHost: ELSEWHERE.ours });
      pair.gateway.command({ type: 'rekey', what: 'child' });
      await pair.gateway.next('installed');
      expect((await pair.charon.sas())[0]!.children.length).toBeGreaterThan(0);
    });

    it("of the peer's: we follow it, when it has shown that it is there", async () => {
      const { namespace, device, wan } = pair.network.peer;
      ipBatch(namespace, [`address add ${ELSEWHERE.theirs}/24 dev ${device}`]);
      await pair.configure({ mobike: true }, { alternatives: [ELSEWHERE.theirs] });
      await pair.charon.initiate();
      await pair.gateway.next('installed');
      execute(inNamespace(namespace, ['sysctl', '-qw', 'net.ipv4.conf.all.promote_secondaries=1']));
      try {
        ipBatch(namespace, [`address delete ${wan.ipv4}/24 dev ${device}`]);
        expect(await pair.gateway.next('moved')).toMatchObject({ remote: ELSEWHERE.theirs });
        const [view] = await pair.gateway.view();
        expect(view!.remote.address).toBe(ELSEWHERE.theirs);
        await pair.charon.terminate();
        await pair.gateway.next('ike-closed');
      } finally {
        ipBatch(namespace, [`address add ${wan.ipv4}/24 dev ${device}`]);
      }
    });
  });

  describe('a postquantum preshared key', () => {
    const ppk = {
      id: 'ppk.test',
      secret: 'a secret that no quantum computer finds',
      required: true,
    };
    const optional = { ...ppk, required: false };
    const unknown = { ...optional, id: 'another.test' };

    /** Both have the same keys of the Child SA, which come from SK_d. */
    async function expectSameKeys(initiator: 'us' | 'them'): Promise<void> {
      const child = await pair.gateway.next('child');
      const log = await pair.charon.log();
      const [own, other] =
        initiator === 'us' ? ['responder', 'initiator'] : ['initiator', 'responder'];
      expect(child.keyIn).toBe(loggedKey(log, `encryption ${own} key`));
      expect(child.keyOut).toBe(loggedKey(log, `encryption ${other} key`));
    }

    it.each([
      ['both demand', ppk, ppk],
      ['both have', optional, optional],
      ['the peer does not have', optional, undefined],
    ])('that %s, as initiator', async (_, own, theirs) => {
      await pair.configure({ ppk: own }, theirs && { ppk: theirs });
      pair.gateway.command({ type: 'initiate' });
      await pair.gateway.next('installed');
      await expectSameKeys('us');
      expect((await pair.charon.sas())[0]).toMatchObject({ state: 'ESTABLISHED' });
    });

    it.each([
      ['both demand', ppk, ppk],
      ['both have', optional, optional],
      ['each does without, knowing another', optional, unknown],
    ])('that %s, as responder', async (_, own, theirs) => {
      await pair.configure({ ppk: own }, theirs && { ppk: theirs });
      await pair.charon.initiate();
      await pair.gateway.next('installed');
      await expectSameKeys('them');
    });

    it('that each does without, knowing another, as initiator: it refuses ours all the same', async () => {
      // RFC 8784 §3, table 1, has it go on by NO_PPK_AUTH; we do, see above.
      await pair.configure({ ppk: optional }, { ppk: unknown });
      pair.gateway.command({ type: 'initiate' });
      expect((await pair.gateway.next('failed')).explanation).toContain('PPK:    "ppk.test"');
      expect(await pair.charon.log()).toContain("received PPK_ID 'ppk.test', but require");
    });

    it('that we demand and the peer does not have: there is no IKE SA', async () => {
      await pair.configure({ ppk });
      pair.gateway.command({ type: 'initiate' });
      expect((await pair.gateway.next('failed')).explanation).toContain('PPK');
      await expect(pair.charon.initiate()).rejects.toThrow();
      expect((await pair.gateway.next('failed')).explanation).toContain('PPK');
    });
  });

  it('two of ours, over real sockets, use ML-KEM-768 in fragments of 576 bytes, in Child SAs too', async () => {
    const { gatewayNamespace } = pair.network.ours;
    ipBatch(gatewayNamespace, ['address add 192.0.2.3/32 dev lo']);
    const other = await GatewayProcess.start(gatewayNamespace, '192.0.2.3');
    try {
      const far = { address: '192.0.2.3', id: 'c.test', networks: ['10.3.0.0/16'] };
      const common = { psk: PSK, ike: DEFAULT_IKE, esp: [ESP], fragmentBytes: 576 };
      pair.gateway.drain();
      pair.gateway.command({
        type: 'configure',
        config: { ...common, local: pair.ours, remote: far },
      });
      other.command({ type: 'configure', config: { ...common, local: far, remote: pair.ours } });
      pair.gateway.command({ type: 'initiate' });
      const [a, b] = [await pair.gateway.next('child'), await other.next('child')];
      expect([a.keyIn, a.keyOut]).toEqual([b.keyOut, b.keyIn]);
      const [view] = await pair.gateway.view();
      expect(view!.proposal).toMatch(/CURVE25519\/KE1_ML_KEM_768$/);
      const log = pair.gateway.drain();
      expect(log).toMatch(/IKE_INTERMEDIATE request 1 -> .*: KE, in 3 fragments/);
      expect(log).toMatch(/IKE_INTERMEDIATE response 1 <- .*: KE, in 3 fragments/);
      pair.gateway.command({ type: 'rekey', what: 'child' });
      const [c, d] = [await pair.gateway.next('child'), await other.next('child')];
      expect([c.keyIn, c.keyOut]).toEqual([d.keyOut, d.keyIn]);
      expect(pair.gateway.drain()).toMatch(/IKE_FOLLOWUP_KE request \d -> .*, in 3 fragments/);
      pair.gateway.command({ type: 'terminate' });
      await pair.gateway.next('ike-closed');
    } finally {
      await other.stop();
    }
  });

  describe('fragments of 576 bytes', () => {
    const fragmentBytes = 576;

    async function configureLarge(): Promise<void> {
      const large = { ...pair.ours, networks: NETWORKS };
      await pair.configure({ local: large, fragmentBytes }, { remote: large });
    }

    /** Both sides have sent an IKE_AUTH in fragments, and put the other's together. */
    async function expectFragments(): Promise<void> {
      const [sa] = await pair.charon.sas();
      expect(sa).toMatchObject({ state: 'ESTABLISHED' });
      expect(sa!.children[0]).toMatchObject({ state: 'INSTALLED' });
      const log = pair.gateway.drain();
      expect(log).toMatch(/IKE_AUTH (request|response) 1 -> .*, in \d fragments/);
      expect(log).toMatch(/IKE_AUTH (request|response) 1 <- .*, in \d fragments/);
      expect(await pair.charon.log()).toMatch(/reassembled fragmented IKE message/);
    }

    it('as initiator', async () => {
      await configureLarge();
      pair.gateway.command({ type: 'initiate' });
      await pair.gateway.next('installed');
      await expectFragments();
    });

    it('as responder', async () => {
      await configureLarge();
      await pair.charon.initiate();
      await pair.gateway.next('installed');
      await expectFragments();
    });

    it('of a CREATE_CHILD_SA after the IKE SA was rekeyed, from either side', async () => {
      await configureLarge();
      pair.gateway.command({ type: 'initiate' });
      await pair.gateway.next('installed');
      pair.gateway.command({ type: 'rekey', what: 'ike' });
      await pair.gateway.next('ike-closed');
      pair.gateway.drain();
      pair.gateway.command({ type: 'rekey', what: 'child' });
      await pair.gateway.next('removed');
      expect(pair.gateway.drain()).toMatch(/CREATE_CHILD_SA response \d+ <- .*, in \d fragments/);
      await pair.charon.swanctl('--rekey', '--child', 'net');
      await pair.gateway.next('removed');
      expect(pair.gateway.drain()).toMatch(/CREATE_CHILD_SA request \d+ <- .*, in \d fragments/);
    });
  });
});
