// What a network card would have done on sending: completes a checksum that the kernel left
// partial, and cuts a super-frame (TSO, GRO; UDP GSO) into packets again.
//
// Packet sockets and TUNs show such frames as the kernel passes them between its own devices.
#pragma once

#include <cstdint>
#include <span>

#include "packet/batch.h"
#include "port/queue_counters.h"
#include "port/umem.h"

namespace esplane::port {

/// What the kernel tells of a frame's offloads: struct virtio_net_hdr (VIRTIO 1.2 §5.1.6),
/// in this machine's byte order. (linux/virtio_net.h is no C++.)
struct OffloadHeader {
  static constexpr uint8_t kNeedsChecksum = 1;  ///< flags: checksum_start and _offset count
  static constexpr uint8_t kNone = 0, kTcpV4 = 1, kTcpV6 = 4, kUdp = 5, kEcn = 0x80;  ///< kind

  uint8_t flags;
  uint8_t kind;
  uint16_t header_bytes;
  uint16_t segment_bytes;    ///< payload of each packet of a super-frame
  uint16_t checksum_start;   ///< where the sum begins
  uint16_t checksum_offset;  ///< where it goes, from there
};
static_assert(sizeof(OffloadHeader) == 10);

/// The packets that one frame of a packet socket stands for; most often the frame itself.
class Segments {
 public:
  /// What a frame begins with.
  enum class Begin : uint8_t { kEthernet, kIp };

  /// Starts on a frame, which must stay where it is until done().
  /// @return false for a kind of super-frame that we cannot cut, or one whose headers are wrong
  bool start(std::span<const uint8_t> frame, const OffloadHeader& offload,
             Begin begin = Begin::kEthernet);

  bool done() const { return at_ >= payload_bytes_ && !fresh_; }
  /// Bytes of the next packet.
  uint32_t next_bytes() const;
  /// Writes the next packet to `out`, which has room for next_bytes().
  void next(uint8_t* out);

 private:
  bool parse(std::span<const uint8_t> frame, Begin begin);
  void finish_ip(uint8_t* ip, uint32_t ip_bytes, uint32_t index) const;
  void finish_tcp(uint8_t* tcp, uint32_t offset, bool last) const;
  void finish_checksum(uint8_t* packet, uint32_t bytes) const;

  std::span<const uint8_t> frame_;
  uint32_t ip_at_ = 0;           ///< offsets of headers in the frame
  uint32_t transport_at_ = 0;
  uint32_t payload_at_ = 0;
  uint32_t payload_bytes_ = 0;
  uint32_t segment_bytes_ = 0;   ///< payload of each packet but the last
  uint32_t at_ = 0;              ///< payload bytes already sent
  uint32_t checksum_start_ = 0;  ///< for a frame that is not cut: where its checksum begins,
  uint32_t checksum_at_ = 0;     ///< and where it stands; 0: it is complete
  uint8_t protocol_ = 0;
  bool cut_ = false;
  bool fresh_ = false;           ///< no packet was taken yet (it may have no payload)
};

/// Queue::rx() of a queue whose kernel side hands over super-frames.
/// @param next_frame  starts `segments` on the next one that can be cut into frames of the pool;
///                    false where none waits
template <typename NextFrame>
uint32_t receive_segments(Segments& segments, FramePool& pool, QueueCounters& counters,
                          packet::Batch& batch, uint32_t max, NextFrame next_frame) {
  uint32_t received = 0;
  while (received < max && batch.size < packet::Batch::kCapacity) {
    if (segments.done() && !next_frame()) break;
    uint8_t* frame = pool.get();
    if (frame == nullptr) {
      counters.rx_no_frame.add(1);
      break;
    }
    const uint32_t i = batch.size++;
    batch.data[i] = frame + FramePool::kHeadroom;
    batch.length[i] = segments.next_bytes();
    batch.verdict[i] = packet::Verdict::kPending;
    segments.next(batch.data[i]);
    received++;
  }
  counters.rx.add(received);
  return received;
}

}  // namespace esplane::port
