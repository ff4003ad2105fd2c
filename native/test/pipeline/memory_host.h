// A host at the far end of a memory link of a gateway (gateways.h).
#pragma once

#include <cstring>
#include <memory>
#include <string>

#include "test/pipeline/gateways.h"

namespace esplane::test {

/// Sends packets to the LAN of the other gateway, and takes what comes.
struct Host {
  port::Umem umem{1024, 2048};
  port::FramePool pool{umem, 0, 1024};
  std::unique_ptr<port::Port> port;
  std::unique_ptr<port::Queue> queue;
  uint64_t sent = 0, received = 0;

  explicit Host(const std::string& link)
      : port(port::open_memory_port(link, {.name = "host"})), queue(port->open_queue(0, pool)) {}
  ~Host() { queue.reset(); }

  /// As many packets, or fewer where its frames are under way.
  void send(uint32_t count = 1) {
    const auto packet = Rig::ipv4("10.1.0.5", "10.2.0.7", 1);
    for (uint32_t i = 0; i < count; i++) {
      uint8_t* data = pool.get();
      if (data == nullptr) break;
      data += port::FramePool::kHeadroom;
      std::memset(data, 0, 14);
      data[12] = 8;
      std::memcpy(data + 14, packet.data(), packet.size());
      const auto length = static_cast<uint32_t>(14 + packet.size());
      if (queue->tx(&data, &length, 1) == 1) {
        sent++;
      } else {
        pool.put(data);
      }
    }
  }
  void receive() {
    packet::Batch batch;
    batch.chunk_bytes = 2048;
    while (batch.clear(), queue->rx(batch, packet::Batch::kCapacity) > 0) {
      received += batch.size;
      for (uint32_t i = 0; i < batch.size; i++) pool.put(batch.data[i]);
    }
    queue->flush();
  }
};

}  // namespace esplane::test
