/**
 * The network ports of a running gateway. They come and go with its configuration, under traffic:
 * SAs belong to no port, and the other ports' packets wait in their rings for less than a
 * millisecond.
 */
import { changesOfPorts } from '../config/port-changes.js';
import type { Dataplane, PortOptions, PortStatus } from '../dataplane/dataplane.js';
import type { Log } from '../log.js';

export interface PortsParts {
  readonly dataplane: Pick<Dataplane, 'addPort' | 'removePort'>;
  readonly log: Log;
}

export class Ports {
  readonly #parts: PortsParts;
  #present: readonly PortOptions[] = [];

  constructor(parts: PortsParts) {
    this.#parts = parts;
  }

  /**
   * Opens those that are not there yet, and anew those that are to be otherwise, which give up what
   * waits in them. Throws with what could not be had. A port that was to be otherwise is as before
   * then, unless that cannot be had either: the log tells.
   */
  provide(wanted: readonly PortOptions[]): void {
    for (const { action, before, after } of changesOfPorts(this.#present, wanted)) {
      if (action === 'add') this.#add(after);
      else if (action === 'reopen') this.#reopen(before, after);
    }
  }

  /** Takes all others away. */
  retain(wanted: readonly PortOptions[]): void {
    for (const { action, before } of changesOfPorts(this.#present, wanted)) {
      if (action === 'remove') this.#remove(before);
    }
  }

  #add(port: PortOptions): void {
    const status = this.#parts.dataplane.addPort(port);
    this.#present = [...this.#present, port];
    this.#parts.log.info(describePort(status));
  }

  #remove(port: PortOptions): void {
    this.#parts.dataplane.removePort(port.name);
    this.#present = this.#present.filter((one) => one !== port);
    this.#parts.log.info(`port ${port.device} (${port.role}) is the kernel's alone now`);
  }

  /** A device has one program and one socket a queue: the old ones have to go first. */
  #reopen(before: PortOptions, after: PortOptions): void {
    this.#remove(before);
    try {
      this.#add(after);
    } catch (error) {
      try {
        this.#add(before);
      } catch (lost) {
        this.#parts.log.error(`port ${before.device} is gone: ${(lost as Error).message}`);
      }
      throw error;
    }
  }
}

/** What was had, for people. */
export function describePort({ role, device, mode, note, queues }: PortStatus): string {
  const reason = note === '' ? '' : ` (${note})`;
  return `port ${device} (${role}): ${mode}${reason}, ${queues} queue(s)`;
}
