/** What Prometheus, and who asks for health and readiness, see of a running gateway. */
import type { Control } from '../api/routes.js';
import type { Dataplane } from '../dataplane/dataplane.js';
import type { ConnectionCounters } from '../metrics/connection-counters.js';
import { gatewayMetrics } from '../metrics/gateway-metrics.js';
import type { Watched } from '../metrics/server.js';
import type { Transport } from '../net/transport.js';
import type { IkeWorkers } from '../workers/ike-workers.js';
import { ikeDrops } from './ike-drops.js';

export interface WatchedParts {
  readonly dataplane: Dataplane;
  readonly workers: IkeWorkers;
  readonly transport: Transport;
  readonly control: Control;
  readonly counters: ConnectionCounters;
}

export function watchedGateway({
  control,
  counters,
  dataplane,
  workers,
  transport,
}: WatchedParts): Watched {
  return {
    metrics: async (perSa) =>
      gatewayMetrics({
        status: await control.status(),
        statistics: dataplane.statistics(),
        ports: dataplane.ports(),
        counters,
        ikeDrops: ikeDrops(transport, workers),
        perSa,
      }),
    async health() {
      const silent = await workers.silent();
      return {
        ok: silent.length === 0,
        problems: silent.map((shard) => `IKE worker ${shard} does not answer`),
      };
    },
    ready() {
      const missing = transport.missing();
      const problems = missing.map((address) => `${address} is not on this host: IKE waits for it`);
      return { ok: missing.length === 0, problems };
    },
  };
}
