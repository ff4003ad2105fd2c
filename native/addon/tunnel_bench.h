// Times ESP on batches, and the whole pipeline of two gateways over memory ports, in one native
// call: on one thread, and with several workers on one SA.
#pragma once

#include <cstdint>
#include <vector>

#include "addon/cost.h"
#include "crypto/engine.h"

namespace esplane::addon {

struct TunnelBenchOptions {
  const crypto::Suite* suite;
  const crypto::Engine* engine;  ///< of the suite; null: the one in use
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

/// So many workers, whose first own a queue each of both ports; the others help them.
struct Arrangement {
  uint32_t workers;
  uint32_t queues;  ///< 1 to `workers`
  bool own_sas = false;  ///< each queue has an SA of its own (RFC 9611)
};

/// The same with the pipeline's workers, the arrangements turn by turn in one run: the cost is the
/// time that passes for a packet, whoever works on it. Bursts are of Batch::kCapacity packets:
/// `batch` does not matter.
/// @return in the order of the arrangements
/// @throws std::exception, also where there are fewer CPUs than workers
std::vector<TunnelBenchResult> bench_workers(const TunnelBenchOptions& options,
                                             const std::vector<Arrangement>& arrangements);

}  // namespace esplane::addon
