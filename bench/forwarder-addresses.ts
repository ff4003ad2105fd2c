/** Addresses of bench/esp/forwarder.ts and the programs that it runs. */

/** The gateway that is measured, and the networks behind it. */
export const LEFT = { lan: '10.1.0.1', wan: '192.0.2.1', network: '10.1.0.0/16' } as const;
/** The peer, which is not there: what is sent to it is counted and dropped. */
export const RIGHT = { wan: '192.0.2.2', network: '10.2.0.0/16' } as const;

export const GENERATOR_MAC = Uint8Array.of(2, 0, 0, 0, 0, 1);
export const LAN_MAC = Uint8Array.of(2, 0, 0, 0, 0, 2);

export const macText = (mac: Uint8Array): string =>
  [...mac].map((byte) => byte.toString(16).padStart(2, '0')).join(':');
