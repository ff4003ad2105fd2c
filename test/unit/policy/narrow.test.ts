import { describe, expect, it } from 'vitest';
import { isNarrowed, narrow } from '../../../src/policy/narrow.js';
import { formatSelector, parseSelector } from '../../../src/wire/index.js';

const pair = (tsi: string[], tsr: string[]) => ({
  tsi: tsi.map(parseSelector),
  tsr: tsr.map(parseSelector),
});

function narrowed(policy: [string[], string[]], offered: [string[], string[]]) {
  const result = narrow(pair(...policy), pair(...offered));
  return result && [result.tsi.map(formatSelector), result.tsr.map(formatSelector)];
}

describe('narrow', () => {
  it('gives the intersection of addresses, protocol and ports', () => {
    expect(
      narrowed(
        [['10.1.0.0/16'], ['10.2.0.0/16[tcp]']],
        [['0.0.0.0/0'], ['10.2.3.0/24[any/80-90]']],
      ),
    ).toEqual([['10.1.0.0/16'], ['10.2.3.0/24[tcp/80-90]']]);
  });

  it('keeps several selectors, in the order of the offer', () => {
    expect(
      narrowed(
        [['10.1.0.0/16', '10.9.0.0/16'], ['10.2.0.0/16']],
        [['10.9.9.0/24', '10.1.0.0/16', '192.0.2.0/24'], ['10.0.0.0/8']],
      ),
    ).toEqual([['10.9.9.0/24', '10.1.0.0/16'], ['10.2.0.0/16']]);
  });

  it('drops what lies inside another: the packet that comes first in an offer (§2.9)', () => {
    expect(
      narrowed(
        [['10.1.0.0/16'], ['10.2.0.0/16']],
        [
          ['10.1.0.5[udp/53]', '10.1.0.0/16'],
          ['10.2.0.7[udp/53]', '10.2.0.0/16'],
        ],
      ),
    ).toEqual([['10.1.0.0/16'], ['10.2.0.0/16']]);
  });

  it('keeps both families where both sides have both, and one where one side lacks it', () => {
    const both: [string[], string[]] = [
      ['10.1.0.0/16', 'fd01::/16'],
      ['10.2.0.0/16', 'fd02::/16'],
    ];
    expect(narrowed(both, both)).toEqual(both);
    expect(narrowed(both, [both[0], ['10.2.0.0/16']])).toEqual([['10.1.0.0/16'], ['10.2.0.0/16']]);
  });

  it('finds nothing where a side or a family has nothing in common', () => {
    expect(narrowed([['10.1.0.0/16'], ['10.2.0.0/16']], [['10.3.0.0/16'], ['10.2.0.0/16']])).toBe(
      undefined,
    );
    expect(narrowed([['10.1.0.0/16'], ['fd02::/16']], [['10.1.0.0/16'], ['fd02::/16']])).toBe(
      undefined,
    );
    expect(narrowed([['10.1.0.0/16[tcp]'], ['::/0']], [['10.1.0.0/16[udp]'], ['::/0']])).toBe(
      undefined,
    );
  });

  it('is bounded by 64 selectors', () => {
    const many = Array.from({ length: 255 }, (_, i) => `10.1.${i}.0/24`);
    const [tsi] = narrowed([['10.0.0.0/8'], ['10.0.0.0/8']], [many, ['10.2.0.0/16']])!;
    expect(tsi).toHaveLength(64);
  });
});

describe('isNarrowed', () => {
  const offered = pair(['10.1.0.0/16'], ['10.2.0.0/16', '10.3.0.0/16']);

  it('takes a subset of the offer and refuses more', () => {
    expect(isNarrowed(offered, offered)).toBe(true);
    expect(isNarrowed(pair(['10.1.1.0/24'], ['10.3.0.0/24']), offered)).toBe(true);
    expect(isNarrowed(pair(['10.0.0.0/8'], ['10.2.0.0/16']), offered)).toBe(false);
    expect(isNarrowed(pair(['10.1.0.0/16'], ['0.0.0.0/0']), offered)).toBe(false);
    expect(isNarrowed({ tsi: offered.tsi, tsr: [] }, offered)).toBe(false);
  });
});
