// A worker's private cache of next hops. Bounded, without locks; four entries to a set.
//
// An entry in use is asked for again every ten seconds, which also makes the source keep the
// neighbour verified; meanwhile, and after a route change, the last answer serves (a change
// somewhere in the routing table must not stop all traffic for the time of a question). An entry
// that nobody refreshed for thirty seconds is not trusted any more.
#pragma once

#include <cstdint>
#include <vector>

#include "net/next_hop.h"

namespace esplane::net {

class NextHopCache {
 public:
  static constexpr uint32_t kRefreshMs = 10'000;
  static constexpr uint32_t kTrustMs = 30'000;
  static constexpr uint32_t kAskAgainMs = 1'000;       ///< an unanswered question is repeated
  static constexpr uint32_t kForgetFailureMs = 1'000;  ///< how long kUnresolved is believed

  struct Entry {
    IpAddress destination;
    NextHop hop;
    uint32_t answered_ms = 0;
    uint32_t asked_ms = 0;
    uint32_t used_ms = 0;
    uint32_t generation = 0;  ///< of the source when the question was asked
    bool taken = false;     ///< the slot holds a destination
    bool answered = false;  ///< `hop` holds an answer
    bool asked = false;     ///< a question is on its way
    uint16_t held = 0;      ///< packets that wait for the answer; such an entry is not evicted
    int32_t first_held = -1, last_held = -1;  ///< their list in the worker's HoldQueue
  };

  /// @param sets  a power of two
  NextHopCache(NextHopClient& client, uint64_t seed, uint32_t sets = 512);

  /// The entry of `destination`. Where `answered` is false its packets have to wait.
  /// Null: the set is full of entries that packets wait for.
  Entry* find(const IpAddress& destination, uint32_t now_ms);

  /// Records an answer. @return its entry, or null if it was evicted meanwhile
  Entry* record(const Answer& answer, uint32_t now_ms);

  /// The port is new or gone: what leads there is asked for anew, and what led to no port.
  void forget(uint16_t port);

  /// True if a kUnresolved answer came and is still believed.
  static bool failed(const Entry& e) {
    return e.answered && e.hop.kind == NextHop::Kind::kUnresolved;
  }

 private:
  static constexpr uint32_t kWays = 4;
  Entry* slot(const IpAddress& destination, uint32_t now_ms, bool create);
  void ask_if_needed(Entry& e, uint32_t now_ms);

  NextHopClient& client_;
  const uint64_t seed_;
  const uint32_t mask_;
  std::vector<Entry> entries_;
};

}  // namespace esplane::net
