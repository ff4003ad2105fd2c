/** What the attacker of `esp-attack.ts` sends, by kind and weight, at the WAN and the LAN port. */
import { A, B } from '../unit/dataplane/gateways.js';
import { frame, ipPacket, udp } from '../unit/dataplane/packets.js';
import { type EspPeer, withTrailer } from './esp-peer.js';
import {
  brokenFrame,
  type Ends,
  mutatePacket,
  packetBetween,
  withExtensions,
} from './hostile-packets.js';
import { mutate, noise } from './mutation.js';
import type { Random } from './random.js';

/** What the cases are made from. */
export interface World {
  readonly random: Random;
  /** Peers whose SA is installed, and one whose SA was removed. */
  readonly peers: readonly EspPeer[];
  /** ESP packets of both directions that were good. */
  readonly corpus: readonly Uint8Array[];
}

export interface CaseKind {
  readonly name: string;
  readonly weight: number;
  /** An Ethernet frame. */
  make(world: World): Uint8Array;
}

const INWARD: readonly Ends[] = [
  { source: '10.2.0.7', destination: '10.1.0.5' },
  { source: '2001:db8:2::7', destination: '2001:db8:1::5' },
];
const OUTWARD: readonly Ends[] = INWARD.map(({ source, destination }) => ({
  source: destination,
  destination: source,
}));

/** Ends that a peer should not use, by family. */
const ODD_ADDRESSES: readonly (readonly string[])[] = [
  [
    '10.1.0.1',
    '10.1.0.5',
    '10.2.0.7',
    '10.3.0.1',
    '192.0.2.1',
    '192.0.2.2',
    '198.51.100.9',
    '224.0.0.1',
    '127.0.0.1',
    '255.255.255.255',
    '0.0.0.0',
  ],
  [
    '2001:db8:1::1',
    '2001:db8:1::5',
    '2001:db8:2::7',
    '2001:db8:3::1',
    '2001:db8:ffff::1',
    '2001:db8:ffff::2',
    'ff02::1',
    'fe80::1',
    '::1',
    '::',
  ],
];

function oddEnds(random: Random): Ends {
  const addresses = random.pick(ODD_ADDRESSES);
  return { source: random.pick(addresses), destination: random.pick(addresses) };
}

function sealedGood({ random, peers }: World): Uint8Array {
  return random.pick(peers).seal(packetBetween(random, random.pick(INWARD)));
}

export const WAN_CASES: readonly CaseKind[] = [
  {
    name: 'mutated ESP',
    weight: 20,
    make: (world) => frame(mutatePacket(world.random, sealedGood(world), world.corpus)),
  },
  {
    name: 'mutated ciphertext',
    weight: 8,
    make: (world) => {
      const packet = sealedGood(world);
      const at = world.random.below(Math.min(60, packet.length));
      packet[packet.length - 1 - at]! ^= 1 << world.random.below(8);
      return frame(packet);
    },
  },
  {
    name: 'authentic, mutated inside',
    weight: 14,
    make: ({ random, peers, corpus }) => {
      const inner = packetBetween(random, random.pick(INWARD));
      const changed = mutatePacket(random, inner, corpus).slice(0, 1400);
      const nextHeader = inner[0]! >> 4 === 4 ? 4 : 41;
      return frame(random.pick(peers).sealText(withTrailer(changed, nextHeader)));
    },
  },
  {
    name: 'authentic, odd ends inside',
    weight: 10,
    make: ({ random, peers }) =>
      frame(random.pick(peers).seal(packetBetween(random, oddEnds(random)))),
  },
  {
    name: 'authentic, any text',
    weight: 8,
    make: ({ random, peers }) => {
      const text = random.oneIn(2)
        ? noise(random, random.below(200))
        : withTrailer(packetBetween(random, random.pick(INWARD), 200), random.below(256));
      if (text.length > 1 && random.oneIn(2)) text[text.length - 2] = random.below(256);
      return frame(random.pick(peers).sealText(text));
    },
  },
  {
    name: 'authentic, any sequence number',
    weight: 4,
    make: ({ random, peers }) => {
      const peer = random.pick(peers);
      const text = withTrailer(packetBetween(random, random.pick(INWARD)), 4);
      const back = BigInt(random.below(400));
      const sequence = peer.sequence > back ? peer.sequence - back : 0n;
      return frame(peer.sealText(text, sequence));
    },
  },
  {
    name: 'replayed',
    weight: 6,
    make: (world) => frame(world.random.pick([sealedGood(world), ...world.corpus])),
  },
  {
    name: 'ESP in other wrappings',
    weight: 6,
    make: (world) => frame(wrapped(world)),
  },
  {
    name: 'UDP 4500',
    weight: 6,
    make: ({ random, corpus }) => {
      const ends = { source: B.outer, destination: A.outer };
      const data = random.oneIn(3) ? noise(random, random.below(12)) : noise(random, 40);
      if (random.oneIn(4)) data.fill(random.pick([0, 0xff]), 0, 4);
      const payload = udp(ends, [4500, 4500], data, 'zero');
      const packet = ipPacket({ ...ends, protocol: 17, payload });
      return frame(random.oneIn(2) ? packet : mutatePacket(random, packet, corpus));
    },
  },
  {
    name: 'clear text at the WAN port',
    weight: 10,
    make: ({ random }) => frame(packetBetween(random, oddEnds(random))),
  },
  {
    name: 'broken frame',
    weight: 5,
    make: (world) => brokenFrame(world.random, sealedGood(world)),
  },
];

/** ESP in fragments, behind extension headers or options, in UDP where the SA has none. */
function wrapped(world: World): Uint8Array {
  const { random, peers } = world;
  const packet = sealedGood(world);
  const isV6 = packet[0]! >> 4 === 6;
  if (isV6 && random.oneIn(2)) return withExtensions(random, packet);
  const peer = random.pick(peers);
  const esp = packet.subarray(isV6 ? 40 : 20);
  if (random.oneIn(2)) return peer.wrap(esp);
  return ipPacket({
    source: B.outer,
    destination: A.outer,
    protocol: random.pick([17, 50, 51]),
    moreFragments: random.oneIn(2),
    fragmentOffset: random.oneIn(2) ? 8 * random.below(200) : 0,
    payload: esp,
  });
}

export const LAN_CASES: readonly CaseKind[] = [
  {
    name: 'for the tunnel',
    weight: 10,
    make: ({ random }) => frame(packetBetween(random, random.pick(OUTWARD))),
  },
  {
    name: 'for the tunnel, mutated',
    weight: 12,
    make: ({ random, corpus }) =>
      frame(mutatePacket(random, packetBetween(random, random.pick(OUTWARD)), corpus)),
  },
  {
    name: 'for the tunnel, too big',
    weight: 2,
    make: ({ random }) => {
      const payload = noise(random, 1400 + random.below(350));
      return frame(ipPacket({ ...random.pick(OUTWARD), payload, dontFragment: random.oneIn(2) }));
    },
  },
  {
    name: 'odd ends at the LAN port',
    weight: 5,
    make: ({ random }) => frame(packetBetween(random, oddEnds(random))),
  },
  {
    name: 'broken frame at the LAN port',
    weight: 2,
    make: ({ random }) => brokenFrame(random, packetBetween(random, random.pick(OUTWARD))),
  },
  {
    name: 'mutated frame at the LAN port',
    weight: 3,
    make: ({ random, corpus }) =>
      mutate(frame(packetBetween(random, random.pick(OUTWARD))), random, corpus).slice(0, 3500),
  },
];
