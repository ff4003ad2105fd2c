/** When a request is sent again: exponential back-off with jitter (RFC 7296 §2.1, §2.4). */
import type { Environment, Milliseconds } from '../event.js';
import type { IkeOptions } from '../options.js';

/** The wait after a request was sent for the `sent`-th time. */
export function retransmitDelay(
  options: IkeOptions,
  environment: Environment,
  sent: number,
): Milliseconds {
  const { retransmitFirst, retransmitMaximum } = options;
  const delay = Math.min(retransmitFirst * 2 ** (sent - 1), retransmitMaximum);
  return withJitter(delay, options, environment);
}

/** The wait before the connection is attempted again, after so many failures in a row. */
export function reconnectDelay(
  options: IkeOptions,
  environment: Environment,
  failures: number,
): Milliseconds {
  const { reconnectFirst, reconnectMaximum } = options;
  // Two peers that both start would meet each other at each attempt without the jitter.
  const delay = Math.min(reconnectFirst * 2 ** Math.min(failures, 16), reconnectMaximum);
  return withJitter(delay, { ...options, retransmitJitter: 0.5 }, environment);
}

function withJitter(
  delay: Milliseconds,
  { retransmitJitter }: IkeOptions,
  environment: Environment,
): Milliseconds {
  const random = environment.random(2);
  const unit = (random[0]! * 256 + random[1]!) / 65536; // 0 <= unit < 1
  return Math.round(delay * (1 + retransmitJitter * (2 * unit - 1)));
}
