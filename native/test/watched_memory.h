// Sees what is in a piece of aligned memory at the moment when it is given back.
#pragma once

#include <cstddef>
#include <cstdint>

namespace esplane::test {

/// Watches one allocation of operator new(size, align_val_t) until it is deleted.
class WatchedMemory {
 public:
  WatchedMemory(const void* memory, size_t bytes);
  ~WatchedMemory();

  bool freed() const { return freed_; }
  /// Whether every byte was zero when it was freed.
  bool was_zero() const { return was_zero_; }

  /// Called by operator delete, before the memory goes.
  static void deleted(const void* memory);

 private:
  const uint8_t* memory_;
  size_t bytes_;
  bool freed_ = false;
  bool was_zero_ = false;
};

}  // namespace esplane::test
