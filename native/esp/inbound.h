// ESP and AH inbound: RFC 4303 §3.4 and RFC 4302 §3.4, in tunnel and in transport mode, with the
// checks of RFC 4301 §5.2, ECN of RFC 6040 §4.2 and the checksums of RFC 3948 §3.1.2.
#pragma once

#include <cstdint>

#include "esp/jobs.h"
#include "esp/sa_groups.h"
#include "packet/batch.h"
#include "packet/ip.h"
#include "sad/sa.h"

namespace esplane::esp {

/// One batch on its way through IPsec, in two phases, so that workers can share the work on one SA:
/// any worker opens batches, their queue's owner finishes them in order of arrival.
///
/// SAs may be mixed, and so may ESP and AH. Frames must stay where they are from open() to finish().
class Inbound {
 public:
  Inbound() {}

  /// Takes up every pending packet of the batch whose inbound SA is set, which is one of the
  /// packet's protocol (find_sa of locate.h); others are left alone. Refuses what is too short and
  /// what the replay window has surely seen; checks the ICVs of the others, decrypts them, and looks
  /// at what was inside.
  ///
  /// Before: `data` at the outer IP header, checked by parse_ip; `length` up to the end of the ESP
  /// or AH packet (Location::end). ESP in UDP and bare ESP are both accepted, whatever the SA itself
  /// sends (RFC 7296 §2.23).
  /// @param offset  of every packet in question: from `data` to the ESP or AH header (locate.h)
  void open(packet::Batch& batch, const uint16_t offset[packet::Batch::kCapacity]);
  /// Advances the replay windows, exactly, and tells what became of the packets: `data` at the
  /// inner IP header and `length` the inner packet's, verdict still kPending; or a named verdict
  /// with `data` and `length` as they were, the bytes unusable. In tunnel mode the outer headers
  /// stay in the frame in either case; in transport mode they have moved to the payload.
  /// @param batch  the same as before, or a copy of it
  /// @param now_s  base::monotonic_s(), for the SAs' lifetimes
  void finish(packet::Batch& batch, uint32_t now_s);
  /// After finish(): the headers of inner packet i, which stayed pending.
  const packet::IpHeader& inner(uint32_t i) const { return inner_[i]; }
  /// After open(): the sequence number of packet i of the batch, which was taken up; 0 where it was
  /// refused at once.
  uint64_t sequence(uint32_t i) const;
  /// After finish(): how many of the packets that stay pending had ECN fields, outside and inside,
  /// that no router on the way makes of what a sender sends (RFC 6040 §4.2, figure 4).
  uint32_t odd_ecn() const { return odd_ecn_count_; }

 private:
  using Groups = SaGroups<sad::InboundSa>;

  struct Opening;

  packet::Verdict prepare(Opening& opening, const packet::Batch& batch, uint32_t i, uint32_t offset,
                          sad::InboundSa& sa);
  packet::Verdict prepare_esp(Opening& opening, const packet::Batch& batch, uint32_t i,
                              uint32_t offset, sad::InboundSa& sa);
  packet::Verdict prepare_ah(Opening& opening, const packet::Batch& batch, uint32_t i,
                             uint32_t offset, sad::InboundSa& sa);
  uint32_t join(Opening& opening, const packet::Batch& batch, uint32_t i, uint32_t offset,
                sad::InboundSa& sa, uint64_t sequence);
  packet::Verdict decapsulate(Opening& opening, uint32_t j);
  packet::Verdict decapsulate_tunnel(const Opening& opening, uint32_t j, uint8_t next_header,
                                     const sad::InboundSa& sa);
  packet::Verdict decapsulate_transport(Opening& opening, uint32_t j, uint8_t next_header,
                                        const sad::InboundSa& sa);
  bool is_authentic(uint32_t j) const { return (authentic_ >> j & 1) != 0; }
  packet::IpHeader& inner_of(uint32_t j) { return inner_[index_[j]]; }
  uint32_t end_of_run(uint32_t first) const;
  void take(uint32_t first, uint32_t end, packet::Verdict verdict[packet::Batch::kCapacity],
            uint32_t now_s);
  void count(uint32_t first, uint32_t end, packet::Verdict verdict[packet::Batch::kCapacity],
             uint32_t now_s);
  void hold_against_limits(sad::Lifetime::Group taken, uint32_t first, uint32_t end,
                           packet::Verdict verdict[packet::Batch::kCapacity]);

  Groups groups_;
  uint32_t jobs_ = 0;
  uint64_t authentic_ = 0;  ///< a bit per job: its ICV held
  uint64_t odd_ecn_ = 0;    ///< likewise: ECN fields that do not belong together
  uint32_t odd_ecn_count_ = 0;
  // By job, in order of arrival.
  uint8_t index_[packet::Batch::kCapacity];   ///< in the batch
  uint8_t group_[packet::Batch::kCapacity];
  uint64_t sequence_[packet::Batch::kCapacity];
  uint8_t* payload_[packet::Batch::kCapacity];  ///< in the end: the packet that was inside
  packet::Verdict decapsulated_[packet::Batch::kCapacity];  ///< kPending: a good packet was inside
  /// By packet of the batch. Not initialised before it is filled: 64 headers are more to clear than
  /// a batch is to check.
  union {
    packet::IpHeader inner_[packet::Batch::kCapacity];
  };
};

/// Both phases in a row. Without the time, no SA ends by it.
void inbound(packet::Batch& batch, const uint16_t offset[packet::Batch::kCapacity],
             packet::IpHeader inner[packet::Batch::kCapacity], uint32_t now_s = 0);

}  // namespace esplane::esp
