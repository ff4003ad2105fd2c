/** What follows from the events of the dataplane. */
import type { Dataplane, DataplaneEvent } from '../dataplane/dataplane.js';
import type { Log } from '../log.js';
import type { IkeWorkers } from '../workers/ike-workers.js';
import type { Networks } from './networks.js';

export interface EventParts {
  readonly workers: IkeWorkers;
  readonly dataplane: Dataplane;
  readonly networks: Networks;
}

export function handleEvent(
  event: DataplaneEvent,
  { workers, networks, dataplane }: EventParts,
  log: Log,
): void {
  switch (event.type) {
    case 'acquire':
      if (event.resource === undefined) workers.keeper.acquire(event.policy);
      else workers.acquire(event.policy, event.resource);
      break;
    case 'address-changed':
      attempt(() => dataplane.refreshPort(event.ifindex), log);
      networks.follow();
      break;
    case 'path-mtu':
      attempt(() => dataplane.settleMtu(event.inboundSpi), log);
      break;
    case 'unknown-spi':
      log.debug(`ESP with an unknown SPI from ${event.remote}`, { spi: event.spi });
      break;
    case 'sequence-near-end':
      workers.expire(event.inboundSpi, false, 'its sequence numbers are near their end');
      break;
    case 'expire':
      workers.expire(event.inboundSpi, event.hard, `${event.direction}: limit of ${event.cause}`);
      break;
    case 'nat-mapping-changed':
      workers.natMappingChanged(event.inboundSpi, { address: event.address, port: event.port });
      break;
    case 'events-lost':
      log.warn(`${event.count} events of the dataplane were lost`);
  }
}

/** The SA, or the interface, may be gone already. */
function attempt(action: () => void, log: Log): void {
  try {
    action();
  } catch (error) {
    log.warn(error instanceof Error ? error.message : String(error));
  }
}
