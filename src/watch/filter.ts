/**
 * The filters of `capture` and `trace`: a subset of tcpdump's language, brought into the form that
 * the dataplane knows (native/pipeline/packet_filter.h): alternatives of conditions that hold
 * together.
 *
 *     host 10.1.0.5 and (tcp port 443 or icmp)
 *     src net 10.1.0.0/16 and not port 22
 *     esp and spi 0xc0000001
 */
import type { FilterCondition, PacketFilter } from '../dataplane/watch.js';
import { formatAddress, parseAddress, parseSelector } from '../wire/index.js';

/** What is wrong with a filter, in the words of whoever wrote it. */
export class FilterError extends Error {
  override readonly name = 'FilterError';
}

type Expression =
  | { readonly kind: 'condition'; readonly condition: FilterCondition }
  | { readonly kind: 'not'; readonly of: Expression }
  | { readonly kind: 'and' | 'or'; readonly parts: readonly Expression[] };

const PROTOCOLS: Readonly<Record<string, number>> = {
  icmp: 1,
  tcp: 6,
  udp: 17,
  esp: 50,
  ah: 51,
  icmp6: 58,
  sctp: 132,
};
const MOST_ALTERNATIVES = 64;
const MOST_CONDITIONS = 512;

/** @param text  empty: every packet. Throws `FilterError`. */
export function parseFilter(text: string): PacketFilter {
  const words = text.match(/[()]|[^\s()]+/g) ?? [];
  if (words.length === 0) return [];
  const reader = new Reader(words);
  const expression = reader.either();
  reader.end();
  return alternatives(expression, false);
}

/** What passes both. Throws `FilterError` where that is too much. */
export function bothFilters(a: PacketFilter, b: PacketFilter): PacketFilter {
  if (a.length === 0) return b;
  return b.length === 0 ? a : bounded(product([a, b]));
}

class Reader {
  readonly #words: readonly string[];
  #at = 0;

  constructor(words: readonly string[]) {
    this.#words = words;
  }

  either(): Expression {
    const parts = [this.#both()];
    while (this.#take('or')) parts.push(this.#both());
    return parts.length === 1 ? parts[0]! : { kind: 'or', parts };
  }

  end(): void {
    const word = this.#words[this.#at];
    if (word !== undefined) throw this.#unexpected(word);
  }

  /** As with tcpdump, `tcp port 80` is `tcp and port 80`. */
  #both(): Expression {
    const parts = [this.#one()];
    for (;;) {
      const next = this.#words[this.#at];
      if (next === undefined || next === 'or' || next === ')') break;
      this.#take('and');
      parts.push(this.#one());
    }
    return parts.length === 1 ? parts[0]! : { kind: 'and', parts };
  }

  #one(): Expression {
    if (this.#take('not') || this.#take('!')) return { kind: 'not', of: this.#one() };
    if (this.#take('(')) {
      const inner = this.either();
      if (!this.#take(')')) throw new FilterError('a ")" is missing');
      return inner;
    }
    return { kind: 'condition', condition: this.#condition() };
  }

  #condition(): FilterCondition {
    const word = this.#next('a condition');
    if (word === 'src' || word === 'dst') return this.#directed(word);
    if (word === 'host' || word === 'net') return this.#range('address');
    if (word === 'port') return { field: 'port', value: this.#number('a port', 65_535) };
    if (word === 'proto') return { field: 'protocol', value: this.#protocol() };
    if (word === 'spi') return { field: 'spi', value: this.#number('an SPI', 0xffffffff) };
    if (word === 'ip' || word === 'ip6') return { field: 'family', value: word === 'ip' ? 4 : 6 };
    const protocol = PROTOCOLS[word];
    if (protocol === undefined) throw this.#unexpected(word);
    return { field: 'protocol', value: protocol };
  }

  #directed(which: 'src' | 'dst'): FilterCondition {
    const word = this.#next('host, net or port');
    if (word === 'port') {
      const field = which === 'src' ? 'sourcePort' : 'destinationPort';
      return { field, value: this.#number('a port', 65_535) };
    }
    if (word !== 'host' && word !== 'net') throw this.#unexpected(word);
    return this.#range(which === 'src' ? 'source' : 'destination');
  }

  #range(field: 'address' | 'source' | 'destination'): FilterCondition {
    const word = this.#next('an address or a network');
    const selector = attempt(() => parseSelector(word));
    if (selector === undefined || word.includes('[')) {
      throw new FilterError(`found "${word}", allowed: an address, or a network as 10.1.0.0/16`);
    }
    const { startAddress, endAddress } = selector;
    return { field, first: formatAddress(startAddress), last: formatAddress(endAddress) };
  }

  #protocol(): number {
    const word = this.#words[this.#at];
    if (word !== undefined && Object.hasOwn(PROTOCOLS, word)) {
      this.#at++;
      return PROTOCOLS[word]!;
    }
    return this.#number('a protocol', 255);
  }

  #number(what: string, most: number): number {
    const word = this.#next(what);
    const value = /^(0x[0-9a-f]+|\d+)$/i.test(word) ? Number(word) : Number.NaN;
    if (value <= most) return value;
    throw new FilterError(`found "${word}", allowed: ${what}, from 0 to ${most}`);
  }

  #next(what: string): string {
    const word = this.#words[this.#at++];
    if (word === undefined) throw new FilterError(`the filter ends where ${what} is to come`);
    return word;
  }

  #take(word: string): boolean {
    if (this.#words[this.#at] !== word) return false;
    this.#at++;
    return true;
  }

  #unexpected(word: string): FilterError {
    const known = [
      ...['host', 'net', 'port', 'src', 'dst', 'proto', 'spi', 'ip', 'ip6'],
      ...Object.keys(PROTOCOLS),
      ...['and', 'or', 'not'],
    ];
    const hint =
      parseAddress(word) === undefined ? `allowed: ${known.join(', ')}` : `say "host ${word}"`;
    return new FilterError(`found "${word}", ${hint}`);
  }
}

function attempt<T>(make: () => T): T | undefined {
  try {
    return make();
  } catch {
    return undefined;
  }
}

/** Disjunctive normal form, negations at the conditions (De Morgan). */
function alternatives(expression: Expression, negated: boolean): FilterCondition[][] {
  switch (expression.kind) {
    case 'condition':
      return [[negated ? { ...expression.condition, negated } : expression.condition]];
    case 'not':
      return alternatives(expression.of, !negated);
    case 'and':
    case 'or': {
      const parts = expression.parts.map((part) => alternatives(part, negated));
      const all = (expression.kind === 'and') !== negated;
      return bounded(all ? product(parts) : parts.flat());
    }
  }
}

function product(parts: readonly PacketFilter[]): FilterCondition[][] {
  return parts.reduce<FilterCondition[][]>(
    (sum, part) => bounded(sum.flatMap((left) => part.map((right) => [...left, ...right]))),
    [[]],
  );
}

function bounded(filter: FilterCondition[][]): FilterCondition[][] {
  const conditions = filter.reduce((sum, all) => sum + all.length, 0);
  if (filter.length <= MOST_ALTERNATIVES && conditions <= MOST_CONDITIONS) return filter;
  throw new FilterError('the filter has too many alternatives');
}
