/** Messages that the control plane dropped or refused, by name. */
import type { Transport } from '../net/transport.js';
import type { IkeWorkers } from '../workers/ike-workers.js';

export function ikeDrops(
  transport: Transport,
  workers: Pick<IkeWorkers, 'drops'>,
): Record<string, number> {
  return { ...transportDrops(transport), ...workers.drops() };
}

function transportDrops(transport: Transport): Record<string, number> {
  const counters = transport.counters();
  return {
    'udp-esp-at-socket': counters['esp-in-udp'],
    'udp-short': counters.short,
    'ike-socket-overflow': counters.overflows,
    'ike-cookie-demanded': counters['cookies-demanded'],
    'ike-foreign-spi': counters.foreign,
    'ike-init-malformed': counters.nonsense,
    'ike-send-errors': counters['send-errors'],
    'ike-no-socket': counters['no-socket'],
  };
}
