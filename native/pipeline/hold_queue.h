// Packets of one worker that wait for their next hop: a bounded few, one second at most
// (RFC 4861 §7.2.2 and RFC 1122 §2.3.2.2 ask for at least one a neighbour).
#pragma once

#include <cstdint>
#include <memory>

#include "net/next_hop_cache.h"
#include "spd/spd.h"

namespace esplane::pipeline {

/// Where a packet goes on when its next hop is known.
enum class Resume : uint8_t {
  kOutbound,  ///< clear text towards an SA: policy is looked up again, the SA may be another
  kDeliver,   ///< clear text that was decrypted, or that we made: to its next hop
  kHost,      ///< an ICMP error to who sent through an interface: back by the same
};

/// Where a packet came from.
struct Ingress {
  uint16_t port = 0;
  /// From a TUN: that of its interface. The host has decremented the TTL of what it forwards there.
  spd::Scope scope = spd::kHostScope;
  bool from_host = false;
};

/// Whose packet it is.
enum class Origin : uint8_t {
  kReceived,  ///< it has exactly one verdict
  kPiece,     ///< one of those that a received packet was cut into, which is kFragmented
  kOurs,      ///< an ICMP error
};

class HoldQueue {
 public:
  static constexpr uint32_t kPackets = 256;       ///< of the worker
  static constexpr uint32_t kPerNextHop = 64;
  static constexpr uint32_t kHoldMs = 1'000;

  struct Packet {
    uint8_t* data;  ///< at its IP header
    uint32_t length;
    uint32_t since_ms;
    net::NextHopCache::Entry* entry;
    Ingress from;
    Resume resume;
    Origin origin;
    int32_t next;
  };

  HoldQueue() {
    for (uint32_t i = 0; i < kPackets; i++) packets_[i].next = static_cast<int32_t>(i) - 1;
    free_ = kPackets - 1;
  }

  uint32_t size() const { return size_; }

  /// Takes over the frame. False: too many wait; the caller keeps the frame.
  bool hold(net::NextHopCache::Entry& e, const Packet& packet) {
    if (free_ < 0 || e.held >= kPerNextHop) return false;
    const int32_t i = free_;
    free_ = packets_[i].next;
    packets_[i] = packet;
    packets_[i].entry = &e;
    packets_[i].next = -1;
    (e.held == 0 ? e.first_held : packets_[e.last_held].next) = i;
    e.last_held = i;
    e.held++;
    size_++;
    return true;
  }

  /// The packet that waits longest for this entry; false when none does.
  bool release(net::NextHopCache::Entry& e, Packet& out) {
    if (e.held == 0) return false;
    const int32_t i = e.first_held;
    out = packets_[i];
    e.first_held = out.next;
    e.held--;
    packets_[i].entry = nullptr;
    packets_[i].next = free_;
    free_ = i;
    size_--;
    return true;
  }

  /// An entry whose first packet has waited too long, or null.
  net::NextHopCache::Entry* overdue(uint32_t now_ms) {
    for (uint32_t i = 0; i < kPackets && size_ > 0; i++) {
      auto* e = packets_[i].entry;
      if (e != nullptr && now_ms - packets_[e->first_held].since_ms >= kHoldMs) return e;
    }
    return nullptr;
  }

  /// Any entry with packets, or null: for the end.
  net::NextHopCache::Entry* any() {
    for (uint32_t i = 0; i < kPackets && size_ > 0; i++) {
      if (packets_[i].entry != nullptr) return packets_[i].entry;
    }
    return nullptr;
  }

 private:
  std::unique_ptr<Packet[]> packets_ = std::make_unique<Packet[]>(kPackets);
  int32_t free_;
  uint32_t size_ = 0;
};

}  // namespace esplane::pipeline
