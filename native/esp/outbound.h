// ESP and AH outbound: RFC 4303 §3.3 and RFC 4302 §3.3, in tunnel and in transport mode, with the
// outer header of RFC 4301 §5.1.2, ECN of RFC 6040 and UDP encapsulation (RFC 3948).
//
// The two protocols share the batch, so that packets of both may stand in one: sequence numbers,
// the call of the engine, counters. What differs is where headers go.
#pragma once

#include <cstdint>

#include "crypto/iv.h"
#include "esp/jobs.h"
#include "esp/sa_groups.h"
#include "packet/batch.h"
#include "packet/insertion.h"
#include "sad/sa.h"

namespace esplane::esp {

/// Bytes of a packet's own headers that transport mode leaves in front of ESP or AH.
/// @param ip  of which `bytes` may be read, checked by parse_ip
uint32_t transport_kept_bytes(const uint8_t* ip, uint32_t bytes);

/// Likewise in the mode of an SA: none in tunnel mode.
inline uint32_t kept_bytes(const sad::OutboundSa& sa, const uint8_t* ip, uint32_t bytes) {
  if (sa.mode == sad::Mode::kTunnel) [[likely]] return 0;
  return transport_kept_bytes(ip, bytes);
}

/// More than any SA adds to a packet, so that only those that come near the path's MTU are measured.
inline constexpr uint32_t kMostOverheadBytes = 128;

/// Length of the IP packet that `inner_bytes` of one become.
/// @param kept_bytes  transport mode: of headers that stay in front
uint32_t sealed_bytes(const sad::OutboundSa& sa, uint32_t inner_bytes,
                      uint32_t kept_bytes = packet::kIpv4HeaderBytes);

/// Longest inner packet that still fits: what an ICMP packet-too-big has to tell.
/// @param path_mtu_bytes  largest outer IP packet
/// @return 0 where none does
uint32_t largest_inner_bytes(const sad::OutboundSa& sa, uint32_t path_mtu_bytes,
                             uint32_t kept_bytes = packet::kIpv4HeaderBytes);

/// One batch on its way through IPsec, in three phases, so that workers can share the work on one
/// SA: its queue's owner prepares batches and finishes them in order of arrival, any worker seals.
///
/// SAs may be mixed. `batch` and its frames must stay where they are from prepare() to finish().
class Outbound {
 public:
  /// Takes up every pending packet of the batch whose outbound SA is set; others are left alone.
  /// Sequence numbers are reserved and all headers written.
  ///
  /// Before: `data` at the inner IP header, whose TTL is already decremented; `length` is the inner
  /// packet's own (no link padding). After: `data` at the outer IP header, `length` the outer
  /// packet's, verdict still kPending; or a verdict, with the packet as it was: kNoHeadroom,
  /// kLifetimeExpired, kSequenceExhausted; transport mode: kTransportFragment, kTransportAddress;
  /// AH in transport mode: kAhUnpredictable.
  /// @param now_s  base::monotonic_s(), for the SAs' lifetimes
  void prepare(packet::Batch& batch, uint32_t now_s);
  /// Encrypts and writes ICVs, and what covers them. Any worker; touches the frames only.
  void seal();
  /// Takes off the SAs' counters what was refused after all.
  void finish();
  /// Between prepare() and finish(): calls each(sa, near_end) for the SAs of what was taken up.
  /// `near_end`: its sequence numbers end soon. Not to be asked of the SA again: its line of the
  /// cache may be another worker's by then.
  template <typename Each>
  void each_sa(Each each) const {
    for (uint32_t g = 0; g < groups_.size(); g++) each(groups_.sa(g), (near_end_ >> g & 1) != 0);
  }

 private:
  using Groups = SaGroups<sad::OutboundSa>;

  void select(packet::Batch& batch);
  void refuse(packet::Batch& batch, uint32_t k, packet::Verdict verdict);
  void encapsulate(packet::Batch& batch, uint32_t k, const sad::OutboundSa& sa, uint64_t sequence);
  void esp_tunnel(packet::Batch& batch, uint32_t i, const sad::OutboundSa& sa, uint64_t sequence);
  void esp_transport(packet::Batch& batch, uint32_t i, const sad::OutboundSa& sa,
                     uint64_t sequence, packet::Insertion at);
  void ah_tunnel(packet::Batch& batch, uint32_t i, const sad::OutboundSa& sa, uint64_t sequence);
  void ah_transport(packet::Batch& batch, uint32_t i, const sad::OutboundSa& sa,
                    uint64_t sequence, packet::Insertion at);
  void add_ah(packet::Batch& batch, uint32_t i, const sad::OutboundSa& sa, uint64_t sequence,
              uint8_t* ah);
  void write_esp_header(uint8_t* esp, const sad::OutboundSa& sa, uint64_t sequence);
  void checksum_later(uint8_t* ip, uint8_t* udp);

  Jobs jobs_;
  crypto::IvBatch ivs_;
  Groups groups_;
  uint32_t selected_ = 0;
  // By packet with an SA and room in its frame, in order.
  uint8_t index_[packet::Batch::kCapacity];
  uint8_t group_[packet::Batch::kCapacity];
  packet::Insertion insertion_[packet::Batch::kCapacity];  ///< transport mode
  bool any_refused_ = false;  ///< after their numbers were counted; else nobody fills how many
  uint64_t near_end_ = 0;     ///< a bit by group
  // By group.
  uint64_t inner_bytes_[packet::Batch::kCapacity];
  sad::Lifetime::Group taken_[packet::Batch::kCapacity];  ///< counted, and the limits ahead
  uint64_t refused_bytes_[packet::Batch::kCapacity];
  uint32_t refused_[packet::Batch::kCapacity];            ///< of those that were counted
  /// Packets in UDP over IPv6.
  uint32_t checksums_ = 0;
  uint8_t* checksum_ip_[packet::Batch::kCapacity];
  uint8_t* checksum_udp_[packet::Batch::kCapacity];
};

/// The three phases in a row. Without the time, no SA ends by it.
void outbound(packet::Batch& batch, uint32_t now_s = 0);

}  // namespace esplane::esp
