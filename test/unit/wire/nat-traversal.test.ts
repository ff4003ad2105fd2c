import { describe, expect, it } from 'vitest';
import { classifyUdp4500, withNonEspMarker } from '../../../src/wire/index.js';
import { bytesOf, digitsOf, fixtures } from './fixtures.js';

describe('a datagram on port 4500', () => {
  it('is IKE behind four zero octets, and ESP where its SPI is not zero', () => {
    for (const { messages } of fixtures) {
      for (const { data, marker } of messages) {
        if (!marker) continue;
        const datagram = withNonEspMarker(bytesOf(data));
        const content = classifyUdp4500(datagram);
        expect(content.type).toBe('ike');
        if (content.type === 'ike') expect(digitsOf(content.data)).toBe(data);
        expect(classifyUdp4500(bytesOf(data)).type).toBe('esp');
      }
    }
  });

  it.each([
    ['ff', 'keepalive'],
    ['', 'nothing'],
    ['fe', 'nothing'],
    ['000000', 'nothing'],
    ['00000000', 'ike'],
    ['00000001', 'esp'],
    ['ffffffff', 'esp'],
  ])('%j is %s', (digits, type) => {
    expect(classifyUdp4500(bytesOf(digits)).type).toBe(type);
  });
});
