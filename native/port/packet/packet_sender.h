// Frames out of an interface by a packet socket: the sending half of a packet port, and what lanes
// send by that have no queue of an AF_XDP port.
#pragma once

#include <sys/socket.h>

#include <array>

#include "port/port.h"
#include "port/queue_counters.h"
#include "port/system.h"

namespace esplane::port {

class PacketSender {
 public:
  /// @throws std::system_error
  PacketSender(int ifindex, FramePool& pool, QueueCounters& counters);
  /// Gives back the frames that have not left.
  ~PacketSender();
  PacketSender(const PacketSender&) = delete;
  PacketSender& operator=(const PacketSender&) = delete;

  /// Queue::tx
  uint32_t tx(uint8_t* const* data, const uint32_t* length, uint32_t count);
  /// Queue::flush
  void flush();
  bool has_unsent() const { return pending_ > 0; }
  /// Never readable.
  int fd() const { return socket_.get(); }

 private:
  static constexpr uint32_t kPending = 256;

  Fd socket_;
  FramePool& pool_;
  QueueCounters& counters_;
  uint32_t pending_ = 0;  ///< queued by tx() until flush()
  std::array<iovec, kPending> parts_;
  std::array<mmsghdr, kPending> messages_;
};

/// A queue that receives nothing.
class SendingQueue final : public Queue {
 public:
  /// @throws std::system_error
  SendingQueue(int ifindex, FramePool& pool) : sender_(ifindex, pool, counters_) {}

  uint32_t rx(packet::Batch&, uint32_t) override { return 0; }
  uint32_t tx(uint8_t* const* data, const uint32_t* length, uint32_t count) override {
    return sender_.tx(data, length, count);
  }
  void flush() override { sender_.flush(); }
  bool has_unsent() const override { return sender_.has_unsent(); }
  int poll_fd() const override { return sender_.fd(); }
  QueueStats stats() const override { return counters_.stats(); }

 private:
  QueueCounters counters_;
  PacketSender sender_;
};

}  // namespace esplane::port
