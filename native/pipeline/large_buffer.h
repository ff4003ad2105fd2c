// Room for one packet that is longer than a frame: a datagram that came in fragments, up to 64 KiB.
//
// It is aligned to its size, so that a batch whose chunk_bytes is kBytes finds head and tail room in
// it as in any frame. A packet in it is worked on to its end at once; it never waits, and no port
// sends it: what leaves is cut into frames before.
#pragma once

#include <sys/mman.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <system_error>

namespace esplane::pipeline {

class LargeBuffer {
 public:
  static constexpr uint32_t kBytes = 128 * 1024;
  static constexpr uint32_t kHeadroom = 512;
  static constexpr uint32_t kMostPacketBytes = 65'535 + 40;

  /// @throws std::system_error where the memory cannot be had
  LargeBuffer() {
    mapped_ = mmap(nullptr, 2 * kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mapped_ == MAP_FAILED)
      throw std::system_error(errno, std::generic_category(), "cannot map packet memory");
    // Clear text passes through.
    madvise(mapped_, 2 * kBytes, MADV_DONTDUMP);
    madvise(mapped_, 2 * kBytes, MADV_DONTFORK);
    base_ = reinterpret_cast<uint8_t*>((reinterpret_cast<uintptr_t>(mapped_) + kBytes - 1) &
                                       ~uintptr_t{kBytes - 1});
  }
  ~LargeBuffer() {
    explicit_bzero(base_, used_);
    munmap(mapped_, 2 * kBytes);
  }
  LargeBuffer(const LargeBuffer&) = delete;
  LargeBuffer& operator=(const LargeBuffer&) = delete;

  /// Where a packet is put. The one before it is forgotten.
  uint8_t* packet() {
    used_ = kBytes;
    return base_ + kHeadroom;
  }
  bool owns(const uint8_t* p) const { return reinterpret_cast<uintptr_t>(p) - reinterpret_cast<uintptr_t>(base_) < kBytes; }

 private:
  void* mapped_;
  uint8_t* base_;
  uint32_t used_ = 0;  ///< so that a buffer never used is never touched
};

}  // namespace esplane::pipeline
