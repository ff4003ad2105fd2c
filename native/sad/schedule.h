// When SAs reach their limits of time (RFC 4301 §4.4.2.1): one that is silent meets no packet that
// would find out. Under the SAD's lock; only SAs that have such limits are in it.
#pragma once

#include <atomic>
#include <cstdint>
#include <set>
#include <utility>

#include "sad/lifetime.h"

namespace esplane::sad {

class Schedule {
 public:
  static constexpr uint32_t kNever = LifetimeLimits::kNoSeconds;

  void add(uint32_t spi, const Lifetime& lifetime) {
    each_time(lifetime, [&](uint32_t second) { due_.emplace(second, spi); });
    publish();
  }
  void remove(uint32_t spi, const Lifetime& lifetime) {
    each_time(lifetime, [&](uint32_t second) { due_.erase({second, spi}); });
    publish();
  }
  /// Takes the SPI of what is due, or 0.
  uint32_t take(uint32_t now_s) {
    if (due_.empty() || due_.begin()->first > now_s) return 0;
    const uint32_t spi = due_.begin()->second;
    due_.erase(due_.begin());
    publish();
    return spi;
  }
  /// The second in which the next one is due. Any thread, no lock.
  uint32_t next_s() const { return next_s_.load(std::memory_order_relaxed); }

 private:
  template <typename Each>
  static void each_time(const Lifetime& lifetime, Each each) {
    if (lifetime.soft_s() != kNever) each(lifetime.soft_s());
    if (lifetime.hard_s() != kNever && lifetime.hard_s() != lifetime.soft_s()) {
      each(lifetime.hard_s());
    }
  }
  void publish() {
    next_s_.store(due_.empty() ? kNever : due_.begin()->first, std::memory_order_relaxed);
  }

  std::set<std::pair<uint32_t, uint32_t>> due_;  ///< second, inbound SPI
  std::atomic<uint32_t> next_s_{kNever};
};

}  // namespace esplane::sad
