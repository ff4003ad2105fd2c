/** Captured IKE messages to begin with, and what was inside their encrypted payloads as messages in clear. */
import { HEADER_OCTETS } from '../../src/wire/index.js';
import { bytesOf, fixtures } from '../unit/wire/fixtures.js';

export const captured: readonly Uint8Array[] = fixtures.flatMap(({ messages }) =>
  messages.flatMap(({ data, payloads }) => {
    const last = payloads.at(-1);
    const inner = last?.inner ?? last?.reassembled ?? [];
    const message = bytesOf(data);
    const clear = bytesOf(
      data.slice(0, 2 * HEADER_OCTETS) + inner.map(({ octets }) => octets).join(''),
    );
    clear[16] = inner[0]?.type ?? 0;
    return inner.length === 0 ? [message] : [message, withRightLength(clear)];
  }),
);

/** The header's length put right. */
export function withRightLength(data: Uint8Array): Uint8Array {
  if (data.length >= HEADER_OCTETS) {
    new DataView(data.buffer, data.byteOffset).setUint32(24, data.length);
  }
  return data;
}
