// A TUN interface: the host's own stack, and what the host routes there, as a port of ours.
//
// The gateway has one of its own, through which packets go back to the kernel and what the host
// itself sends through tunnels comes out; and one for each route-based tunnel. Each worker's lane
// has a queue of its own (IFF_MULTI_QUEUE): the kernel puts a flow's packets on the queue that
// those of the other direction were written to. Super-frames come whole (IFF_VNET_HDR) and are cut
// here, their checksums completed; and go whole, joined here.
#pragma once

#include <sys/uio.h>

#include <array>
#include <cstdint>
#include <memory>
#include <string>

#include "port/port.h"
#include "port/queue_counters.h"
#include "port/segments.h"
#include "port/system.h"

namespace esplane::port {

struct TunOptions {
  std::string name;  ///< of at most 15 characters; "%d" in it is numbered by the kernel
  uint32_t mtu_bytes = 1500;  ///< 0: as it is
  /// What is handed to the kernel here may come from anywhere: the reverse path filter is off.
  /// Where the host filters on all interfaces this one filters loosely, which needs the dummy
  /// address 192.0.0.8 on it.
  bool from_anywhere = false;
  /// Stays when the process ends, however it ends, with its addresses and routes: what is routed
  /// there is dropped by the kernel until somebody opens it again. remove() ends it.
  bool outlives_process = false;
};

/// The packets of one lane. Destroying it gives back the frames that it held.
class TunQueue final : public Queue {
 public:
  TunQueue(Fd fd, FramePool& pool);

  uint32_t rx(packet::Batch& batch, uint32_t max) override;
  /// Hands packets to the kernel at once.
  uint32_t tx(uint8_t* const* data, const uint32_t* length, uint32_t count) override;
  void flush() override {}
  int poll_fd() const override { return fd_.get(); }
  QueueStats stats() const override { return counters_.stats(); }

  /// Of a super-frame that is being cut.
  bool holds_packets() const { return !segments_.done(); }
  /// Hands copies of the IP packets of a burst to the kernel, those of a TCP flow joined
  /// (super_frames.h), which changes their headers; never blocks.
  /// @param count  at most Batch::kCapacity
  /// @return bit i: packet i was taken, and not refused
  uint64_t write(uint8_t* const* packets, const uint32_t* bytes, uint32_t count);

 private:
  bool next_frame();

  /// The longest IP packet, and a super-frame.
  static constexpr uint32_t kMostBytes = 65536;

  Fd fd_;
  FramePool& pool_;
  std::unique_ptr<std::array<uint8_t, kMostBytes>> buffer_;  ///< of the frame being cut
  Segments segments_;
  QueueCounters counters_;
};

class Tun {
 public:
  /// Makes the interface, or opens the one of this name that has outlived another process, and
  /// brings it up.
  /// @throws std::system_error naming the step that failed
  explicit Tun(const TunOptions& options);
  ~Tun();
  Tun(const Tun&) = delete;
  Tun& operator=(const Tun&) = delete;

  const std::string& name() const { return name_; }
  int ifindex() const { return ifindex_; }
  uint32_t mtu_bytes() const { return mtu_bytes_; }
  /// @throws std::system_error
  void set_mtu(uint32_t bytes);
  /// What the administrator should know, such as a reverse path filter that could not be switched
  /// off; empty where nothing.
  const std::string& note() const { return note_; }

  /// One more queue, for a lane that owns `pool`. The interface must outlive it.
  /// @throws std::system_error
  std::unique_ptr<TunQueue> open_queue(FramePool& pool);

  /// The interface goes away with this object and its queues, routes and all.
  void remove();

 private:
  Fd attach(const std::string& name);
  void set_up(const TunOptions& options);

  std::string name_;
  std::string note_;
  int ifindex_ = 0;
  uint32_t mtu_bytes_ = 0;
  Fd fd_;  ///< a queue without packets: it holds the interface
};

}  // namespace esplane::port
