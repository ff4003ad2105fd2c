// The four rings that an AF_XDP socket shares with the kernel (Linux: networking/af_xdp).
//
// We produce on the fill and transmit rings, the kernel on the receive and completion rings. Each
// ring has one producer and one consumer, free-running 32-bit indices, and 2^n entries.
#pragma once

#include <linux/if_xdp.h>
#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>

#include "port/port.h"
#include "port/system.h"

namespace esplane::port::xdp {

/// A mapped ring. Unmapped when destroyed: the queue can be bound again only then.
template <class T>
class Ring {
 public:
  Ring() = default;
  Ring(const Ring&) = delete;
  Ring& operator=(const Ring&) = delete;
  ~Ring() {
    if (memory_) munmap(memory_, bytes_);
  }

  /// @param page_offset  which of the rings (XDP_PGOFF_RX_RING and so on)
  /// @throws std::system_error
  void map(int fd, const xdp_ring_offset& offset, uint32_t entries, off_t page_offset) {
    bytes_ = offset.desc + entries * sizeof(T);
    void* p = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd,
                   page_offset);
    if (p == MAP_FAILED) throw_errno(errno, "cannot map an AF_XDP ring");
    memory_ = static_cast<uint8_t*>(p);
    producer_ = reinterpret_cast<uint32_t*>(memory_ + offset.producer);
    consumer_ = reinterpret_cast<uint32_t*>(memory_ + offset.consumer);
    flags_ = reinterpret_cast<uint32_t*>(memory_ + offset.flags);
    slots_ = reinterpret_cast<T*>(memory_ + offset.desc);
    entries_ = entries;
  }

  /// Entries between its two ends; any thread.
  QueueRings::Fill fill() const {
    const uint32_t consumed = __atomic_load_n(consumer_, __ATOMIC_ACQUIRE);
    const uint32_t used = __atomic_load_n(producer_, __ATOMIC_ACQUIRE) - consumed;
    return {.used = std::min(used, entries_), .size = entries_};  // it has moved on between the two
  }

  /// The kernel sleeps on this ring until it is woken by a system call.
  bool needs_wakeup() const {
    return __atomic_load_n(flags_, __ATOMIC_RELAXED) & XDP_RING_NEED_WAKEUP;
  }

 protected:
  uint8_t* memory_ = nullptr;
  size_t bytes_ = 0;
  uint32_t* producer_ = nullptr;
  uint32_t* consumer_ = nullptr;
  uint32_t* flags_ = nullptr;
  T* slots_ = nullptr;
  uint32_t entries_ = 0;
  uint32_t own_ = 0;   ///< our index
  uint32_t seen_ = 0;  ///< the kernel's, as last read
};

/// A ring that we fill and the kernel empties.
template <class T>
class ProducerRing : public Ring<T> {
 public:
  /// Entries that can be pushed now.
  uint32_t room(uint32_t wanted) {
    if (this->entries_ - (this->own_ - this->seen_) < wanted) this->seen_ = consumed();
    return this->entries_ - (this->own_ - this->seen_);
  }
  /// There must be room.
  void push(const T& entry) { this->slots_[this->own_++ & (this->entries_ - 1)] = entry; }
  void publish() { __atomic_store_n(this->producer_, this->own_, __ATOMIC_RELEASE); }
  /// The kernel's index: what changes as it takes entries.
  uint32_t consumed() const { return __atomic_load_n(this->consumer_, __ATOMIC_ACQUIRE); }
  bool drained() const { return consumed() == this->own_; }
};

/// A ring that the kernel fills and we empty.
template <class T>
class ConsumerRing : public Ring<T> {
 public:
  /// Entries that can be popped now.
  uint32_t available() {
    if (this->seen_ == this->own_) {
      this->seen_ = __atomic_load_n(this->producer_, __ATOMIC_ACQUIRE);
    }
    return this->seen_ - this->own_;
  }
  /// There must be one available.
  const T& pop() { return this->slots_[this->own_++ & (this->entries_ - 1)]; }
  void release() { __atomic_store_n(this->consumer_, this->own_, __ATOMIC_RELEASE); }
};

}  // namespace esplane::port::xdp
