#include "sad/lifetime.h"

#include <algorithm>

namespace esplane::sad {
namespace {

/// The second at which a limit is reached; the last one there is stands for never.
uint32_t deadline(uint32_t now_s, uint32_t seconds) {
  return seconds > LifetimeLimits::kNoSeconds - now_s ? LifetimeLimits::kNoSeconds
                                                      : now_s + seconds;
}

}  // namespace

Lifetime::Lifetime(const LifetimeLimits& limits, uint32_t now_s)
    : soft_packets_(std::min(limits.soft_packets, limits.hard_packets)),
      soft_bytes_(std::min(limits.soft_bytes, limits.hard_bytes)),
      soft_s_(std::min(deadline(now_s, limits.soft_seconds), deadline(now_s, limits.hard_seconds))),
      hard_s_(deadline(now_s, limits.hard_seconds)),
      hard_packets_(limits.hard_packets),
      hard_bytes_(limits.hard_bytes) {}

bool Lifetime::pass_time(uint32_t now_s) {
  if (soft_s_ < hard_s_) reach(soft_, Cause::kTime);
  if (now_s >= hard_s_) reach(hard_, Cause::kTime);
  return is_over();
}

// A packet passes if the count with it is within the hard limit; the packet with which a count gets
// to a limit has reached it. Each packet has a place of its own in the counts, so it does not
// matter in which order workers ask.
bool Lifetime::admits(Group& group, uint32_t packet_bytes) {
  if (group.refused) return false;
  const uint64_t packets = group.packets + 1, bytes = group.bytes + packet_bytes;
  if (packets > hard_packets_) {
    reach(hard_, Cause::kPackets);
    return false;
  }
  if (bytes > hard_bytes_) {
    reach(hard_, Cause::kBytes);
    group.bytes = hard_bytes_;  // a shorter one behind it may not pass either
    return false;
  }
  group.packets = packets;
  group.bytes = bytes;
  if (packets >= soft_packets_ && soft_packets_ < hard_packets_) reach(soft_, Cause::kPackets);
  if (bytes >= soft_bytes_ && soft_bytes_ < hard_bytes_) reach(soft_, Cause::kBytes);
  if (packets == hard_packets_) reach(hard_, Cause::kPackets);
  if (bytes == hard_bytes_) reach(hard_, Cause::kBytes);
  return true;
}

void Lifetime::reach(State& state, Cause cause) {
  uint8_t before = kNotReached;
  if (state.load(std::memory_order_relaxed) != kNotReached) return;
  state.compare_exchange_strong(before, static_cast<uint8_t>(cause), std::memory_order_relaxed);
}

std::optional<Lifetime::Cause> Lifetime::take_news(bool hard) {
  State& state = hard ? hard_ : soft_;
  uint8_t cause = state.load(std::memory_order_relaxed);
  if (!is_news(cause)) return std::nullopt;
  if (!state.compare_exchange_strong(cause, kTold, std::memory_order_relaxed)) return std::nullopt;
  return static_cast<Cause>(cause);
}

}  // namespace esplane::sad
