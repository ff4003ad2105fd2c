/** IP packets and Ethernet frames as no honest host would send them. */
import { frame, internetChecksum, ipPacket, udp } from '../unit/dataplane/packets.js';
import { mutate, noise } from './mutation.js';
import type { Random } from './random.js';

/** Families differ in their addresses only. */
export interface Ends {
  readonly source: string;
  readonly destination: string;
}

const PROTOCOLS = [0, 1, 2, 4, 6, 17, 41, 43, 44, 47, 50, 51, 58, 59, 60, 132, 135, 136, 253];
const EXTENSIONS = [0, 43, 44, 51, 60];

/** A packet between these ends: well-formed, but of any kind. */
export function packetBetween(random: Random, ends: Ends, most = 1400): Uint8Array {
  const size = random.oneIn(4) ? random.below(most) : random.below(120);
  const data = noise(random, size);
  const ports = [random.pick([7, 53, 500, 4500]), random.pick([7, 53, 500, 4500])] as const;
  const payload = random.oneIn(2) ? udp(ends, ports, data) : data;
  const protocol = payload === data ? random.pick(PROTOCOLS) : 17;
  const isV6 = ends.source.includes(':');
  const packet = ipPacket({
    ...ends,
    protocol,
    payload,
    ttl: random.oneIn(8) ? random.below(3) : 64,
    dontFragment: random.oneIn(4),
    moreFragments: random.oneIn(12),
    fragmentOffset: random.oneIn(12) ? 8 * random.below(8192) : 0,
  });
  if (isV6) return random.oneIn(3) ? withExtensions(random, packet) : packet;
  return random.oneIn(6) ? withOptions(random, packet) : packet;
}

/** IPv6 extension headers before what is there; their lengths need not be true. */
export function withExtensions(random: Random, packet: Uint8Array): Uint8Array {
  let next = packet[6]!;
  let rest = packet.slice(40);
  const count = random.oneIn(10) ? 20 : 1 + random.below(3);
  for (let i = 0; i < count; i++) {
    const type = random.pick(EXTENSIONS);
    const header = noise(random, 8 * (1 + random.below(2)));
    const words = header.length / 8 - 1;
    header[0] = next;
    if (type === 51) header[1] = header.length / 4 - 2;
    else header[1] = random.oneIn(6) ? random.below(256) : words;
    if (type === 44) header.set([0, random.oneIn(2) ? 0 : random.below(256)], 2);
    const longer = new Uint8Array(header.length + rest.length);
    longer.set(header);
    longer.set(rest, header.length);
    [next, rest] = [type, longer];
  }
  const out = new Uint8Array(40 + rest.length);
  out.set(packet.subarray(0, 40));
  out.set([rest.length >> 8, rest.length & 255, next], 4);
  out.set(rest, 40);
  return out;
}

/** IPv4 options, one to ten words of noise. */
export function withOptions(random: Random, packet: Uint8Array): Uint8Array {
  const options = noise(random, 4 * (1 + random.below(10)));
  const out = new Uint8Array(packet.length + options.length);
  out.set(packet.subarray(0, 20));
  out.set(options, 20);
  out.set(packet.subarray(20), 20 + options.length);
  out[0] = 0x40 | (5 + options.length / 4);
  out.set([out.length >> 8, out.length & 255], 2);
  return withChecksum(out);
}

/** A changed copy, mostly with what a first look at the IP header checks put right again. */
export function mutatePacket(
  random: Random,
  packet: Uint8Array,
  corpus: readonly Uint8Array[],
): Uint8Array {
  const changed = mutate(packet, random, corpus).slice(0, 3000);
  if (random.oneIn(6) || changed.length < 20) return changed;
  changed[0] = (packet[0]! & 0xf0) | (changed[0]! & 0x0f);
  if (packet[0]! >> 4 === 6) {
    if (changed.length < 40) return changed;
    changed.set([(changed.length - 40) >> 8, (changed.length - 40) & 255], 4);
    return changed;
  }
  if (!random.oneIn(8)) changed[0] = 0x45;
  changed.set([changed.length >> 8, changed.length & 255], 2);
  return withChecksum(changed);
}

/** With the IPv4 header checksum made right, if that is possible. */
export function withChecksum(packet: Uint8Array): Uint8Array {
  const header = (packet[0]! & 15) * 4;
  if (header < 20 || header > packet.length) return packet;
  packet.set([0, 0], 10);
  new DataView(packet.buffer, packet.byteOffset).setUint16(
    10,
    internetChecksum(packet.subarray(0, header)),
  );
  return packet;
}

/** A frame that is no use to anybody. */
export function brokenFrame(random: Random, packet: Uint8Array): Uint8Array {
  const whole = frame(packet);
  switch (random.below(4)) {
    case 0:
      return noise(random, random.below(80));
    case 1:
      return whole.subarray(0, random.below(40));
    case 2:
      whole.set([random.below(256), random.below(256)], 12);
      return whole;
    default: {
      // As long as a frame of ours can be, and longer.
      const long = noise(random, 1500 + random.below(2000));
      long.set(whole.subarray(0, Math.min(60, whole.length)));
      return long;
    }
  }
}
