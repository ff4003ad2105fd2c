#include "test/watched_memory.h"

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <new>

namespace esplane::test {
namespace {

std::atomic<WatchedMemory*> watched{nullptr};

}  // namespace

WatchedMemory::WatchedMemory(const void* memory, size_t bytes)
    : memory_(static_cast<const uint8_t*>(memory)), bytes_(bytes) {
  watched.store(this);
}

WatchedMemory::~WatchedMemory() { watched.store(nullptr); }

void WatchedMemory::deleted(const void* memory) {
  WatchedMemory* w = watched.load();
  if (w == nullptr || memory != w->memory_) return;
  w->was_zero_ = std::all_of(w->memory_, w->memory_ + w->bytes_, [](uint8_t b) { return b == 0; });
  w->freed_ = true;
}

}  // namespace esplane::test

void* operator new(size_t bytes, std::align_val_t alignment) {
  const auto unit = static_cast<size_t>(alignment);
  void* memory = std::aligned_alloc(unit, (bytes + unit - 1) / unit * unit);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

void operator delete(void* memory, std::align_val_t) noexcept {
  esplane::test::WatchedMemory::deleted(memory);
  std::free(memory);
}

void operator delete(void* memory, size_t, std::align_val_t alignment) noexcept {
  operator delete(memory, alignment);
}
