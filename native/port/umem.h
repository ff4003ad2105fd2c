// Umem: the frames that all ports of one dataplane share, and the free lists of its workers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "packet/batch.h"

namespace esplane::port {

/// One mapping of `frames` chunk-aligned frames, registered with every AF_XDP socket.
class Umem {
 public:
  /// Hugepages where the system has them and it fills at least one, else normal pages; locked in
  /// memory as far as the limits allow; left out of core dumps, since clear text passes through.
  /// @param chunk_bytes  2048 or 4096
  /// @throws std::system_error where the memory cannot be had
  Umem(uint32_t frames, uint32_t chunk_bytes);
  ~Umem();
  Umem(const Umem&) = delete;
  Umem& operator=(const Umem&) = delete;

  uint8_t* base() const { return base_; }
  uint32_t frames() const { return frames_; }
  uint32_t chunk_bytes() const { return chunk_bytes_; }
  size_t bytes() const { return size_t{frames_} * chunk_bytes_; }
  bool hugepages() const { return hugepages_; }
  bool locked() const { return locked_; }
  uint8_t* at(uint64_t address) const { return base_ + address; }
  uint64_t address(const uint8_t* p) const { return static_cast<uint64_t>(p - base_); }

 private:
  uint8_t* base_;
  uint32_t frames_;
  uint32_t chunk_bytes_;
  size_t mapped_bytes_;
  bool hugepages_ = false;
  bool locked_ = false;
};

/// The free frames of one worker: a plain stack, used by its owner thread only.
class FramePool {
 public:
  /// Owns frames [first, first + count) of `umem`.
  /// @throws std::out_of_range
  FramePool(Umem& umem, uint32_t first, uint32_t count);

  Umem& umem() const { return umem_; }
  size_t available() const { return free_.size(); }
  /// A free frame, or null. Packets are placed kHeadroom bytes behind its first byte.
  uint8_t* get() {
    if (free_.empty()) return nullptr;
    uint8_t* p = free_.back();
    free_.pop_back();
    return p;
  }
  /// Takes back the frame that holds `p` (any address within it).
  void put(uint8_t* p) {
    free_.push_back(reinterpret_cast<uint8_t*>(reinterpret_cast<uintptr_t>(p) &
                                               ~uintptr_t{umem_.chunk_bytes() - 1}));
  }

  /// Where a received or built packet starts in its frame, in bytes: what AF_XDP leaves too.
  static constexpr uint32_t kHeadroom = 256;

 private:
  Umem& umem_;
  std::vector<uint8_t*> free_;
};

}  // namespace esplane::port
