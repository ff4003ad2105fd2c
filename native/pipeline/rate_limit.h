// Rate limits of one worker: for ICMP errors (RFC 1812 §4.3.2.8, RFC 4443 §2.4 f) and for events.
#pragma once

#include <cstdint>

namespace esplane::pipeline {

/// A token bucket, filled by the millisecond.
class TokenBucket {
 public:
  TokenBucket(uint32_t per_second, uint32_t burst)
      : per_second_(per_second), most_(uint64_t{burst} * 1000), level_(most_) {}

  bool take(uint32_t now_ms) {
    level_ += uint64_t{now_ms - last_ms_} * per_second_;
    if (level_ > most_) level_ = most_;
    last_ms_ = now_ms;
    if (level_ < 1000) return false;
    level_ -= 1000;
    return true;
  }

 private:
  const uint32_t per_second_;
  const uint64_t most_;   // in thousandths of a token
  uint64_t level_;
  uint32_t last_ms_ = 0;
};

/// At most one per key and interval. Keys that share a slot displace each other: then a repetition
/// passes early, never a first one late.
class KeyedLimit {
 public:
  explicit KeyedLimit(uint32_t interval_ms) : interval_ms_(interval_ms) {}

  bool pass(uint64_t key, uint32_t now_ms) {
    Slot& s = slots_[(key * 0x9e3779b97f4a7c15u) >> (64 - kBits)];
    if (s.taken && s.key == key && now_ms - s.at_ms < interval_ms_) return false;
    s = {.key = key, .at_ms = now_ms, .taken = true};
    return true;
  }

 private:
  static constexpr uint32_t kBits = 6;
  struct Slot {
    uint64_t key = 0;
    uint32_t at_ms = 0;
    bool taken = false;
  };
  const uint32_t interval_ms_;
  Slot slots_[1u << kBits];
};

}  // namespace esplane::pipeline
