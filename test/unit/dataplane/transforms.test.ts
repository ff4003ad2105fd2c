import { expect, it } from 'vitest';
import { addon } from '../../../src/dataplane/addon.js';
import { TRANSFORMS } from '../../transforms.js';

it('the transforms that are tested against others are all that the dataplane has', () => {
  const numbers = (row: { encryption: number; keyBits: number; integrity: number }) =>
    `encryption ${row.encryption} with ${row.keyBits} bits, integrity ${row.integrity}`;
  expect(TRANSFORMS.map(numbers).sort()).toEqual(addon.cryptoSuites().map(numbers).sort());
});
