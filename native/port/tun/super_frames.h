// What the kernel's GRO would have done on receiving: TCP segments of one flow that follow each
// other in a burst become one super-frame. The host takes it by one system call, and its stack
// carries it as one packet, as far as the network card that cuts it again.
//
// Segments are joined only where cutting (port/segments.h) gives the same packets back:
//
//   IP     no IPv4 options, IPv6 extension headers or fragments; TTL, TOS or traffic class (so that
//          a CE mark stays with its packet, RFC 3168 §5), flow label and DF are the same.
//          Identifications count up, or there is DF: then they mean nothing (RFC 6864 §4.1)
//   TCP    sequence numbers follow each other; acknowledgement, window and options are the same to
//          the byte; no flag but ACK. PSH and FIN end a super-frame, and so does a segment that is
//          shorter than the first; no longer one comes behind it
//   sums   hold: whoever cuts a super-frame would make a right one of a wrong one
//
// Packets of one flow keep their order. Left out: UDP.
#pragma once

#include <sys/uio.h>

#include <bit>
#include <cstdint>

#include "packet/batch.h"
#include "port/segments.h"

namespace esplane::port {

/// The frames that the packets of one burst become; most often the packets themselves.
class SuperFrames {
 public:
  static constexpr uint32_t kMostPackets = packet::Batch::kCapacity;

  /// Takes the next IP packet of the burst, of which there are kMostPackets at most. It stays where
  /// it is as long as this object.
  void add(uint8_t* packet, uint32_t bytes);

  uint32_t count() const { return frames_; }
  /// The packets of frame n, by their places in the burst: bit i is the one that was added as i.
  uint64_t packets(uint32_t n) const { return frame_[n].packets; }
  /// Completes a frame, once, in the headers of its first packet.
  /// @param offload  is what the kernel is to know of it
  /// @param parts    room for kMostPackets; become the frame, one behind the other
  /// @return how many parts there are
  uint32_t finish(uint32_t n, OffloadHeader& offload, iovec* parts) const;

 private:
  /// Offsets of the headers of a TCP segment.
  struct Segment {
    uint8_t* ip;
    uint32_t bytes;
    uint32_t tcp_at;
    uint32_t payload_at;

    uint8_t* tcp() const { return ip + tcp_at; }
    uint32_t payload_bytes() const { return bytes - payload_at; }
    bool can_join() const;
    bool checksum_holds() const;
  };
  struct Frame {
    Segment first;
    uint64_t packets;
    uint32_t payload_bytes;
    bool open;    ///< more may follow
    bool intact;  ///< the first one's checksum is known to hold
  };
  enum class Kind : uint8_t {
    kSegment,
    kOther,   ///< of no TCP flow
    kHidden,  ///< perhaps of one: a fragment, or behind options
  };

  /// Frames among which one is looked for that a segment may join.
  static constexpr uint32_t kLookBack = 16;

  static Kind read(uint8_t* packet, uint32_t bytes, Segment& into);
  static bool same_flow(const Segment& a, const Segment& b);
  static bool same_headers(const Frame& frame, const Segment& next);
  Frame* find(const Segment& segment);
  bool join(Frame& frame, const Segment& next);
  void close_all();

  uint32_t packets_ = 0, frames_ = 0;
  // Not initialized: of a burst of one packet little is needed.
  uint8_t* data_[kMostPackets];
  uint32_t bytes_[kMostPackets];
  Frame frame_[kMostPackets];
};
static_assert(SuperFrames::kMostPackets <= 64, "a frame's packets are bits");

}  // namespace esplane::port
