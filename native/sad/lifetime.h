// How much an SA may carry and how long (RFC 4301 §4.4.2.1), for one direction: a soft limit asks
// for another SA in its place, a hard one ends it.
//
// Counted are packets, and bytes of inner packets. A limit is looked at once for a group of
// packets; only where one is near, packet by packet, and then exactly: a hard limit of N packets
// lets N through, however many workers share them. Time is the control plane's affair in the first
// place; the hard limit holds here too, so that without a control plane no SA lives for ever.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>

namespace esplane::sad {

/// The limits of each direction, as `lifetime` of src/sad/sad.ts. Hard ones bound soft ones.
struct LifetimeLimits {
  static constexpr uint64_t kNone = ~uint64_t{0};
  static constexpr uint32_t kNoSeconds = ~uint32_t{0};

  uint64_t soft_bytes = kNone, hard_bytes = kNone;
  uint64_t soft_packets = kNone, hard_packets = kNone;
  uint32_t soft_seconds = kNoSeconds, hard_seconds = kNoSeconds;  ///< since the SA was made
};

class Lifetime {
 public:
  enum class Cause : uint8_t { kBytes = 1, kPackets, kTime };

  /// A group of packets on its way past the limits.
  struct Group {
    uint64_t packets;  ///< that the SA carried before the next packet of the group
    uint64_t bytes;
    bool watched;      ///< a limit is near: ask admits() about each packet, in order
    bool refused;      ///< the SA is over: it admits none
  };

  /// @param now_s  base::monotonic_s()
  Lifetime(const LifetimeLimits& limits, uint32_t now_s);

  /// Looks at a group whose packets were added to the counters, unless it is refused.
  /// @param packets, bytes  of the SA before the group
  Group group(uint64_t packets, uint64_t group_packets, uint64_t bytes, uint64_t group_bytes) const {
    const bool far = packets + group_packets < soft_packets_ && bytes + group_bytes < soft_bytes_;
    return {packets, bytes, !far, false};
  }
  /// Whether time or another limit has ended the SA.
  bool ends_at(uint32_t now_s) {
    if (now_s < soft_s_) [[likely]] return is_over();
    return pass_time(now_s);
  }
  /// So many bytes of it, from its beginning on, are read for every group of packets.
  static constexpr size_t kHotBytes = 24;
  /// Seconds of base::monotonic_s() in which its limits are reached; kNoSeconds: never.
  uint32_t soft_s() const { return soft_s_; }
  uint32_t hard_s() const { return hard_s_; }
  bool is_over() const { return hard_.load(std::memory_order_relaxed) != kNotReached; }

  /// Whether the next packet of a watched group may pass. What may not is to be taken off the
  /// counters again.
  bool admits(Group& group, uint32_t packet_bytes);

  /// Whether take_news() might say something.
  bool has_news() const {
    return is_news(soft_.load(std::memory_order_relaxed)) ||
           is_news(hard_.load(std::memory_order_relaxed));
  }
  /// What was reached first of the soft or the hard limits. Once for each; any worker.
  std::optional<Cause> take_news(bool hard);

 private:
  /// 0, a Cause that nobody has taken yet, or kTold.
  using State = std::atomic<uint8_t>;
  static constexpr uint8_t kNotReached = 0, kTold = 255;

  static bool is_news(uint8_t state) { return state != kNotReached && state != kTold; }
  static void reach(State& state, Cause cause);
  bool pass_time(uint32_t now_s);

  // What every group asks for.
  uint64_t soft_packets_, soft_bytes_;
  uint32_t soft_s_;
  State soft_{kNotReached}, hard_{kNotReached};
  // What matters when a limit is near.
  uint32_t hard_s_;
  uint64_t hard_packets_, hard_bytes_;
};
static_assert(sizeof(Lifetime) == 48);

/// The counters of one direction against its limits.
struct Usage {
  std::atomic<uint64_t>& packets;
  std::atomic<uint64_t>& bytes;
  Lifetime& lifetime;

  /// Counts a group of packets.
  Lifetime::Group take(uint64_t group_packets, uint64_t group_bytes, uint32_t now_s) const {
    if (lifetime.ends_at(now_s)) [[unlikely]] return {0, 0, true, true};
    return lifetime.group(packets.fetch_add(group_packets, std::memory_order_relaxed),
                          group_packets,
                          bytes.fetch_add(group_bytes, std::memory_order_relaxed), group_bytes);
  }
  /// Likewise where a lock keeps all others away: that costs no locked addition.
  Lifetime::Group take_alone(uint64_t group_packets, uint64_t group_bytes, uint32_t now_s) const {
    if (lifetime.ends_at(now_s)) [[unlikely]] return {0, 0, true, true};
    const uint64_t packets_before = packets.load(std::memory_order_relaxed);
    const uint64_t bytes_before = bytes.load(std::memory_order_relaxed);
    packets.store(packets_before + group_packets, std::memory_order_relaxed);
    bytes.store(bytes_before + group_bytes, std::memory_order_relaxed);
    return lifetime.group(packets_before, group_packets, bytes_before, group_bytes);
  }
  /// Takes those of them that did not pass off the counters.
  void give_back(const Lifetime::Group& group, uint64_t refused_packets,
                 uint64_t refused_bytes) const {
    if (group.refused) return;
    packets.fetch_sub(refused_packets, std::memory_order_relaxed);
    bytes.fetch_sub(refused_bytes, std::memory_order_relaxed);
  }
};

}  // namespace esplane::sad
