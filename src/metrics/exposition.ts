/**
 * Metrics as text, in the format of Prometheus 0.0.4, which OpenMetrics readers take too. Our
 * counters are there already, so that a library would only copy them.
 */

export interface Family {
  /** `esplane_…`; a counter's ends in `_total`. */
  readonly name: string;
  readonly type: 'counter' | 'gauge';
  readonly help: string;
  readonly samples: Samples;
}

/** Those of many connections are made when it is their turn. */
export type Samples = readonly Sample[] | (() => readonly Sample[]);

export interface Sample {
  readonly labels?: Readonly<Record<string, string>>;
  readonly value: number;
}

export const CONTENT_TYPE = 'text/plain; version=0.0.4; charset=utf-8';

/** The text, line by line. Families without samples are left out. */
export function* renderFamilies(families: Iterable<Family>): Generator<string> {
  for (const { name, type, help, samples } of families) {
    const all = typeof samples === 'function' ? samples() : samples;
    if (all.length === 0) continue;
    yield `# HELP ${name} ${help.replaceAll('\\', '\\\\')}\n# TYPE ${name} ${type}\n`;
    for (const { labels, value } of all) yield `${name}${renderLabels(labels)} ${value}\n`;
  }
}

function renderLabels(labels: Readonly<Record<string, string>> = {}): string {
  const pairs = Object.entries(labels).map(([name, value]) => `${name}="${escapeValue(value)}"`);
  return pairs.length === 0 ? '' : `{${pairs.join(',')}}`;
}

function escapeValue(text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');
}
