// ESP outbound, tunnel mode: RFC 4303 §3.3, with AES-GCM (RFC 4106), the outer header of RFC 4301
// §5.1.2, ECN of RFC 6040 and UDP encapsulation (RFC 3948).
#pragma once

#include <cstdint>

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

/// Encapsulates and seals, in place, every pending packet of the batch whose outbound SA is set;
/// others are left alone. SAs may be mixed. Any worker, any SA.
///
/// Before: `data` at the inner IP header, whose TTL is already decremented; `length` is the inner
/// packet's own (no link padding). After: `data` at the outer IP header, `length` the outer
/// packet's, verdict still kPending; or kNoHeadroom or kSequenceExhausted, with the packet as it
/// was.
void outbound(packet::Batch& batch);

}  // namespace esplane::esp
