// Memory whose neighbours cannot be touched: a read or write outside of it ends the test.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <stdexcept>

namespace esplane::test {

/// A range of pages between two that may not be accessed.
class Guarded {
 public:
  explicit Guarded(size_t capacity) {
    const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
    inner_ = (capacity + page - 1) / page * page;
    outer_ = inner_ + 2 * page;
    void* p = mmap(nullptr, outer_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) throw std::runtime_error("mmap");
    base_ = static_cast<uint8_t*>(p);
    if (mprotect(base_ + page, inner_, PROT_READ | PROT_WRITE) != 0) {
      throw std::runtime_error("mprotect");
    }
    begin_ = base_ + page;
  }
  Guarded(const Guarded&) = delete;
  Guarded& operator=(const Guarded&) = delete;
  ~Guarded() { munmap(base_, outer_); }

  /// Bytes that start right behind the page that may not be accessed.
  uint8_t* at_begin() const { return begin_; }
  /// Bytes that end right before the page that may not be accessed.
  uint8_t* at_end(size_t bytes) const { return begin_ + inner_ - bytes; }

 private:
  uint8_t* base_;
  uint8_t* begin_;
  size_t inner_, outer_;
};

}  // namespace esplane::test
