// The doors between the dataplane and the host's own stack: a queue of a TUN; or of a memory port,
// for tests and the lab without privileges.
#pragma once

#include <cstring>
#include <memory>
#include <utility>

#include "pipeline/egress.h"
#include "port/tun/tun.h"

namespace esplane::pipeline {

/// Packets enter the host by write(); what the host sends comes out of queue().
class HostQueue : public Reinjector {
 public:
  virtual port::Queue& queue() = 0;
  /// Packets of a super-frame wait in the queue, of which its descriptor does not tell.
  virtual bool holds_packets() const { return false; }
};

class TunHostQueue final : public HostQueue {
 public:
  explicit TunHostQueue(std::unique_ptr<port::TunQueue> queue) : queue_(std::move(queue)) {}
  uint64_t write(uint8_t* const* packets, const uint32_t* bytes, uint32_t count) override {
    return queue_->write(packets, bytes, count);
  }
  port::Queue& queue() override { return *queue_; }
  bool holds_packets() const override { return queue_->holds_packets(); }

 private:
  std::unique_ptr<port::TunQueue> queue_;
};

class MemoryHostQueue final : public HostQueue {
 public:
  MemoryHostQueue(port::FramePool& pool, std::unique_ptr<port::Queue> queue)
      : pool_(pool), queue_(std::move(queue)) {}

  uint64_t write(uint8_t* const* packets, const uint32_t* bytes, uint32_t count) override {
    uint64_t taken = 0;
    for (uint32_t i = 0; i < count; i++) taken |= uint64_t{send(packets[i], bytes[i])} << i;
    queue_->flush();
    return taken;
  }
  port::Queue& queue() override { return *queue_; }

 private:
  bool send(const uint8_t* packet, uint32_t bytes) {
    if (bytes > pool_.umem().chunk_bytes() - port::FramePool::kHeadroom) return false;
    uint8_t* data = pool_.get();
    if (data == nullptr) return false;
    data += port::FramePool::kHeadroom;
    std::memcpy(data, packet, bytes);
    const bool sent = queue_->tx(&data, &bytes, 1) == 1;
    if (!sent) pool_.put(data);
    return sent;
  }

  port::FramePool& pool_;
  std::unique_ptr<port::Queue> queue_;
};

}  // namespace esplane::pipeline
