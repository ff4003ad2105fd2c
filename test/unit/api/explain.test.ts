import { describe, expect, it } from 'vitest';
import { explainConnection } from '../../../src/api/explain.js';
import type { ConnectionStatus } from '../../../src/api/status.js';
import type { Connection } from '../../../src/policy/connection.js';
import { formatProposal, parseProposal } from '../../../src/policy/proposal.js';
import type { StrangersFailure } from '../../../src/workers/keeper.js';

function explain(
  protocol: 'esp' | 'ah',
  what: { notify: string; explanation: string } | undefined,
  more: { readonly wanted?: string; readonly ikeSas?: readonly unknown[] } = {},
  stranger?: StrangersFailure,
) {
  const child = (name: string) => ({ name, start: 'trap', proposals: [{ protocol }] });
  const connection = {
    name: 'office',
    local: { address: '192.0.2.1' },
    remote: { address: '192.0.2.2' },
    children: [child('data'), child('voice')],
  } as unknown as Connection;
  const status = {
    ...{ name: 'office', wanted: 'up', ikeSas: [] },
    ...more,
  } as unknown as ConnectionStatus;
  const failure =
    what === undefined ? undefined : { ...what, child: 'voice', unproved: false, at: 1_000 };
  return explainConnection({ connection, status, failure, stranger, now: 4_000 });
}

const established = (ageSeconds: number) => ({ state: 'established', childSas: [{ ageSeconds }] });

const compared = (protocol: 'esp' | 'ah', peer: string) => ({
  notify: 'NO_PROPOSAL_CHOSEN',
  explanation: `ours:   NULL / ESN\npeer's: ${formatProposal(parseProposal(protocol, peer))}`,
});

describe('the explanation of a failure', () => {
  it('gives what the peer proposes for a Child SA as a line of the configuration', () => {
    for (const [protocol, peer] of [
      ['esp', 'aes256gcm16'],
      ['esp', 'aes128-sha256-ecp256-noesn'],
      ['ah', 'sha256'],
    ] as const) {
      const { failure, advice } = explain(protocol, compared(protocol, peer));
      expect(failure).toMatchObject({ secondsAgo: 3, child: 'voice' });
      expect(advice[0]).toBe(
        `what the peer proposes, as a line of [connection.office.child.voice] here: ${protocol} = ["${peer}"]`,
      );
    }
  });

  it('names no line where the peer has what the configuration has no word for', () => {
    const explanation = "ours:   AES_GCM_16_128\npeer's: ENCR_61000 / ESN";
    const { advice } = explain('esp', { notify: 'NO_PROPOSAL_CHOSEN', explanation });
    expect(advice[0]).toMatch(/^both gateways need one algorithm of each kind in common/);
  });

  it('is not over where it came after the SAs that are there', () => {
    const stands = (ageSeconds: number) =>
      explain('esp', compared('esp', 'aes256gcm16'), { ikeSas: [established(ageSeconds)] });
    expect(stands(10)).toMatchObject({
      state: 'up',
      summary: 'it is up, as agreed before; what was tried since has failed',
      advice: [expect.stringContaining('esp = ["aes256gcm16"]'), expect.any(String)],
    });
    expect(stands(2)).toMatchObject({
      summary: 'it is up; what failed before is over',
      advice: [],
    });
  });

  it('is told before it is one, where the peer leaves IKE_SA_INIT without an answer', () => {
    const attempt = (ageSeconds: number, responderSpi = '0'.repeat(16)) =>
      explain('esp', undefined, {
        ikeSas: [
          { state: 'connecting', role: 'initiator', responderSpi, ageSeconds, childSas: [] },
        ],
      });
    expect(attempt(1)).toMatchObject({ advice: [] });
    expect(attempt(7, '1'.padStart(16, '0'))).toMatchObject({ advice: [] });
    const { summary, advice } = attempt(7);
    expect(summary).toBe('it is being set up with 192.0.2.2, which has not answered for 7 seconds');
    expect(advice[0]).toMatch(/does the peer run/);
  });

  it('may be that the peer has another address than the configuration says', () => {
    const asks = (local: string, at: number) => ({
      explanation: `no connection is configured between ${local} and 192.0.2.77:500`,
      at,
    });
    const refused = { notify: 'NO_PROPOSAL_CHOSEN', explanation: 'ours: AES_GCM_16_256' };
    expect(explain('esp', refused, {}, asks('192.0.2.1', 2_000)).advice[0]).toBe(
      '2 seconds ago 192.0.2.77:500 asked 192.0.2.1 for an IKE SA; if that is this peer, its address has to be remote.address of [connection.office], which is 192.0.2.2',
    );
    const { advice } = explain('esp', refused, {}, asks('192.0.2.1', 500));
    expect(advice[0]).toMatch(/^both gateways need one algorithm/);
    expect(advice.join()).toContain('its remote address has to be 192.0.2.1');
    expect(explain('esp', refused, {}, asks('192.0.2.9', 2_000)).advice).toEqual(advice);
    const up = { ikeSas: [established(1)] };
    expect(explain('esp', undefined, up, asks('192.0.2.1', 2_000)).advice).toEqual([]);
  });

  it('is told with what to change, and with what brings it up, where it was taken down', () => {
    const { advice } = explain('esp', compared('esp', 'aes256gcm16'), { wanted: 'down' });
    expect(advice[0]).toContain('esp = ["aes256gcm16"]');
    expect(advice.at(-1)).toBe('to bring it up: esplane up office');
  });

  it('says where to look when nobody answers', () => {
    const { advice } = explain('esp', { notify: 'no answer', explanation: 'no answer' });
    expect(advice.join('\n')).toMatch(/ss -lun.*\n.*tcpdump -ni any 'host 192\.0\.2\.2/);
  });
});

describe('the explanation of a connection that is up', () => {
  /** As the peer has it: of a group (RFC 9611), or not. */
  const up = (perResource: 'auto' | undefined, resources: readonly unknown[]) => {
    const connection = {
      name: 'office',
      remote: { address: '192.0.2.2' },
      children: [
        { name: 'data', start: 'trap', proposals: [], ...(perResource && { perResource }) },
      ],
    } as unknown as Connection;
    const childSas = resources.map((resource) => ({ name: 'data', ageSeconds: 1, resource }));
    const status = {
      ...{ name: 'office', wanted: 'up', ikeSas: [{ state: 'established', childSas }] },
    } as unknown as ConnectionStatus;
    return explainConnection({ connection, status, failure: undefined, now: 4_000 }).advice;
  };

  it('says where SAs for single queues are wanted here, and the peer makes none', () => {
    expect(up('auto', [undefined])).toEqual([expect.stringContaining('data: per_resource is set')]);
    expect(up('auto', ['all', 0, 1])).toEqual([]);
    expect(up(undefined, [undefined])).toEqual([]);
  });
});
