/** A traffic selector as people write it: `10.1.0.0/16`, `10.1.0.0/16 tcp 443`. */
import { formatRange } from '../net/address.js';
import type { TrafficSelector } from '../wire/traffic-selector.js';

const NAMES: Readonly<Record<number, string>> = {
  1: 'icmp',
  6: 'tcp',
  17: 'udp',
  58: 'icmpv6',
  132: 'sctp',
};

export function formatSelector(selector: TrafficSelector): string {
  const { protocol, startPort, endPort } = selector;
  const range = formatRange(selector.startAddress, selector.endAddress);
  if (protocol === 0) return range;
  const name = NAMES[protocol] ?? `protocol ${protocol}`;
  if (startPort === 0 && endPort === 65535) return `${range} ${name}`;
  return `${range} ${name} ${startPort === endPort ? startPort : `${startPort}-${endPort}`}`;
}
