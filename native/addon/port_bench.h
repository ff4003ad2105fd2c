// Times ports alone: one sends as fast as it can, and where a second is cabled to it, that one
// receives. Without the pipeline, so that what driver and rings cost is seen by itself.
#pragma once

#include <cstdint>
#include <string>

namespace esplane::addon {

/// Packets are UDP between the networks that RFC 2544 §C.2.2 sets aside for benchmarks, from many
/// ports, so that RSS spreads them.
struct PortBenchOptions {
  std::string sender;           ///< interface
  std::string receiver;         ///< interface at the other end of the cable; empty: none
  uint32_t workers;             ///< threads on each side; queue q is driven by q % workers
  uint32_t burst;               ///< packets in one call, 1 to Batch::kCapacity
  uint32_t ring_entries;        ///< a power of two
  uint32_t busy_poll_us;        ///< 0: interrupts
  uint32_t bytes;               ///< of the IP packet, 28 to 1500
  double seconds;
};

struct PortBenchResult {
  std::string sender_mode, receiver_mode;
  uint32_t sender_queues, receiver_queues;
  uint64_t sent, received;
  uint64_t dropped;  ///< the receiver's kernel had no room or no frame for them
  double seconds;
};

/// @throws std::exception with what could not be had
PortBenchResult bench_ports(const PortBenchOptions& options);

}  // namespace esplane::addon
