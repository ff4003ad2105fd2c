import { describe, expect, it } from 'vitest';
import { selectorPrefixes } from '../../../src/net/prefixes.js';
import { parseSelector } from '../../../src/wire/index.js';

describe('the prefixes of a range', () => {
  it.each([
    ['10.1.0.0/16', ['10.1.0.0/16']],
    ['0.0.0.0/0', ['0.0.0.0/0']],
    ['::/0', ['::/0']],
    ['255.255.255.255', ['255.255.255.255/32']],
    ['10.0.0.1-10.0.0.6', ['10.0.0.1/32', '10.0.0.2/31', '10.0.0.4/31', '10.0.0.6/32']],
    ['2001:db8::-2001:db8::2', ['2001:db8::/127', '2001:db8::2/128']],
  ])('of %s are exactly its addresses', (text, prefixes) => {
    expect(selectorPrefixes(parseSelector(text))).toEqual(prefixes);
  });
});
