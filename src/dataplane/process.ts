/** What a daemon that holds keys asks of its process (native/addon/process_binding.cc). */
import { addon } from './addon.js';

/** Who is at the other end of a Unix socket, as the kernel recorded it at `connect`. */
export interface PeerCredentials {
  readonly pid: number;
  readonly uid: number;
  readonly gid: number;
}

/**
 * @param fd descriptor of a connected Unix socket, such as `socket._handle.fd`
 * @throws where it is no socket
 */
export function peerCredentials(fd: number): PeerCredentials {
  return addon.peerCredentials(fd);
}

/**
 * No core file is written, and no other process of the same user may trace this one: its memory
 * holds keys. Cannot be undone.
 */
export function disableCoreDumps(): void {
  addon.disableCoreDumps();
}

/** What a running gateway may still need: rules of the guard, maps of XDP, and IKE's ports. */
export const RUNNING_CAPABILITIES = ['CAP_NET_ADMIN', 'CAP_BPF', 'CAP_NET_BIND_SERVICE'] as const;

/**
 * Takes all other capabilities from the calling thread for good, and from those that it starts
 * afterwards. Threads that run already are not concerned.
 */
export function keepCapabilities(names: readonly (typeof RUNNING_CAPABILITIES)[number][]): void {
  addon.keepCapabilities(names);
}

/** Sends one sd_notify(3) message. Throws where nobody listens on the socket. */
export function notifySystemd(socket: string, text: string): void {
  addon.notifySystemd(socket, text);
}
