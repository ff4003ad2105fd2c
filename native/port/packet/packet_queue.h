// One queue of a packet port: a TPACKET_V3 ring to receive from, a plain packet socket to send by.
#pragma once

#include "port/packet/block_ring.h"
#include "port/packet/packet_sender.h"
#include "port/segments.h"
#include "port/port.h"
#include "port/queue_counters.h"

namespace esplane::port {

class PacketQueue final : public Queue {
 public:
  /// @param ring  bound and filtered; driven by this queue alone, and outlives it
  /// @throws std::system_error
  PacketQueue(BlockRing& ring, int ifindex, FramePool& pool);

  uint32_t rx(packet::Batch& batch, uint32_t max) override;
  uint32_t tx(uint8_t* const* data, const uint32_t* length, uint32_t count) override;
  void flush() override;
  bool has_unsent() const override { return sender_.has_unsent(); }
  int poll_fd() const override { return ring_.fd(); }
  QueueStats stats() const override;

 private:
  bool next_frame();

  BlockRing& ring_;
  FramePool& pool_;
  Segments segments_;  ///< of the frame that is being received
  QueueCounters counters_;
  PacketSender sender_;
};

}  // namespace esplane::port
