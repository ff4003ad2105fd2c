// A trace: the next packet that passes a filter is taken out of its burst and goes through the
// stages alone, and what each of them made of it is written down. It is sent as ever, in its place.
// It may be one that a port received, or one that the host sent into a TUN.
#pragma once

#include <atomic>
#include <cstdint>
#include <utility>

#include "packet/ip.h"
#include "packet/verdict.h"
#include "pipeline/hold_queue.h"
#include "pipeline/packet_filter.h"

namespace esplane::pipeline {

/// Ticks are those of the time stamp counter. Numbers are in host order.
struct TraceReport {
  uint32_t lane = 0;                ///< that it came through
  Ingress from;                     ///< the port or the TUN that received it
  bool outbound = false;            ///< it came from a LAN port, or from the host
  packet::IpHeader received;        ///< headers; family kNone: no IP packet
  uint32_t received_bytes = 0;      ///< of the frame

  uint64_t begin_ticks = 0;         ///< outbound: headers, policy, path, sequence number
  uint64_t work_ticks = 0;          ///< outbound: encryption; inbound: headers, SA, decryption
  uint64_t finish_ticks = 0;        ///< inbound: replay window; next hop
  uint64_t send_ticks = 0;          ///< the transmit ring

  bool has_sa = false;
  uint32_t spi = 0;                 ///< of the SA that it went through
  packet::IpHeader sent;            ///< of the frame that left; family kNone: none did
  uint32_t sent_bytes = 0;
  bool into_host = false;           ///< by the TUN of this scope; else by this port
  spd::Scope sent_scope = spd::kHostScope;
  uint16_t sent_port = 0;
  uint32_t sent_frames = 0;         ///< more than one: in fragments
  bool turned = false;              ///< from one tunnel it went into another
  packet::Verdict verdict = packet::Verdict::kPending;
};

class Trace {
 public:
  explicit Trace(WatchedPackets packets) : packets_(std::move(packets)) {}

  /// The first packet that passes, or `count`; it is the caller's to trace then, and nobody else's.
  /// Any worker.
  uint32_t claim(const Ingress& from, uint8_t* const* data, const uint32_t* length,
                 uint32_t count) {
    if (claimed_.load(std::memory_order_relaxed)) return count;
    if (from.from_host && !packets_.covers_tun(from.scope)) return count;
    const auto& filter = from.from_host ? packets_.tun_filter : packets_.filter;
    const uint32_t ip_at = from.from_host ? 0 : PacketFilter::kEthernetBytes;
    for (uint32_t i = 0; i < count; i++) {
      if (filter.passes(data[i], length[i], ip_at)) return claimed_.exchange(true) ? count : i;
    }
    return count;
  }
  void publish(const TraceReport& report) {
    report_ = report;
    done_.store(true, std::memory_order_release);
  }
  /// Null while no packet has come. Any thread.
  const TraceReport* report() const {
    return done_.load(std::memory_order_acquire) ? &report_ : nullptr;
  }

 private:
  const WatchedPackets packets_;
  std::atomic<bool> claimed_{false}, done_{false};
  TraceReport report_;
};

}  // namespace esplane::pipeline
