// Security associations as the packet path holds them (RFC 4301 §4.4.2.1): one inbound or
// outbound SA each, hot fields in front, on cache lines by who writes them.
//
// What protects the packets is a suite (crypto/suite.h), worked by an engine. SAs are made and
// owned by the Sad (sad.h).
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/pool.h"
#include "packet/verdict.h"
#include "replay/window.h"
#include "sad/lifetime.h"
#include "sad/outer_header.h"
#include "sad/parameters.h"
#include "sad/path_mtu.h"
#include "sad/protection.h"

namespace esplane::sad {

struct OutboundSa : base::Pooled {
  /// Sequence numbers for a group of packets: first .. first + granted - 1.
  struct Reservation {
    uint64_t first;
    uint32_t granted;  ///< fewer than asked for at the end of the number space only
  };

  /// @param parameters  valid ones
  explicit OutboundSa(const SaParameters& parameters);
  ~OutboundSa();
  OutboundSa(const OutboundSa&) = delete;
  OutboundSa& operator=(const OutboundSa&) = delete;

  /// Reserves `count` sequence numbers by one atomic add. No number is ever handed out twice; the
  /// last is 2^32-1, with ESN 2^64-1 (RFC 4303 §3.3.3). Any worker.
  Reservation reserve(uint32_t count) {
    if (near_end()) [[unlikely]] return reserve_near_end(count);
    return {sequence.fetch_add(count, std::memory_order_relaxed) + 1, count};
  }
  Reservation reserve_near_end(uint32_t count);
  /// The number space will end soon: rekey now.
  bool near_end() const { return sequence.load(std::memory_order_relaxed) >= near_end_from; }
  /// Last number handed out.
  uint64_t last_sequence() const { return sequence.load(std::memory_order_relaxed); }
  /// Where its packets go: the outer destination.
  packet::IpAddress peer() const { return outer().destination(); }
  /// Whether a packet from `source` may have been one of the last million of this SA.
  /// @param low_sequence  lower half of its sequence number; 0: not known
  bool has_sent_lately(const packet::IpAddress& source, uint32_t low_sequence) const;

  /// @return whether it was another one before
  bool see_path_mtu(uint32_t mtu_bytes) {
    const auto mtu = static_cast<uint16_t>(mtu_bytes < 0xffff ? mtu_bytes : 0xffff);
    if (path_mtu_seen.load(std::memory_order_relaxed) == mtu) [[likely]] return false;
    path_mtu_seen.store(mtu, std::memory_order_relaxed);
    return true;
  }

  /// What is sent is counted here, and refused where that is too much.
  Usage usage() { return {packets, bytes, lifetime}; }

  /// Valid until the next quiescent point of the worker that asks.
  const OuterHeader& outer() const { return *published_outer.load(std::memory_order_acquire); }
  /// Publishes another one. @return the old one, which workers may still read
  std::unique_ptr<const OuterHeader> set_outer(std::unique_ptr<const OuterHeader> fresh) {
    return std::unique_ptr<const OuterHeader>(
        published_outer.exchange(fresh.release(), std::memory_order_acq_rel));
  }

  // First line: read for every packet, never written after construction but for its last fields.
  alignas(64) Protection protection;
  uint32_t spi;           ///< host order
  Protocol protocol;
  Mode mode;
  bool udp_encapsulation;
  uint16_t ip_id_offset;  ///< so that SAs between the same hosts do not share IPv4 IDs
  std::atomic<const OuterHeader*> published_outer;  ///< owned; read through outer()

  // Second line: written once for each group of packets, but for its last four fields.
  alignas(64) std::atomic<uint64_t> sequence{0};  ///< last number handed out
  std::atomic<uint64_t> packets{0};
  std::atomic<uint64_t> bytes{0};                 ///< of inner packets
  uint64_t near_end_from = 0;
  uint64_t sequence_limit = 0;
  uint64_t iv_stream = 0;     ///< AES-CBC (crypto/iv.h)
  uint32_t inbound_spi = 0;   ///< of the pair, by which the control plane knows it

