#include "port/packet/packet_queue.h"

namespace esplane::port {

PacketQueue::PacketQueue(BlockRing& ring, int ifindex, FramePool& pool)
    : ring_(ring), pool_(pool), sender_(ifindex, pool, counters_) {}

/// Goes on to the next frame that can be received. @return false where none waits
bool PacketQueue::next_frame() {
  const uint32_t room = pool_.umem().chunk_bytes() - FramePool::kHeadroom;
  RingPacket packet;
  while (ring_.next(packet)) {
    const bool whole = packet.frame.size() == packet.wire_bytes;
    if (whole && segments_.start(packet.frame, packet.offload) && segments_.next_bytes() <= room) {
      return true;
    }
    counters_.rx_dropped.add(1);
  }
  segments_ = Segments{};
  return false;
}

uint32_t PacketQueue::rx(packet::Batch& batch, uint32_t max) {
  return receive_segments(segments_, pool_, counters_, batch, max, [this] { return next_frame(); });
}

uint32_t PacketQueue::tx(uint8_t* const* data, const uint32_t* length, uint32_t count) {
  return sender_.tx(data, length, count);
}

void PacketQueue::flush() { sender_.flush(); }

QueueStats PacketQueue::stats() const {
  QueueStats stats = counters_.stats();
  stats.rx_dropped += ring_.drops();
  return stats;
}

}  // namespace esplane::port
