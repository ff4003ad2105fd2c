/** An IKE identity (RFC 7296 §3.5): what a peer calls itself and proves. */
export interface Identity {
  /** ID type of the IANA registry: 1 IPv4, 2 FQDN, 3 RFC 822 address, 5 IPv6, 9 DN, 11 key ID. */
  readonly type: number;
  readonly data: Uint8Array;
}
