// ESP outbound, tunnel mode: RFC 4303 §3.3, with AEADs (RFC 4106), the outer header of RFC 4301
// §5.1.2, ECN of RFC 6040 and UDP encapsulation (RFC 3948).
#pragma once

#include <cstdint>

#include "esp/jobs.h"
#include "esp/sa_groups.h"
#include "packet/batch.h"
#include "sad/sa.h"

namespace esplane::esp {

/// Length of the outer IP packet that an inner packet becomes.
/// @param inner_bytes  length of the inner IP packet
uint32_t sealed_bytes(const sad::OutboundSa& sa, uint32_t inner_bytes);

/// Longest inner packet that still fits: what an ICMP packet-too-big has to tell.
/// @param path_mtu_bytes  largest outer IP packet
/// @return 0 where none does
uint32_t largest_inner_bytes(const sad::OutboundSa& sa, uint32_t path_mtu_bytes);

/// One batch on its way through ESP, in three phases, so that workers can share the work on one SA:
/// its queue's owner prepares batches and finishes them in order of arrival, any worker seals.
///
/// SAs may be mixed. `batch` and its frames must stay where they are from prepare() to finish().
class Outbound {
 public:
  /// Takes up every pending packet of the batch whose outbound SA is set; others are left alone.
  /// Sequence numbers are reserved and all headers written.
  ///
  /// Before: `data` at the inner IP header, whose TTL is already decremented; `length` is the inner
  /// packet's own (no link padding). After: `data` at the outer IP header, `length` the outer
  /// packet's, verdict still kPending; or kNoHeadroom, kLifetimeExpired or kSequenceExhausted, with
  /// the packet as it was.
  /// @param now_s  base::monotonic_s(), for the SAs' lifetimes
  void prepare(packet::Batch& batch, uint32_t now_s);
  /// Encrypts and writes ICVs, and what covers them. Any worker; touches the frames only.
  void seal();
  /// Takes off the SAs' counters what was refused after all.
  void finish();

 private:
  using Groups = SaGroups<sad::OutboundSa>;

  void select(packet::Batch& batch);
  void refuse(packet::Batch& batch, uint32_t k, packet::Verdict verdict);

  Jobs jobs_;
  Groups groups_;
  uint32_t selected_ = 0;
  uint8_t index_[packet::Batch::kCapacity];    ///< packets with an SA and room in their frame
  uint8_t group_[packet::Batch::kCapacity];    ///< of each of those
  // By group.
  uint64_t inner_bytes_[packet::Batch::kCapacity];
  sad::Lifetime::Group taken_[packet::Batch::kCapacity];  ///< counted, and the limits ahead
  uint64_t refused_bytes_[packet::Batch::kCapacity];
  uint32_t refused_[packet::Batch::kCapacity];            ///< of those that were counted
  uint32_t checksums_ = 0;
  uint8_t* checksum_of_[packet::Batch::kCapacity];  ///< outer IPv6 packets in UDP
};

/// The three phases in a row. Without the time, no SA ends by it.
void outbound(packet::Batch& batch, uint32_t now_s = 0);

}  // namespace esplane::esp
