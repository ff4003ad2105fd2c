/**
 * What the fuzzers of IKE hold true for any octets: a message in clear, and what a peer with keys has
 * sealed. Each throws where that does not hold, and else says what came of the octets.
 */
import { isDeepStrictEqual } from 'node:util';
import {
  decodeMessage,
  decodePayloads,
  describeMessage,
  EXCHANGE,
  encodeMessage,
  encodePayloads,
  type Message,
  type Payload,
  printMessage,
  validate,
  WireError,
} from '../../src/wire/index.js';
import { connectionOf, Peer } from '../exchange/harness/peer.js';
import { SeededRandom } from '../exchange/harness/random.js';
import { ScriptedPeer } from '../exchange/harness/scripted-peer.js';
import { digitsOf } from '../unit/wire/fixtures.js';

export type Target = (data: Uint8Array) => string;

/**
 * Decodes it as a message: that has to end in a message or in a WireError; a message has to encode,
 * to the same octets however often, and to print within bounds.
 */
export const checkWire: Target = (data) => {
  let message: Message;
  try {
    message = decodeMessage(data);
  } catch (error) {
    if (error instanceof WireError) return `refused: ${error.where}`;
    throw error;
  }
  const encoded = encodeMessage(message);
  if (digitsOf(encodeMessage(decodeMessage(encoded))) !== digitsOf(encoded)) {
    throw new Error('encodes differently after decoding');
  }
  if (printMessage(message).length > 200 + 64 * data.length) throw new Error('prints too much');
  if (describeMessage(message).length > 1000 + 64 * data.length) throw new Error('prints too much');
  try {
    validate({ ...message.header, encrypted: false }, message.payloads);
    return 'accepted, of a known content';
  } catch (error) {
    if (error instanceof WireError) return 'accepted, of no known content';
    throw error;
  }
};

const EXCHANGES = [
  ...[EXCHANGE.CREATE_CHILD_SA, EXCHANGE.INFORMATIONAL, EXCHANGE.IKE_AUTH],
  ...[EXCHANGE.IKE_INTERMEDIATE, EXCHANGE.IKE_FOLLOWUP_KE],
] as const;
/** Longer than any timer of an IKE SA whose peer is silent. */
const LONGEST = 400_000;

/**
 * Sends it inside SK to a gateway, on an IKE SA of its own: the first octet says on which and in
 * which exchange (`sealedCase`), the second the type of the first payload. The request is answered
 * once or ends the IKE SA, nothing is thrown past the core, and in the end nothing is left.
 */
export const checkSealed: Target = (data) => {
  const [choice = 0, firstType = 0] = data;
  const gateway = new Peer('b', new SeededRandom(1));
  gateway.ike.setConnections([connectionOf('b', { mobike: true })]);
  const peer = new ScriptedPeer(gateway);
  const established = (choice & 1) === 1;
  if (established) peer.establish();
  else peer.init();
  const plain = withProof(peer, firstType, data.subarray(2));
  const padded = new Uint8Array([...plain.bytes, 0]);
  const exchange = EXCHANGES[(choice >> 1) % EXCHANGES.length]!;
  const answers = peer.send(
    peer.sealRaw(exchange, established ? 2 : 1, [], { firstType: plain.firstType, padded }),
  );
  // Its own Delete, or another request of its own, may go with the answer.
  if (answers.length > 2) throw new Error(`${answers.length} answers`);
  const [state = 'no IKE SA'] = gateway.states;
  takeDown(gateway);
  return `${established ? 'established' : 'half-open'}, exchange ${exchange}: ${answers.length} answers, ${state}`;
};

/** Octets that make `checkSealed` send these payloads. */
export function sealedCase(established: boolean, exchange: number, payloads: readonly Payload[]) {
  const { firstType, bytes } = encodePayloads(payloads);
  const choice = 2 * (EXCHANGES as readonly number[]).indexOf(exchange) + (established ? 1 : 0);
  return new Uint8Array([choice, firstType, ...bytes]);
}

/** The payloads as they are, but AUTH right: nobody would find it by chance. */
function withProof(peer: ScriptedPeer, firstType: number, bytes: Uint8Array) {
  let payloads: Payload[];
  try {
    payloads = decodePayloads(firstType, bytes);
  } catch (error) {
    if (error instanceof WireError) return { firstType, bytes };
    throw error;
  }
  const encoded = encodePayloads(payloads);
  if (!isDeepStrictEqual(decodePayloads(encoded.firstType, encoded.bytes), payloads)) {
    throw new Error('decodes differently after encoding');
  }
  const auth = payloads.findIndex(({ kind }) => kind === 'AUTH');
  if (auth < 0) return { firstType, bytes };
  payloads[auth] = peer.authPayloads()[1]!;
  return encodePayloads(payloads);
}

function takeDown(gateway: Peer): void {
  gateway.handle({ type: 'terminate', connection: 'site' });
  const end = gateway.now + LONGEST;
  for (let next = gateway.nextTimer(); next !== undefined; next = gateway.nextTimer()) {
    if (next.at > end) break;
    gateway.now = next.at;
    gateway.runTimer(next.timer);
  }
  const error = gateway.log.find((line) => line.startsWith('error'));
  if (error !== undefined) throw new Error(error);
  if (!gateway.isClean) throw new Error(`left: ${[...gateway.timers.keys()].join(', ')}`);
}
