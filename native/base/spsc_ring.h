// A bounded ring from exactly one producer thread to exactly one consumer thread. No locks, no
// allocation after construction; a full ring refuses, it never overwrites.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>

namespace esplane::base {

template <typename T>
class SpscRing {
 public:
  /// @param capacity  a power of two
  explicit SpscRing(size_t capacity)
      : mask_(capacity - 1), slots_(std::make_unique<T[]>(capacity)) {}

  /// Producer only. False: the ring is full and nothing was taken.
  bool push(const T& value) {
    const uint64_t tail = tail_.load(std::memory_order_relaxed);
    if (tail - head_.load(std::memory_order_acquire) > mask_) return false;
    slots_[tail & mask_] = value;
    tail_.store(tail + 1, std::memory_order_release);
    return true;
  }

  /// Consumer only. False: the ring is empty.
  bool pop(T& out) {
    const uint64_t head = head_.load(std::memory_order_relaxed);
    if (head == tail_.load(std::memory_order_acquire)) return false;
    out = slots_[head & mask_];
    head_.store(head + 1, std::memory_order_release);
    return true;
  }

 private:
  const uint64_t mask_;
  std::unique_ptr<T[]> slots_;
  alignas(64) std::atomic<uint64_t> head_{0};
  alignas(64) std::atomic<uint64_t> tail_{0};
};

}  // namespace esplane::base
