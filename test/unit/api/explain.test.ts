import { describe, expect, it } from 'vitest';
import { explainConnection } from '../../../src/api/explain.js';
import type { Connection } from '../../../src/policy/connection.js';
import { formatProposal, parseProposal } from '../../../src/policy/proposal.js';

function explain(
  protocol: 'esp' | 'ah',
  { notify, explanation }: { notify: string; explanation: string },
) {
  const child = (name: string) => ({ name, start: 'trap', proposals: [{ protocol }] });
  const connection = {
    name: 'office',
    local: { address: '192.0.2.1' },
    remote: { address: '192.0.2.2' },
    children: [child('data'), child('voice')],
  } as unknown as Connection;
  const status = { name: 'office', wanted: 'up', ikeSas: [] } as const;
  const failure = { notify, explanation, child: 'voice', unproved: false, at: 1_000 };
  return explainConnection({ connection, status, failure, now: 4_000 });
}

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

  it('says where to look when nobody answers', () => {
    const { advice } = explain('esp', { notify: 'no answer', explanation: 'no answer' });
    expect(advice.join('\n')).toMatch(/ss -lun.*\n.*tcpdump -ni any 'host 192\.0\.2\.2/);
  });
});
