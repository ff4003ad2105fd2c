// A bounded ring between one producer and one consumer thread, without locks.
//
// Each side keeps its own index and a copy of the other's, so that the shared indices change cache
// lines once a burst, not once an element.
#pragma once

#include <atomic>
#include <bit>
#include <cstdint>
#include <memory>
#include <stdexcept>

namespace esplane::port {

template <class T>
class SpscRing {
 public:
  /// @param entries  a power of two
  explicit SpscRing(uint32_t entries)
      : slots_(std::make_unique<T[]>(entries)), entries_(entries), mask_(entries - 1) {
    if (!std::has_single_bit(entries)) throw std::invalid_argument("a ring has 2^n entries");
  }

  // Producer

  /// Entries that can be pushed now, looking at the consumer's index only if `wanted` do not fit
  /// by what was last seen of it.
  uint32_t room(uint32_t wanted) {
    const uint32_t left = entries_ - (producer_.next - producer_.seen);
    if (left >= wanted) return left;
    producer_.seen = head_.load(std::memory_order_acquire);
    return entries_ - (producer_.next - producer_.seen);
  }
  /// Writes an element that publish() shows to the consumer. There must be room.
  void push(const T& element) { slots_[producer_.next++ & mask_] = element; }
  void publish() { tail_.store(producer_.next, std::memory_order_release); }

  // Consumer

  /// Elements that can be popped now.
  uint32_t available() {
    if (consumer_.seen == consumer_.next) consumer_.seen = tail_.load(std::memory_order_acquire);
    return consumer_.seen - consumer_.next;
  }
  /// The oldest element, which release() gives back. There must be one.
  const T& pop() { return slots_[consumer_.next++ & mask_]; }
  void release() { head_.store(consumer_.next, std::memory_order_release); }

 private:
  struct Side {
    uint32_t next = 0;  ///< our own index, free-running
    uint32_t seen = 0;  ///< the other side's, as last read
  };
  std::unique_ptr<T[]> slots_;
  const uint32_t entries_;
  const uint32_t mask_;
  alignas(64) Side producer_;
  alignas(64) std::atomic<uint32_t> tail_{0};
  alignas(64) Side consumer_;
  alignas(64) std::atomic<uint32_t> head_{0};
};

}  // namespace esplane::port
