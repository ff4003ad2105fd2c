// The counters of a queue as its worker writes them: no locked instructions, read by any thread.
#pragma once

#include <atomic>
#include <cstdint>

#include "port/port.h"

namespace esplane::port {

/// A counter with one writer.
class Counter {
 public:
  void add(uint64_t n) {
    value_.store(value_.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
  }
  uint64_t get() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<uint64_t> value_{0};
};

struct QueueCounters {
  Counter rx, tx, rx_dropped, rx_no_frame, tx_full, tx_invalid;

  QueueStats stats() const {
    return {.rx = rx.get(),
            .tx = tx.get(),
            .rx_dropped = rx_dropped.get(),
            .rx_no_frame = rx_no_frame.get(),
            .tx_full = tx_full.get(),
            .tx_invalid = tx_invalid.get()};
  }
};

}  // namespace esplane::port
