// Two ports in one process, joined like the ends of a cable: for tests, benchmarks and the lab
// without privileges. Queue i of one end leads to queue i of the other.
//
// The two ends may belong to two dataplanes with a Umem each, so a packet is copied once, from
// the sender's frame into one of the receiver's; the sender gets its frame back, as after a
// transmission by a network card. Each direction of a queue is a pair of lock-free rings.
#pragma once

#include <memory>
#include <string>
#include <utility>

#include "port/port.h"

namespace esplane::port {

struct MemoryPortOptions {
  std::string name;
  Role role = Role::kLan;
  uint32_t queues = 1;
  uint32_t ring_entries = 1024;  ///< a power of two: packets on their way, per direction and queue
  uint32_t mtu_bytes = 1500;
};

/// Opens one end of the wire `link`. The second call with the same link gets the other end, and
/// must ask for as many queues; a third fails while both live. A packet sent while the other
/// end is not open is dropped and counted (tx_full stays for a full ring).
/// @throws std::invalid_argument
std::unique_ptr<Port> open_memory_port(const std::string& link, const MemoryPortOptions& options);

/// Both ends at once, of a wire without a name.
std::pair<std::unique_ptr<Port>, std::unique_ptr<Port>> make_memory_pair(
    const MemoryPortOptions& a, const MemoryPortOptions& b);

}  // namespace esplane::port
