/**
 * Which implementation of each algorithm the dataplane uses on this machine: the fastest that passes
 * its known answers (native/crypto/choice.h).
 */
import { addon } from './addon.js';
import type { Contestant, CpuFeatures, EngineChoice } from './bindings/crypto.js';

export type { EngineChoice } from './bindings/crypto.js';

/** IANA transform IDs (RFC 7296 §3.3.2) and key length; 0: none. */
export interface SuiteNumbers {
  readonly encryption: number;
  readonly keyBits: number;
  readonly integrity: number;
}

/**
 * The engine for a suite, chosen now if it was not before, which takes about a millisecond.
 * @returns undefined where ESP and AH have no such suite
 */
export function engineFor({
  encryption,
  keyBits,
  integrity,
}: SuiteNumbers): EngineChoice | undefined {
  const suite = addon
    .cryptoSuites()
    .find(
      (row) =>
        row.encryption === encryption &&
        row.integrity === integrity &&
        (row.keyBits === keyBits || keyBits === 0),
    );
  return suite === undefined ? undefined : addon.chooseEngine({ suite: suite.name });
}

/**
 * One line for a log, such as
 * `AES-GCM-16-256: vaes256, 0.16 ns/byte (aesni 0.27, openssl 0.83)`.
 */
export function describeChoice(choice: EngineChoice): string {
  const { suite, engine, nanosecondsPerByte } = choice;
  const start = `${suite}: ${engine}, ${nanosecondsPerByte.toFixed(2)} ns/byte`;
  if (choice.aeads.length > 0) return start + others(choice.aeads);
  return [start, ...part('cipher', choice.ciphers), ...part('MAC', choice.macs)].join('; ');
}

function part(title: string, list: readonly Contestant[]): string[] {
  const [chosen] = list;
  if (chosen === undefined) return [];
  return [`${title} ${chosen.name} ${chosen.nanosecondsPerByte.toFixed(2)}${others(list)}`];
}

/** What was not chosen. */
function others([, ...rest]: readonly Contestant[]): string {
  if (rest.length === 0) return '';
  return ` (${rest.map((c) => `${c.name} ${c.nanosecondsPerByte.toFixed(2)}`).join(', ')})`;
}

/**
 * What a CPU without AES instructions costs, or undefined where it has them.
 * @param choice  of the suite that is used first of all
 */
export function slowCpuWarning(
  choice: EngineChoice,
  cpu: Pick<CpuFeatures, 'aesni'> = addon.cpuFeatures(),
): string | undefined {
  if (cpu.aesni) return undefined;
  const gigabits = 8 / choice.nanosecondsPerByte;
  return (
    `this CPU has no AES instructions: ${choice.suite} by ${choice.engine} takes ` +
    `${choice.nanosecondsPerByte.toFixed(1)} ns/byte, ${gigabits.toFixed(2)} Gbit/s a core at most ` +
    '(ChaCha20-Poly1305 may be faster: esplane bench crypto)'
  );
}
