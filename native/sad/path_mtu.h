// What ICMP has said of the path of one SA (RFC 4301 §8.2.1): believed for ten minutes, after which
// the path may have become wider (RFC 1191 §6.3, RFC 8201 §4).
#pragma once

#include <atomic>
#include <cstdint>

namespace esplane::sad {

class PathMtu {
 public:
  static constexpr uint32_t kBelievedMs = 600'000;

  /// Any worker.
  /// @return false where no less than this was known already
  bool lower(uint32_t mtu_bytes, uint32_t now_ms) {
    const uint64_t next = uint64_t{mtu_bytes} << 32 | now_ms;
    uint64_t before = learnt_.load(std::memory_order_relaxed);
    do {
      if (mtu_of(before, now_ms) <= mtu_bytes) return false;
    } while (!learnt_.compare_exchange_weak(before, next, std::memory_order_relaxed));
    return true;
  }

  /// Another path is taken. Any thread.
  void forget() { learnt_.store(0, std::memory_order_relaxed); }

  /// @param path_mtu_bytes  what the path has where nothing was learnt
  uint32_t least(uint32_t path_mtu_bytes, uint32_t now_ms) {
    uint64_t learnt = learnt_.load(std::memory_order_relaxed);
    if (learnt == 0) return path_mtu_bytes;
    const uint32_t mtu = mtu_of(learnt, now_ms);
    // Forgotten for good: the clock comes round after 49 days.
    if (mtu == kUnknown) learnt_.compare_exchange_strong(learnt, 0, std::memory_order_relaxed);
    return mtu < path_mtu_bytes ? mtu : path_mtu_bytes;
  }

 private:
  static constexpr uint32_t kUnknown = ~uint32_t{0};

  static uint32_t mtu_of(uint64_t learnt, uint32_t now_ms) {
    const bool believed = learnt != 0 && now_ms - static_cast<uint32_t>(learnt) < kBelievedMs;
    return believed ? static_cast<uint32_t>(learnt >> 32) : kUnknown;
  }

  std::atomic<uint64_t> learnt_{0};  ///< MTU in bytes, and when; 0: nothing
};

}  // namespace esplane::sad
