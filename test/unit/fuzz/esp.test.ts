/** A short attack on the dataplane; `npm run fuzz:esp` has the long one. */
import { describe, expect, it } from 'vitest';
import { EspAttack } from '../../fuzz/esp-attack.js';

const CASES = 20_000;

describe('twenty thousand hostile packets', () => {
  it('all have a verdict, and leave the tunnels working', async () => {
    const attack = new EspAttack(4711);
    try {
      await attack.run(CASES);
      expect(attack.probes).toBeGreaterThan(5);
      expect(attack.icmpErrors).toBeGreaterThan(0);
      // The attack has got where it should.
      expect(Object.keys(attack.verdicts)).toEqual(
        expect.arrayContaining([
          'bad_ip_checksum',
          'bad_next_header',
          'bad_padding',
          'clear_text_inbound',
          'esp_bad_alignment',
          'fragment_invalid',
          'fragment_overlap',
          'esp_too_short',
          'icv_bad',
          'not_forwardable',
          'replay_duplicate',
          'replay_old',
          'selector_mismatch',
          'too_big',
          'ttl_exceeded',
          'unknown_spi',
        ]),
      );
    } finally {
      attack.stop();
    }
  }, 60_000);
});
