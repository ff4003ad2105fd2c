/**
 * `probe`: how the peer of a connection answers, and what the path takes, without help of the peer
 * beyond RFC 7296: it answers empty INFORMATIONAL requests (§2.4), and long ones, whose filling it
 * ignores (§3.10.1). A long one is sent with DF, so that it either arrives whole, or is lost and ICMP
 * tells the kernel of a smaller MTU; sent again it may be cut on the way.
 *
 * ESP dummy packets (RFC 4303 §2.6) would show the same path, but nobody answers them.
 */
import type { Dataplane } from '../dataplane/dataplane.js';
import type { IkeSaView, IkeSpi } from '../ike/event.js';
import type { ProbeAnswer } from '../ike/tasks/probe.js';

export interface ProbeResult {
  readonly connection: string;
  /** Undefined: there is no IKE SA to ask over. */
  readonly local?: string;
  readonly remote?: string;
  readonly nat?: 'none' | 'local' | 'remote' | 'both';
  readonly liveness?: {
    readonly requests: number;
    /** Requests that had to be sent again, or were never answered. */
    readonly lost: number;
    /** Of those that were answered at once. */
    readonly roundTripMilliseconds: { least: number; median: number; most: number } | null;
  };
  /** Of IP datagrams; undefined: none was answered, or the peer takes no fragments. */
  readonly pathMtu?: number;
  /** Sizes that were tried, and whether they arrived whole. */
  readonly tried?: readonly { readonly bytes: number; readonly arrived: boolean }[];
  /** What the dataplane knows of its own packets. */
  readonly children?: readonly {
    readonly name: string;
    readonly pathMtu: number;
    readonly innerMtu: number;
    readonly lost: number;
    readonly received: number;
  }[];
}

export interface ProbedGateway {
  readonly ikeSas: () => Promise<readonly IkeSaView[]>;
  readonly probe: (ikeSpi: IkeSpi, bytes: number) => Promise<ProbeAnswer | undefined>;
  readonly counters: Dataplane['counters'];
  /** Largest MTU of the WAN ports. */
  readonly portMtu: () => number;
  /** What the kernel knows of the path to an address; undefined: nothing. */
  readonly knownMtu: (address: string) => Promise<number | undefined>;
}

const LIVENESS_REQUESTS = 5;
/** MTUs that paths have, from jumbo frames to what IPv4 has to take, and some between. */
const SIZES = [
  9000, 8000, 4470, 1500, 1492, 1480, 1472, 1460, 1450, 1440, 1430, 1420, 1412, 1400, 1380, 1360,
  1340, 1320, 1300, 1280, 1006, 576,
] as const;

export async function probeConnection(
  connection: string,
  gateway: ProbedGateway,
): Promise<ProbeResult> {
  const sas = await gateway.ikeSas();
  const sa = sas.find((one) => one.connection === connection && one.state === 'established');
  if (sa === undefined) return { connection };
  const spi = sa.role === 'initiator' ? sa.initiatorSpi : sa.responderSpi;
  const ask = (bytes: number) => gateway.probe(spi, bytes);
  const liveness = await askAgainAndAgain(ask);
  const answers = liveness.lost < LIVENESS_REQUESTS;
  const path = answers ? await findPathMtu(ask, sa.remote.address, gateway) : {};
  return {
    connection,
    local: `${sa.local.address}:${sa.local.port}`,
    remote: `${sa.remote.address}:${sa.remote.port}`,
    nat: natOf(sa),
    liveness,
    ...path,
    children: sa.children.flatMap(({ name, inboundSpi }) => {
      const counters = gateway.counters(inboundSpi);
      if (counters === undefined) return [];
      const { pathMtu, innerMtu, inLost, inPackets } = counters;
      return [{ name, pathMtu, innerMtu, lost: Number(inLost), received: Number(inPackets) }];
    }),
  };
}

function natOf({ natLocal, natRemote }: IkeSaView): NonNullable<ProbeResult['nat']> {
  if (natLocal) return natRemote ? 'both' : 'local';
  return natRemote ? 'remote' : 'none';
}

type Ask = (bytes: number) => Promise<ProbeAnswer | undefined>;

async function askAgainAndAgain(ask: Ask): Promise<NonNullable<ProbeResult['liveness']>> {
  const times: number[] = [];
  let requests = 0;
  while (requests < LIVENESS_REQUESTS) {
    requests++;
    const answer = await ask(0);
    // The next one would wait behind it.
    if (answer === undefined) break;
    if (answer.sent === 1) times.push(answer.milliseconds);
  }
  times.sort((a, b) => a - b);
  const lost = LIVENESS_REQUESTS - times.length;
  const roundTripMilliseconds =
    times.length === 0
      ? null
      : { least: times[0]!, median: times[times.length >> 1]!, most: times.at(-1)! };
  return { requests, lost, roundTripMilliseconds };
}

/**
 * The largest size that arrives whole: the first one, or by halving. A size that is too long costs
 * a retransmission.
 */
async function findPathMtu(
  ask: Ask,
  peer: string,
  { portMtu, knownMtu }: ProbedGateway,
): Promise<Pick<ProbeResult, 'pathMtu' | 'tried'>> {
  const tried: { bytes: number; arrived: boolean }[] = [];
  const arrives = async (bytes: number): Promise<boolean> => {
    // What ICMP has told already would only cost a retransmission.
    if (((await knownMtu(peer)) ?? bytes) < bytes) return false;
    const answer = await ask(bytes);
    const arrived = answer?.bytes !== undefined;
    if (answer !== undefined) tried.push({ bytes: answer.bytes ?? bytes, arrived });
    return arrived;
  };
  const most = portMtu();
  const sizes = [most, ...SIZES.filter((bytes) => bytes < most)];
  if (!(await arrives(most))) {
    let [low, high] = [1, sizes.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (await arrives(sizes[middle]!)) high = middle;
      else low = middle + 1;
    }
  }
  const arrived = tried.filter((one) => one.arrived).map(({ bytes }) => bytes);
  const largest = arrived.length === 0 ? undefined : Math.max(...arrived);
  const known = await knownMtu(peer);
  // ICMP tells the exact number.
  const pathMtu = known !== undefined && known < most && known >= (largest ?? 0) ? known : largest;
  return pathMtu === undefined ? { tried } : { pathMtu, tried };
}
