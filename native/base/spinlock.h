// A lock for sections of some dozen instructions that several workers may enter.
#pragma once

#include <atomic>

#include "base/spin_pause.h"

namespace esplane::base {

/// Meets the standard's BasicLockable: use it with std::lock_guard.
class Spinlock {
 public:
  void lock() {
    while (taken_.exchange(true, std::memory_order_acquire)) {
      while (taken_.load(std::memory_order_relaxed)) spin_pause();
    }
  }
  void unlock() { taken_.store(false, std::memory_order_release); }

 private:
  std::atomic<bool> taken_{false};
};

}  // namespace esplane::base
