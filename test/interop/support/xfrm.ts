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
