// The two places where packets that are the kernel's can go: the TUN, or a memory port, which
// tests and the lab without privileges look at.
#pragma once

#include <cstring>
#include <memory>
#include <utility>

#include "pipeline/egress.h"
#include "port/tun/tun.h"

namespace esplane::pipeline {

class TunReinjector final : public Reinjector {
 public:
  explicit TunReinjector(port::Tun& tun) : tun_(tun) {}
  bool write(const uint8_t* packet, uint32_t bytes) override { return tun_.write(packet, bytes); }

 private:
  port::Tun& tun_;
};

class QueueReinjector final : public Reinjector {
 public:
  QueueReinjector(port::FramePool& pool, std::unique_ptr<port::Queue> queue)
      : pool_(pool), queue_(std::move(queue)) {}

  bool write(const uint8_t* packet, uint32_t bytes) override {
    if (bytes > pool_.umem().chunk_bytes() - port::FramePool::kHeadroom) return false;
    uint8_t* data = pool_.get();
    if (data == nullptr) return false;
    data += port::FramePool::kHeadroom;
    std::memcpy(data, packet, bytes);
    const bool sent = queue_->tx(&data, &bytes, 1) == 1;
    if (!sent) pool_.put(data);
    queue_->flush();
    return sent;
  }

 private:
  port::FramePool& pool_;
  std::unique_ptr<port::Queue> queue_;
};

}  // namespace esplane::pipeline
