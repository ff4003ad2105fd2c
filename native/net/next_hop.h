// Next hops: where a packet goes once its transform is done, and who answers that question.
//
// A worker never asks the kernel itself. It keeps a small private cache (next_hop_cache.h) and
// puts what it misses on a bounded ring to a NextHopSource; the answer comes back on another.
// KernelNextHops asks Linux, with all its policy routing; StaticNextHops serves ports that no
// kernel knows (memory, pcap).
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

#include "net/address.h"

namespace esplane::net {

struct NextHop {
  enum class Kind : uint8_t {
    kForward,      ///< out of `port`, with the Ethernet addresses below
    kLocal,        ///< one of the host's own addresses: the kernel delivers it
    kElsewhere,    ///< leaves by an interface that is none of our ports: the kernel forwards it
    kNoRoute,      ///< unreachable, prohibited, blackhole, or no route at all
    kUnresolved,   ///< the neighbour did not answer
  };
  Kind kind = Kind::kNoRoute;
  uint16_t port = 0;
  /// As an Ethernet header begins.
  struct Macs {
    uint8_t destination[6] = {};
    uint8_t source[6] = {};
  } macs;
  uint32_t mtu_bytes = 0;       ///< of the route: the least of interface, route and learnt path MTU
  uint32_t port_mtu_bytes = 0;  ///< of the interface
};

/// What comes back from a source.
struct Answer {
  enum class Kind : uint8_t {
    kHop,          ///< `hop` for `address`
    kPortAddress,  ///< `address` is now ours on `hop.port` (zero: none); ICMP errors come from it
  };
  Kind kind = Kind::kHop;
  bool is_v4 = true;  ///< kPortAddress: the family that it speaks of, zero address included
  IpAddress address;
  NextHop hop;
  uint32_t ports = 0;  ///< the source's own: of which set of ports it speaks
};

/// One worker's line to a source. Only that worker calls it.
class NextHopClient {
 public:
  virtual ~NextHopClient() = default;

  enum class Asked : uint8_t {
    kNow,    ///< `now` is the answer
    kLater,  ///< take() will have it
    kFull,   ///< the ring to the source is full: ask again later
  };
  /// Asks for the next hop of `destination`. Never blocks.
  virtual Asked ask(const IpAddress& destination, NextHop& now) = 0;
  /// Takes the next answer, if one waits. Answers may come unasked when a neighbour changes.
  virtual bool take(Answer& out) = 0;
  /// Grows when routes, links or addresses changed: answers from before it are stale.
  virtual uint32_t generation() const = 0;
};

class NextHopSource {
 public:
  virtual ~NextHopSource() = default;

  /// A line for one more worker. Before `start`.
  /// @param wake_fd  an eventfd that is written when an answer waits
  virtual std::unique_ptr<NextHopClient> connect(int wake_fd) = 0;
  virtual void start() = 0;
  /// Idempotent. Afterwards questions stay unanswered.
  virtual void stop() = 0;
};

}  // namespace esplane::net
