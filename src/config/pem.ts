/** PEM (RFC 7468): blocks of base64 between lines that say what they are. */

/** The contents of all blocks of a kind, such as `CERTIFICATE`; the text around them is ignored. */
export function decodePem(kind: string, text: string): Uint8Array[] {
  const block = new RegExp(`-----BEGIN ${kind}-----([A-Za-z0-9+/=\\s]*)-----END ${kind}-----`, 'g');
  return [...text.matchAll(block)].map(([, base64]) => {
    return new Uint8Array(Buffer.from(base64!, 'base64'));
  });
}

export function encodePem(kind: string, octets: Uint8Array): string {
  const lines =
    Buffer.from(octets)
      .toString('base64')
      .match(/.{1,64}/g) ?? [];
  return `-----BEGIN ${kind}-----\n${lines.join('\n')}\n-----END ${kind}-----\n`;
}
