/** A traffic selector (RFC 7296 §3.13.1): an address range, a protocol and a port range. */
export interface TrafficSelector {
  readonly family: 4 | 6;
  /** IP protocol number; 0: any. */
  readonly protocol: number;
  /** For ICMP the type in the high and the code in the low byte (RFC 7296 §3.13.1). */
  readonly startPort: number;
  readonly endPort: number;
  /** First and last address of the range, inclusive; 4 or 16 bytes, network order. */
  readonly startAddress: Uint8Array;
  readonly endAddress: Uint8Array;
}
