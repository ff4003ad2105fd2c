// Times ESP on batches, and the whole pipeline of two gateways over memory ports, in one native
// call: on one thread, and with several workers on one SA.
#pragma once

#include <cstdint>

#include "addon/cost.h"

namespace esplane::addon {

struct TunnelBenchOptions {
  uint32_t key_bits;     ///< 128, 192 or 256
  uint32_t inner_bytes;  ///< length of the inner IPv4 packet, 28 to 1438
  uint32_t batch;        ///< packets in one call, 1 to Batch::kCapacity
  uint32_t tunnels;      ///< packets take turns with this many pairs of SAs
  double seconds;        ///< for all repetitions together
};

struct TunnelBenchResult {
  Cost outbound, inbound;
  uint32_t repetitions;
};

/// esp::outbound and esp::inbound alone, walking through frames of a megabyte and more.
/// @throws std::exception
TunnelBenchResult bench_esp(const TunnelBenchOptions& options);

/// From rx of the one port to tx of the other: headers, policy or SAD, ESP, next hop, counters,
/// and the copy that a memory port makes of each packet it receives.
TunnelBenchResult bench_pipeline(const TunnelBenchOptions& options);

/// The same with the pipeline's workers, turn by turn in one run: the cost is the time that passes
/// for a packet, whoever works on it. Bursts are of Batch::kCapacity packets: `batch` does not
/// matter.
struct WorkersBenchResult {
  TunnelBenchResult one;     ///< one worker, one queue
  TunnelBenchResult shared;  ///< two workers, all packets on one queue
  TunnelBenchResult split;   ///< two workers, packets on two queues in turn
};

/// @throws std::exception, also where there is one CPU only
WorkersBenchResult bench_workers(const TunnelBenchOptions& options);

}  // namespace esplane::addon
