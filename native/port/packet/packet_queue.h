// One queue of a packet port: a TPACKET_V3 ring to receive from, a plain packet socket to send by.
#pragma once

#include <sys/socket.h>

#include <array>

#include "port/packet/block_ring.h"
#include "port/segments.h"
#include "port/port.h"
#include "port/queue_counters.h"

namespace esplane::port {

class PacketQueue final : public Queue {
 public:
  /// @param ring  bound and filtered; driven by this queue alone, and outlives it
  /// @throws std::system_error
  PacketQueue(BlockRing& ring, int ifindex, FramePool& pool);
  ~PacketQueue() override;

  uint32_t rx(packet::Batch& batch, uint32_t max) override;
  uint32_t tx(uint8_t* const* data, const uint32_t* length, uint32_t count) override;
  void flush() override;
  int poll_fd() const override { return ring_.fd(); }
  QueueStats stats() const override;

 private:
  static constexpr uint32_t kPending = 256;

  bool next_frame();

  BlockRing& ring_;
  Fd sender_;
  FramePool& pool_;
  Segments segments_;  ///< of the frame that is being received
  QueueCounters counters_;

  // Packets queued by tx() until flush()
  uint32_t pending_ = 0;
  std::array<iovec, kPending> parts_;
  std::array<mmsghdr, kPending> messages_;
};

}  // namespace esplane::port
