/**
 * What systemd is told of a daemon with Type=notify (sd_notify(3)): that it is ready, reads its
 * configuration again, stops, and, as often as WatchdogSec= wants it, that it is alive. Without
 * systemd nothing is told.
 */
import { notifySystemd } from '../dataplane/process.js';
import type { Log } from '../log.js';

export interface Supervisor {
  ready(status: string): void;
  /** Until the next `ready`. */
  reloading(): void;
  stopping(): void;
}

/** @param isAlive  asked before each word to the watchdog; without one, systemd ends the daemon */
export function systemd(
  environment: Readonly<Record<string, string | undefined>>,
  isAlive: () => Promise<boolean>,
  log: Log,
): Supervisor {
  const { NOTIFY_SOCKET: socket, WATCHDOG_USEC: watchdog } = environment;
  const tell = (...lines: readonly string[]) => {
    if (socket === undefined) return;
    try {
      notifySystemd(socket, lines.join('\n'));
    } catch (error) {
      log.warn(error instanceof Error ? error.message : String(error));
    }
  };
  const watch = () => {
    if (socket === undefined || !(Number(watchdog) > 0)) return undefined;
    const beat = async () => {
      if (await isAlive()) tell('WATCHDOG=1');
      else log.error('not alive: the watchdog is not told');
    };
    // Twice as often as it has to be.
    return setInterval(() => void beat(), Number(watchdog) / 2_000);
  };
  let timer: NodeJS.Timeout | undefined;
  return {
    ready(status) {
      tell('READY=1', `STATUS=${status}`);
      timer ??= watch();
    },
    reloading() {
      const now = process.hrtime.bigint() / 1_000n;
      tell('RELOADING=1', `MONOTONIC_USEC=${now}`, 'STATUS=reading the configuration again');
    },
    stopping() {
      clearInterval(timer);
      tell('STOPPING=1', 'STATUS=telling the peers');
    },
  };
}
