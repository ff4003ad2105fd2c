// Receiving and sending through a Queue in tests.
#pragma once

#include <poll.h>

#include <algorithm>
#include <chrono>
#include <cstring>

#include "port/port.h"
#include "test/port/frames.h"

namespace esplane::test {

/// Receives until `count` packets have come or none came for as long as `quiet`, sleeping in
/// poll(2) as a worker does. Copies the packets and gives their frames back.
inline std::vector<Bytes> receive(
    port::Queue& queue, port::FramePool& pool, size_t count,
    std::chrono::milliseconds quiet = std::chrono::milliseconds(500)) {
  std::vector<Bytes> packets;
  auto last = std::chrono::steady_clock::now();
  while (packets.size() < count && std::chrono::steady_clock::now() - last < quiet) {
    packet::Batch batch;
    const uint32_t n = queue.rx(batch, packet::Batch::kCapacity);
    for (uint32_t i = 0; i < n; i++) {
      packets.emplace_back(batch.data[i], batch.data[i] + batch.length[i]);
      pool.put(batch.data[i]);
    }
    queue.flush();
    if (n > 0) {
      last = std::chrono::steady_clock::now();
    } else if (queue.poll_fd() >= 0) {
      pollfd p{queue.poll_fd(), POLLIN, 0};
      poll(&p, 1, static_cast<int>(std::min<int64_t>(quiet.count(), 20)));
    }
  }
  return packets;
}

/// Sends one packet from a fresh frame. @return false if the queue refused it
inline bool send(port::Queue& queue, port::FramePool& pool, const Bytes& packet) {
  uint8_t* frame = pool.get();
  if (!frame) return false;
  uint8_t* data = frame + port::FramePool::kHeadroom;
  std::memcpy(data, packet.data(), packet.size());
  const auto length = static_cast<uint32_t>(packet.size());
  const bool accepted = queue.tx(&data, &length, 1) == 1;
  if (!accepted) pool.put(frame);
  queue.flush();
  return accepted;
}

}  // namespace esplane::test
