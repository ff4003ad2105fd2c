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
