/** ESP SAs and policies of a Linux kernel, keyed by hand, as commands of `ip xfrm`. */

export interface XfrmTunnel {
  /** Outer addresses and inner networks, ours first. */
  readonly local: string;
  readonly remote: string;
  readonly localNetwork: string;
  readonly remoteNetwork: string;
  readonly spiIn: number;
  readonly spiOut: number;
  /** AES-GCM key and salt, in hexadecimal. */
  readonly keyIn: string;
  readonly keyOut: string;
}

/** A tunnel of AES-GCM with a 16 octet ICV (RFC 4106), in both directions. */
export function xfrmCommands(tunnel: XfrmTunnel): string {
  const { local, remote, localNetwork, remoteNetwork } = tunnel;
  const state = (from: string, to: string, spi: number, key: string) =>
    `ip xfrm state add src ${from} dst ${to} proto esp spi ${spi} mode tunnel reqid 1 ` +
    `replay-window 32 aead 'rfc4106(gcm(aes))' 0x${key} 128`;
  const policy = (direction: string, networks: [string, string], ends: [string, string]) =>
    `ip xfrm policy add src ${networks[0]} dst ${networks[1]} dir ${direction} ` +
    `tmpl src ${ends[0]} dst ${ends[1]} proto esp mode tunnel reqid 1`;
  return [
    state(local, remote, tunnel.spiOut, tunnel.keyOut),
    state(remote, local, tunnel.spiIn, tunnel.keyIn),
    policy('out', [localNetwork, remoteNetwork], [local, remote]),
    policy('in', [remoteNetwork, localNetwork], [remote, local]),
  ].join('\n');
}

/** An SA as `ip xfrm state` lists it. */
export interface XfrmState {
  /** Eight hexadecimal digits. */
  readonly spi: string;
  readonly protocol: string;
  readonly mode: string;
  /** Keying material in the order of RFC 7296 §2.17: encryption key and salt, integrity key. */
  readonly keys: string;
}

export function xfrmStates(listing: string): XfrmState[] {
  return listing
    .split(/^(?=src )/m)
    .filter((block) => block.includes(' spi '))
    .map((block) => {
      const [, protocol = '', spi = '', mode = ''] =
        /proto (\S+) spi 0x([0-9a-f]{8}) .*mode (\S+)/.exec(block) ?? [];
      const key = (kind: string): string =>
        new RegExp(`^\\s${kind} \\S+ (?:0x([0-9a-f]*))?`, 'm').exec(block)?.[1] ?? '';
      return { spi, protocol, mode, keys: key('aead') + key('enc') + key('auth-trunc') };
    });
}
