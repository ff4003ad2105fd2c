// Dummy packets of one SA (RFC 4303 §2.6): while it has nothing else to send, it sends these, so
// that an observer does not see when it has.
#pragma once

#include <atomic>
#include <cstdint>

#include "sad/sa.h"

namespace esplane::sad {

/// Shared by the SAD and the snapshots of it that workers read (Sad::maskings). One worker asks.
class Masking {
 public:
  /// @param sa  with a rate of dummies; it is removed from the SAD's list before it goes
  explicit Masking(OutboundSa& sa) : sa_(sa), per_second_(sa.dummies_per_second) {}

  OutboundSa& sa() const { return sa_; }
  /// How long until due() is to be asked.
  uint32_t until_due_ms(uint32_t now_ms) const {
    const uint32_t elapsed = now_ms - last_ms_;
    return elapsed < interval_ms() ? interval_ms() - elapsed : 0;
  }

  /// How many dummies to send now: none before the interval is over, or where packets went out in
  /// it; and no more than a burst holds. Those that do go out are told to sent().
  uint32_t due(uint32_t now_ms) {
    const uint32_t elapsed = now_ms - last_ms_;
    if (elapsed < interval_ms()) return 0;
    const uint64_t packets = sa_.packets.load(std::memory_order_relaxed);
    const bool idle = packets == packets_then_ && started_;
    packets_then_ = packets;
    last_ms_ = now_ms;
    started_ = true;
    if (!idle) {
      owed_ = 0;
      return 0;
    }
    owed_ += uint64_t{elapsed} * per_second_;
    const uint64_t count = owed_ / kThousand;
    owed_ %= kThousand;
    return static_cast<uint32_t>(count < kMostAtOnce ? count : kMostAtOnce);
  }
  void sent(uint32_t dummies) { packets_then_ += dummies; }

 private:
  static constexpr uint32_t kMostAtOnce = 32;
  static constexpr uint32_t kThousand = 1000;

  /// How often is looked whether anything was sent, a whole dummy being due where not.
  uint32_t interval_ms() const { return (kThousand - 1 + per_second_) / per_second_; }

  OutboundSa& sa_;
  const uint32_t per_second_;
  uint32_t last_ms_ = 0;
  uint64_t owed_ = 0;          ///< thousandths of a dummy, less than a whole one
  uint64_t packets_then_ = 0;  ///< that the SA had sent at that time, dummies included
  bool started_ = false;
};

}  // namespace esplane::sad
