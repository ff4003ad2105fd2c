// A TPACKET_V3 socket that receives into blocks shared with the kernel (Linux:
// networking/packet_mmap). The kernel hands over a block when it is full or a millisecond old.
#pragma once

#include <linux/if_packet.h>

#include <atomic>
#include <cstdint>
#include <span>

#include "port/segments.h"
#include "port/system.h"
#include "port/xdp/bpf.h"

namespace esplane::port {

/// A packet in the ring, until the next call to BlockRing::next.
struct RingPacket {
  std::span<const uint8_t> frame;
  uint32_t wire_bytes;            ///< more than in `frame` where the ring had no room for it all
  const tpacket3_hdr* header;
  OffloadHeader offload;         ///< zeros without Options::offload_headers
};

class BlockRing {
 public:
  struct Options {
    uint32_t block_bytes = 128 << 10;  ///< a power of two; a packet must fit in one
    uint32_t blocks = 32;              ///< milliseconds that a reader may pause: time closes blocks
    bool offload_headers = false;      ///< tell partial checksums and merged packets
    bool outgoing = false;             ///< see what this host sends as well
  };

  /// Makes the socket, which receives nothing yet. @throws std::system_error
  explicit BlockRing(const Options& options);
  ~BlockRing();
  BlockRing(const BlockRing&) = delete;
  BlockRing& operator=(const BlockRing&) = delete;

  int fd() const { return fd_.get(); }

  /// Receives nothing, whatever the socket is bound to, until attach(). @throws std::system_error
  void reject_all();
  /// Receives what `filter` (a socket filter) passes. @throws std::system_error
  void attach(const xdp::Program& filter);
  /// Receives all frames of an interface. @throws std::system_error
  void bind_to(int ifindex);
  /// Sees frames to other MAC addresses, too. @throws std::system_error
  void set_promiscuous(int ifindex);
  /// Shares the interface's traffic, by flow, with the sockets that joined the same group.
  /// @param group  kNewGroup makes one
  /// @return the group. @throws std::system_error
  int join(int group);
  static constexpr int kNewGroup = -1;

  /// The next packet. Gives the block of the previous one back if it was its last.
  /// @return false where none waits
  bool next(RingPacket& packet);

  /// Packets that found no room, since the socket was made. Any thread.
  uint64_t drops();

 private:
  tpacket_block_desc* block(uint32_t index) const {
    return reinterpret_cast<tpacket_block_desc*>(memory_ + size_t{index} * options_.block_bytes);
  }

  Options options_;
  Fd fd_;
  uint8_t* memory_ = nullptr;
  uint32_t block_ = 0;                     ///< the block that we are in, or wait for
  uint32_t left_in_block_ = 0;             ///< packets not read yet
  bool in_block_ = false;
  const tpacket3_hdr* next_ = nullptr;
  std::atomic<uint64_t> drops_{0};
};

}  // namespace esplane::port
