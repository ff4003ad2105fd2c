import { describe, expect, test } from 'vitest';
import { WireTap } from '../../../src/lab/wire-tap.js';

describe('the wire tap', () => {
  test('refuses what is no network, before it asks for any privilege', () => {
    expect(() => new WireTap(['wire0'], ['10.1.0.0/33'])).toThrow(
      new TypeError('"10.1.0.0/33" has no prefix length of 0 to 32'),
    );
    expect(() => new WireTap('wire0' as never, [])).toThrow(TypeError);
  });

  test('names an interface that is not there', () => {
    expect(() => new WireTap(['es-none'], ['10.1.0.0/16'])).toThrow(/interface es-none/);
  });
});