  // Third line: read for every packet before it is sealed.
  alignas(64) PathMtu path_mtu; ///< what ICMP has said
  /// What the path carried when a worker last looked, ICMP's word included; 0: nothing was sent yet.
  std::atomic<uint16_t> path_mtu_seen{0};
  bool fragment_after = false;  ///< ESP packets are fragmented, not what is in them
  bool ports_matter = false;    ///< its selectors have ports: later fragments do not fit them
  bool clamps_mss = true;       ///< TCP's MSS options of the pair's both directions
  uint16_t pad_to_bytes = 0;    ///< sad::Tfc
  uint16_t scope = 0;           ///< SaParameters::scope
  bool carries_ipv6 = false;    ///< its selectors do

  Lifetime lifetime;  ///< looked at once for each group of packets
  uint32_t dummies_per_second = 0;  ///< sad::Tfc
};
static_assert(offsetof(OutboundSa, sequence) == 64, "what every packet reads is one cache line");
static_assert(offsetof(OutboundSa, lifetime) + Lifetime::kHotBytes <= 192, "it needs three lines");

struct InboundSa : base::Pooled {
  /// @param parameters  valid ones
  explicit InboundSa(const SaParameters& parameters);
  ~InboundSa();
  InboundSa(const InboundSa&) = delete;
  InboundSa& operator=(const InboundSa&) = delete;

  /// What is accepted is counted here, and refused where that is too much.
  Usage usage() { return {packets, bytes, lifetime}; }
  /// Most SAs never refuse a packet: the counters, half a kilobyte, are made at the first one.
  void count_refused(packet::Verdict verdict) {
    Refusals* counters = refusals_.load(std::memory_order_acquire);
    if (counters == nullptr) counters = make_refusals();
    if (counters == nullptr) return;  // no memory for them
    counters->count[static_cast<uint32_t>(verdict)].fetch_add(1, std::memory_order_relaxed);
  }
  /// Packets that found this SA and went no further with that verdict.
  uint64_t refused(packet::Verdict verdict) const {
    const Refusals* counters = refusals_.load(std::memory_order_acquire);
    if (counters == nullptr) return 0;
    return counters->count[static_cast<uint32_t>(verdict)].load(std::memory_order_relaxed);
  }

  /// Where the peer sends from as far as we know. A NAT may change it: the pipeline compares where
  /// an authentic packet came from. Valid until the next quiescent point of the worker that asks.
  const Endpoint& peer() const { return *published_peer.load(std::memory_order_acquire); }
  /// @return the old one, which workers may still read
  std::unique_ptr<const Endpoint> set_peer(std::unique_ptr<const Endpoint> fresh) {
    return std::unique_ptr<const Endpoint>(
        published_peer.exchange(fresh.release(), std::memory_order_acq_rel));
  }

  // First line: read for every packet, never written after construction but for its last field.
  alignas(64) Protection protection;
  uint32_t spi;  ///< host order
  Protocol protocol;
  Mode mode;
  bool udp_encapsulation;
  std::atomic<const Endpoint*> published_peer{nullptr};  ///< owned; read through peer()
  uint16_t scope = 0;  ///< SaParameters::scope

  // Second line: written once for each group of packets.
  alignas(64) std::atomic<uint64_t> packets{0};
  std::atomic<uint64_t> bytes{0};  ///< of inner packets
  replay::Window window;

  // Third line: read for every packet.
  alignas(64) packet::Ipv4Networks networks;
  Lifetime lifetime;  ///< looked at once for each group of packets

  // Cold, but for selectors that are more than two networks.
  std::vector<packet::Selector> local_selectors, remote_selectors;
  OutboundSa* outbound = nullptr;  ///< of the pair, which lives as long; set by the Sad

 private:
  struct Refusals {
    std::atomic<uint64_t> count[packet::kVerdictCount] = {};
  };
  Refusals* make_refusals();

  std::atomic<Refusals*> refusals_{nullptr};  ///< owned
};
// Compilers may refuse offsetof in such a class. Ours do not.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Winvalid-offsetof"
static_assert(offsetof(InboundSa, packets) == 64, "what every packet reads is one cache line");
static_assert(offsetof(InboundSa, networks) == 128,
              "what every group writes is one cache line");
static_assert(offsetof(InboundSa, lifetime) + Lifetime::kHotBytes <= 192, "it needs three lines");
#pragma GCC diagnostic pop

}  // namespace esplane::sad
