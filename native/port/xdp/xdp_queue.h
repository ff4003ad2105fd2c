// One queue of an AF_XDP port, as its worker drives it.
#pragma once

#include <memory>
#include <vector>

#include "port/port.h"
#include "port/queue_counters.h"
#include "port/xdp/classifier.h"
#include "port/xdp/socket.h"

namespace esplane::port::xdp {

/// The frames that the kernel holds, a bit each: all of them come back when the queue closes,
/// wherever in the kernel or a driver they were.
class LentFrames {
 public:
  explicit LentFrames(const Umem& umem)
      : shift_(static_cast<uint32_t>(__builtin_ctz(umem.chunk_bytes()))),
        bits_((umem.frames() + 63) / 64) {}

  void lend(uint64_t address) { word(address) |= bit(address); }
  void take_back(uint64_t address) { word(address) &= ~bit(address); }
  template <class Function>
  void for_each(Function function) const {
    for (size_t i = 0; i < bits_.size(); i++) {
      for (uint64_t left = bits_[i]; left != 0; left &= left - 1) {
        function((uint64_t{i} * 64 + static_cast<uint64_t>(__builtin_ctzll(left))) << shift_);
      }
    }
  }

 private:
  uint64_t& word(uint64_t address) { return bits_[address >> shift_ >> 6]; }
  uint64_t bit(uint64_t address) const { return uint64_t{1} << (address >> shift_ & 63); }

  uint32_t shift_;
  std::vector<uint64_t> bits_;
};

class XdpQueue final : public Queue {
 public:
  /// Fills the socket's fill ring from `pool`, and only then lets the program redirect to it.
  /// @param busy_poll  the device is looked at with each flush()
  XdpQueue(std::shared_ptr<Socket> socket, const Classifier& classifier, uint32_t index,
           uint32_t ring_entries, bool busy_poll, FramePool& pool);
  ~XdpQueue() override;

  uint32_t rx(packet::Batch& batch, uint32_t max) override;
  uint32_t tx(uint8_t* const* data, const uint32_t* length, uint32_t count) override;
  void flush() override;
  bool has_unsent() const override { return !socket_->transmit.drained(); }
  int poll_fd() const override { return socket_->fd(); }
  QueueStats stats() const override;
  QueueRings rings() const override;
  void stop_receiving() override;
  void close() override;

 private:
  void refill();
  void put_back();
  void collect_completed();
  void kick();

  std::shared_ptr<Socket> socket_;
  const Classifier& classifier_;
  const uint32_t index_;
  const uint32_t ring_entries_;
  const bool busy_poll_;
  FramePool& pool_;
  Umem& umem_;
  LentFrames lent_;
  uint32_t receiving_ = 0;     ///< frames that the kernel holds for receiving
  QueueCounters counters_;
};

}  // namespace esplane::port::xdp
