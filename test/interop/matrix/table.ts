/** The matrix as text: a line for each transform, a column for each mode, family and ESN. */

import type { Transform } from '../../transforms.js';
import { type Cell, COLUMNS, type Column } from './cells.js';
import type { Outcome } from './run.js';

/** Without the one in UDP, which shares its column. */
const SHOWN = COLUMNS.filter(({ udp }) => !udp);
const NAME_WIDTH = 29;
const WIDTH = 9;

/**
 * Cells are the peer that showed them: one word where ESP agrees bare and in UDP, else both. What
 * was not shown is a number, with the reason below.
 */
export function renderTable(
  transforms: readonly Transform[],
  outcomes: ReadonlyMap<Cell, Outcome>,
): string {
  const reasons: string[] = [];
  const word = (outcome: Outcome | undefined): string => {
    if (outcome?.type === 'shown') return outcome.by;
    const reason = outcome === undefined ? 'not tried' : `${outcome.type}: ${outcome.why}`;
    if (!reasons.includes(reason)) reasons.push(reason);
    return `[${reasons.indexOf(reason) + 1}]`;
  };
  const lines = transforms.map((transform) => {
    const cells = [...outcomes].filter(([cell]) => cell.transform === transform);
    const words = SHOWN.map((column) => {
      const found = (udp: boolean) =>
        cells.find(([cell]) => isSame(cell.column, { ...column, udp }))?.[1];
      const bare = word(found(false));
      if (transform.protocol === 'ah') return bare;
      const inUdp = word(found(true));
      return bare === inUdp ? bare : `${bare}/${inUdp}`;
    });
    return line(transform.name, words);
  });
  return [
    ...headings(),
    ...lines,
    '',
    'ESP stands for ESP alone and in UDP, both shown; AH is never in UDP (RFC 3948).',
    ...reasons.map((reason, i) => `[${i + 1}] ${reason}`),
  ].join('\n');
}

function headings(): string[] {
  return [
    line(
      '',
      SHOWN.map(({ mode }) => mode),
    ),
    line(
      '',
      SHOWN.map(({ mode, inner, outer }) =>
        mode === 'tunnel' ? `${inner} in ${outer}` : `${outer}`,
      ),
    ),
    line(
      'transform',
      SHOWN.map(({ esn }) => (esn ? 'ESN' : '')),
    ),
  ];
}

function line(name: string, words: readonly string[]): string {
  return (
    name.padEnd(NAME_WIDTH) + words.map((word) => ` ${word.padEnd(WIDTH)}`).join('')
  ).trimEnd();
}

function isSame(a: Column, b: Column): boolean {
  return (
    a.mode === b.mode &&
    a.inner === b.inner &&
    a.outer === b.outer &&
    a.esn === b.esn &&
    a.udp === b.udp
  );
}
