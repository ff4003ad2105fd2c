// ESP inbound, tunnel mode: RFC 4303 §3.4, with AES-GCM (RFC 4106), the checks of RFC 4301 §5.2
// and ECN of RFC 6040 §4.2.
#pragma once

#include <cstdint>

#include "esp/jobs.h"
#include "esp/sa_groups.h"
#include "packet/batch.h"
#include "packet/ip.h"
#include "sad/sa.h"

namespace esplane::esp {

/// One batch on its way through ESP, in three phases, so that workers can share the work on one SA:
/// its queue's owner prepares batches and finishes them in order of arrival, any worker opens.
///
/// SAs may be mixed. Frames must stay where they are from prepare() to finish().
class Inbound {
 public:
  /// Takes up every pending packet of the batch whose inbound SA is set; others are left alone.
  /// Refuses what is too short and what the replay window has surely seen.
  ///
  /// Before: `data` at the outer IP header, checked by parse_ip; `length` up to the end of the ESP
  /// packet (Location::end). ESP in UDP and bare ESP are both accepted, whatever the SA itself
  /// sends (RFC 7296 §2.23).
  /// @param esp_offset  of every packet in question: from `data` to the SPI (locate.h)
  void prepare(packet::Batch& batch, const uint16_t esp_offset[packet::Batch::kCapacity]);
  /// Checks ICVs, decrypts, and looks at what was inside. Any worker; touches the frames only.
  void open();
  /// Advances the replay windows, exactly, and tells what became of the packets: `data` at the
  /// inner IP header and `length` the inner packet's, verdict still kPending; or a named verdict
  /// with `data` and `length` as they were, the bytes unusable. The outer headers stay in the frame
  /// in either case.
  /// @param batch  the same as before, or a copy of it
  /// @param inner  filled for the packets that stay pending: the inner packet's headers
  /// @param now_s  base::monotonic_s(), for the SAs' lifetimes
  void finish(packet::Batch& batch, packet::IpHeader inner[packet::Batch::kCapacity],
              uint32_t now_s);

 private:
  using Groups = SaGroups<sad::InboundSa>;

  packet::Verdict prepare_one(const packet::Batch& batch, uint32_t i, uint32_t esp_offset,
                              sad::InboundSa& sa);
  void advance_windows(packet::Verdict verdict[packet::Batch::kCapacity]);
  void hold_against_lifetimes(packet::Verdict verdict[packet::Batch::kCapacity], uint32_t now_s);

  Jobs jobs_;
  Groups groups_;
  uint64_t authentic_ = 0;  ///< a bit per job: its ICV held
  // By job, in order of arrival.
  uint8_t index_[packet::Batch::kCapacity];   ///< in the batch
  uint8_t group_[packet::Batch::kCapacity];
  uint64_t sequence_[packet::Batch::kCapacity];
  uint8_t* outer_[packet::Batch::kCapacity];  ///< the outer IP header
  packet::Verdict decapsulated_[packet::Batch::kCapacity];  ///< kPending: `inner_` is a good packet
  packet::IpHeader inner_[packet::Batch::kCapacity];
};

/// The three phases in a row. Without the time, no SA ends by it.
void inbound(packet::Batch& batch, const uint16_t esp_offset[packet::Batch::kCapacity],
             packet::IpHeader inner[packet::Batch::kCapacity], uint32_t now_s = 0);

}  // namespace esplane::esp
