/**
 * What shares a UDP port with IKE (RFC 7296 §3.1, §2.23; RFC 3948): on port 4500 IKE follows four
 * zero octets, ESP starts with its SPI, which is never zero, and a lone 0xFF keeps a NAT mapping.
 */

/** The non-ESP marker (RFC 3948 §2.2). */
export const NON_ESP_MARKER_OCTETS = 4;

export type Udp4500Content =
  | { readonly type: 'ike'; readonly data: Uint8Array }
  | { readonly type: 'esp' }
  | { readonly type: 'keepalive' }
  | { readonly type: 'nothing' };

/** Tells IKE, ESP and keepalives on port 4500 apart; `data` is a view without the marker. */
export function classifyUdp4500(datagram: Uint8Array): Udp4500Content {
  if (datagram.length === 1 && datagram[0] === 0xff) return { type: 'keepalive' };
  if (datagram.length < NON_ESP_MARKER_OCTETS) return { type: 'nothing' };
  for (let i = 0; i < NON_ESP_MARKER_OCTETS; i++) if (datagram[i] !== 0) return { type: 'esp' };
  return { type: 'ike', data: datagram.subarray(NON_ESP_MARKER_OCTETS) };
}

/** The message with the non-ESP marker before it, as it is sent from and to port 4500. */
export function withNonEspMarker(message: Uint8Array): Uint8Array<ArrayBuffer> {
  const datagram = new Uint8Array(NON_ESP_MARKER_OCTETS + message.length);
  datagram.set(message, NON_ESP_MARKER_OCTETS);
  return datagram;
}
