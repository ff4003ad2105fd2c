/**
 * What is wrong in a configuration, told so that it can be mended: the file, the line, the key,
 * what was found and what is allowed. The value of a key that may hold a secret is never told.
 */
export interface ConfigProblem {
  readonly file: string;
  /** 0: it is about the file as a whole. */
  readonly line: number;
  readonly column: number;
  /** Such as `connection.office.remote.address`; empty for a syntax error. */
  readonly key: string;
  readonly found: string;
  readonly allowed: string;
}

/** `gateway.toml:7:1: connection.office.start: found "now", allowed: "always", "trap", "wait"`. */
function renderProblem(problem: ConfigProblem): string {
  const { file, line, column, key, found, allowed } = problem;
  const where = line === 0 ? file : `${file}:${line}:${column}`;
  const what = key === '' ? '' : `${key}: `;
  return `${where}: ${what}${found}${renderAllowed(allowed)}`;
}

function renderAllowed(allowed: string): string {
  if (allowed === '') return '';
  return /^(did you mean|what strongSwan calls) /.test(allowed)
    ? `, ${allowed}`
    : `, allowed: ${allowed}`;
}

/** The configuration cannot be used; `problems` has at least one entry. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
  readonly problems: readonly ConfigProblem[];

  constructor(problems: readonly ConfigProblem[]) {
    super(problems.map(renderProblem).join('\n'));
    this.problems = problems;
  }
}

/** The candidate that was probably meant: few edits away, or the same beginning. */
export function didYouMean(word: string, candidates: readonly string[]): string | undefined {
  const near = candidates
    .map((candidate) => ({ candidate, distance: editDistance(word, candidate) }))
    .filter(
      ({ candidate, distance }) =>
        distance <= Math.max(1, Math.floor(candidate.length / 3)) || candidate.startsWith(word),
    )
    .sort((a, b) => a.distance - b.distance);
  return near[0]?.candidate;
}

/** Edits from one word to the other, where two letters that change places are one. */
function editDistance(a: string, b: string): number {
  let [before, row]: [number[], number[]] = [[], Array.from({ length: b.length + 1 }, (_, i) => i)];
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const replace = row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      const isSwap = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      const swap = isSwap ? before[j - 2]! + 1 : Number.POSITIVE_INFINITY;
      next.push(Math.min(row[j]! + 1, next[j - 1]! + 1, replace, swap));
    }
    [before, row] = [row, next];
  }
  return row[b.length]!;
}
