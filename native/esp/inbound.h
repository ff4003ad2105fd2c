// ESP inbound, tunnel mode: RFC 4303 §3.4, with AES-GCM (RFC 4106), the checks of RFC 4301 §5.2
// and ECN of RFC 6040 §4.2.
#pragma once

#include <cstdint>

#include "packet/batch.h"
#include "packet/ip.h"
#include "sad/sa.h"

namespace esplane::esp {

/// Opens and decapsulates, in place, every pending packet of the batch whose inbound SA is set;
/// others are left alone. SAs may be mixed. Any worker, any SA.
///
/// Before: `data` at the outer IP header, checked by parse_ip; `length` up to the end of the
/// ESP packet (Location::end). After: `data` at the inner IP header and `length` the inner packet's, verdict
/// still kPending; or a named verdict with `data` and `length` as they were, the bytes unusable.
/// The outer headers stay in the frame in either case. ESP in UDP and bare ESP are both accepted,
/// whatever the SA itself sends (RFC 7296 §2.23).
/// @param esp_offset  of every packet in question: from `data` to the SPI (locate.h)
/// @param inner       filled for the packets that stay pending: the inner packet's headers
void inbound(packet::Batch& batch, const uint16_t esp_offset[packet::Batch::kCapacity],
             packet::IpHeader inner[packet::Batch::kCapacity]);

}  // namespace esplane::esp
