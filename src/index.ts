/**
 * esplane as a library: the dataplane's SAD and ESP on batches of packets in memory of your own.
 * README.md has an example, which a test runs.
 */
export { Secret } from './crypto/secret.js';
export { BulkEsp } from './dataplane/bulk-esp.js';
export { HEADROOM_BYTES, PacketBatch, type PacketBatchOptions } from './dataplane/packet-batch.js';
export type { ChildSa, ChildSaCounters, Endpoint, EspSpi, Sad } from './sad/sad.js';
export { SadFullError } from './sad/sad.js';
export { anySelector, parseSelector, type TrafficSelector } from './wire/traffic-selector.js';
