/** What guided fuzzing begins with: proper messages, and what earlier runs have found (`corpus/`). */
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { notify } from '../../src/ike/messages/payloads.js';
import { EXCHANGE, NOTIFY, type Payload } from '../../src/wire/index.js';
import { connectionOf, Peer } from '../exchange/harness/peer.js';
import { SeededRandom } from '../exchange/harness/random.js';
import { ScriptedPeer } from '../exchange/harness/scripted-peer.js';
import { captured, withRightLength } from './captured.js';
import { checkSealed, checkWire, sealedCase, type Target } from './targets.js';

export const TARGETS: Readonly<Record<string, Target>> = {
  // A wrong length of the whole is refused before all else.
  wire: (data) => checkWire(withRightLength(data.slice())),
  sealed: checkSealed,
};

/** Proper messages of a target. */
export function seedsOf(target: string): readonly Uint8Array[] {
  return target === 'wire' ? captured : sealedSeeds();
}

function sealedSeeds(): Uint8Array[] {
  const gateway = new Peer('b', new SeededRandom(1));
  gateway.ike.setConnections([connectionOf('b')]);
  const peer = new ScriptedPeer(gateway);
  peer.init();
  const auth = peer.authPayloads();
  const child = peer.childRequest();
  const rekeySa: Payload = {
    ...{ kind: 'N', protocolId: 3, notifyType: NOTIFY.REKEY_SA },
    ...{ spi: peer.outboundSpi, data: new Uint8Array(0) },
  };
  const later: readonly (readonly [number, readonly Payload[]])[] = [
    [EXCHANGE.CREATE_CHILD_SA, child],
    [EXCHANGE.CREATE_CHILD_SA, [rekeySa, ...child]],
    [EXCHANGE.CREATE_CHILD_SA, peer.initPayloads()],
    [EXCHANGE.INFORMATIONAL, []],
    [EXCHANGE.INFORMATIONAL, [{ kind: 'D', protocolId: 3, spis: [peer.outboundSpi] }]],
    [EXCHANGE.INFORMATIONAL, [{ kind: 'D', protocolId: 1, spis: [] }]],
    [EXCHANGE.INFORMATIONAL, [notify(NOTIFY.UPDATE_SA_ADDRESSES), notify(NOTIFY.COOKIE2, peer.ni)]],
  ];
  return [
    sealedCase(false, EXCHANGE.IKE_AUTH, auth),
    sealedCase(false, EXCHANGE.IKE_AUTH, [...auth, notify(NOTIFY.MOBIKE_SUPPORTED)]),
    ...later.map(([exchange, payloads]) => sealedCase(true, exchange, payloads)),
  ];
}

/** The compiled fuzzer lies elsewhere than its corpus. */
const root = fileURLToPath(new URL('.', import.meta.url)).replace(
  /build\/fuzz\/test\/fuzz\/$/,
  'test/fuzz/',
);
const pathOf = (target: string) => `${root}corpus/${target}.txt`;

/** Cases in hexadecimal digits, one a line. */
export function readCorpus(target: string): Uint8Array[] {
  const lines = readFileSync(pathOf(target), 'utf8').split('\n');
  return lines
    .filter((line) => line !== '')
    .map((line) => new Uint8Array(Buffer.from(line, 'hex')));
}

export function writeCorpus(target: string, corpus: readonly Uint8Array[]): void {
  const lines = corpus.map((data) => `${Buffer.from(data).toString('hex')}\n`);
  writeFileSync(pathOf(target), lines.join(''));
}
