// A capture: copies of packets as ports have received and are about to send them, from the lanes
// to one reader. A lane never waits: what finds its ring full is counted and left out.
//
// Outside are the WAN ports, behind the transform or before it; inside are the LAN ports, and the
// TUNs by which tunnels and the host are joined. Packets of a TUN have no Ethernet header.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "pipeline/counters.h"
#include "pipeline/packet_filter.h"
#include "port/port.h"
#include "spd/spd.h"

namespace esplane::pipeline {

struct CaptureOptions {
  WatchedPackets packets;
  bool outside = true, inside = true;
  uint32_t snap_bytes = 65535;   ///< of each packet, at most
  uint32_t ring_bytes = 1 << 20; ///< of each lane, a power of two
};

class Capture {
 public:
  /// As epb_flags has them. What is sent by a TUN enters the host.
  enum class Direction : uint8_t { kReceived = 1, kSent = 2 };

  struct Record {
    uint32_t place;           ///< a port's number; behind those of all ports, a TUN's scope
    Direction direction;
    uint32_t captured_bytes;  ///< behind this header
    uint32_t bytes;           ///< of the packet
    uint64_t ns;              ///< since 1970
  };

  /// @param roles      by port
  /// @param last_scope  of a TUN that is there
  Capture(CaptureOptions options, const std::vector<port::Role>& roles, spd::Scope last_scope,
          uint32_t lanes);

  /// While no lane has an owner: the port, or the TUN, goes. Of those that come later nothing is
  /// captured.
  void forget(uint16_t port);
  void forget_tun(spd::Scope scope);

  /// By the owner of `lane` only. Frames begin with their Ethernet headers.
  void take(uint32_t lane, uint16_t port, Direction direction, const uint8_t* const* data,
            const uint32_t* length, uint32_t count);
  /// Likewise. Packets begin with their IP headers.
  void take_from_tun(uint32_t lane, spd::Scope scope, Direction direction,
                     const uint8_t* const* data, const uint32_t* length, uint32_t count);

  /// How many places are those of ports.
  uint32_t port_places() const { return static_cast<uint32_t>(wanted_.size()); }

  /// By one reader: appends what waits, as Enhanced Packet Blocks of pcapng
  /// (draft-ietf-opsawg-pcapng §4.3) whose interfaces are the places, times in nanoseconds.
  /// @param most_bytes  about how many
  void read(std::vector<uint8_t>& into, size_t most_bytes);

  /// Packets that passed the filter, and those of them that found the ring full.
  uint64_t passed() const;
  uint64_t dropped() const;

 private:
  /// Records one behind the other, from one producer to one consumer.
  struct Ring {
    std::unique_ptr<uint8_t[]> bytes;
    alignas(64) std::atomic<uint64_t> head{0};  ///< the reader's
    alignas(64) std::atomic<uint64_t> tail{0};  ///< the lane's
    Counter passed, dropped;
  };

  struct Source {
    uint32_t place;
    const PacketFilter& filter;
    uint32_t ip_at;
  };

  void take_passing(uint32_t lane, const Source& source, Direction direction,
                    const uint8_t* const* data, const uint32_t* length, uint32_t count);
  bool put(Ring& ring, const Record& record, const uint8_t* data);
  bool next(Ring& ring, Record& record, std::vector<uint8_t>& data);
  void copy_in(Ring& ring, uint64_t at, const void* from, size_t bytes);
  void copy_out(const Ring& ring, uint64_t at, void* to, size_t bytes) const;

  const CaptureOptions options_;
  std::vector<bool> wanted_;       ///< by port
  std::vector<bool> wanted_tuns_;  ///< by scope
  std::vector<Ring> rings_;  ///< by lane
  std::vector<uint8_t> packet_;
};

}  // namespace esplane::pipeline
