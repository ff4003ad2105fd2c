// Clear text to its next hop: inner packets that ESP let in, ICMP errors of our own, and all
// packets where the transform is switched off.
//
// Towards a LAN port a packet is forwarded here. Towards anywhere else it is about to leave the
// protected side, so outbound policy decides (a hub between two tunnels encrypts it again); what
// policy lets BYPASS, and what is for the host itself, is the kernel's.
#include <algorithm>

#include "packet/checksum.h"
#include "pipeline/stages.h"

namespace esplane::pipeline {

using net::NextHop;
using packet::Batch;
using packet::Verdict;

void Stages::deliver(Burst& burst) {
  // What an earlier part of a burst with fragments has turned around goes first.
  if (turned_any()) finish_turned();
  turned_.restart(burst, core_.shared.chunk_bytes);
  for (uint32_t i = 0; i < burst.batch.size; i++) {
    if (!burst.pending(i) || deliver_one(burst, i)) continue;
    turned_.append(burst.batch.data[i], burst.batch.length[i], burst.headers[i]);
    burst.gone(i);
  }
  core_.finish(burst);
}

/// @return false if the packet would leave the protected side
bool Stages::deliver_one(Burst& burst, uint32_t i) {
  const auto& destination = burst.headers[i].destination;
  if (!is_forwardable(destination)) {
    burst.refuse(i, Verdict::kNotForwardable);
    return true;
  }
  auto* entry = core_.next_hop(destination);
  if (entry == nullptr || !entry->answered) {
    core_.hold(burst, i, entry, Resume::kDeliver);
    return true;
  }
  const bool plain = core_.shared.plain_forwarding;
  switch (entry->hop.kind) {
    case NextHop::Kind::kForward:
      if (!plain && core_.shared.roles[entry->hop.port] != port::Role::kLan) return false;
      forward_clear(burst, i, entry->hop);
      return true;
    case NextHop::Kind::kElsewhere:
      if (!plain) return false;
      [[fallthrough]];
    case NextHop::Kind::kLocal:
      hand_to_kernel(burst, i);
      return true;
    case NextHop::Kind::kUnresolved:
      burst.refuse(i, Verdict::kNeighbourUnresolved);
      return true;
    case NextHop::Kind::kNoRoute:
      burst.refuse(i, Verdict::kNoRoute);
  }
  return true;
}

void Stages::forward_clear(Burst& burst, uint32_t i, const NextHop& hop) {
  const auto& header = burst.headers[i];
  const bool ours = burst.origin == Origin::kOurs;
  const uint32_t bytes = burst.batch.length[i];
  if (bytes > hop.mtu_bytes || (header.ttl <= 1 && !ours)) [[unlikely]]
    return forward_with_care(burst, i, hop);
  uint8_t* data = burst.batch.data[i];
  if (!ours) packet::decrement_ttl(data, header.family);
  if (core_.shared.plain_forwarding) packet::complete_checksum(data, header);
  core_.egress.forward(data, bytes, hop, Egress::Content::kClear, burst.origin);
  burst.gone(i);
}

/// A packet whose time is up, or that does not fit.
void Stages::forward_with_care(Burst& burst, uint32_t i, const NextHop& hop) {
  const auto& header = burst.headers[i];
  if (burst.origin != Origin::kOurs && header.ttl <= 1) {
    return answer_with_error(burst, i, Verdict::kTtlExceeded,
                             {.kind = net::IcmpError::Kind::kTimeExceeded}, hop);
  }
  if (!may_be_cut(header)) {
    return answer_with_error(burst, i, Verdict::kTooBig,
                             {.kind = net::IcmpError::Kind::kTooBig, .mtu_bytes = hop.mtu_bytes},
                             hop);
  }
  uint8_t* data = burst.batch.data[i];
  if (burst.origin != Origin::kOurs) packet::decrement_ttl(data, header.family);
  if (core_.shared.plain_forwarding) packet::complete_checksum(data, header);
  cut(burst, i, std::min(hop.mtu_bytes, most_in_frame()), [&](uint8_t* piece, uint32_t bytes) {
    core_.egress.forward(piece, bytes, hop, Egress::Content::kClear, Origin::kPiece);
  });
}

/// Errors about a decrypted packet go back through policy, into the tunnel that it came from, and
/// come from our address on the protected side, which its selectors cover.
void Stages::answer_with_error(Burst& burst, uint32_t i, Verdict verdict, net::IcmpError error,
                               const NextHop& hop) {
  const bool plain = core_.shared.plain_forwarding;
  core_.refuse_with_error(burst, i, verdict, error, plain ? burst.from.port : hop.port,
                          plain ? Resume::kDeliver : Resume::kOutbound);
}

}  // namespace esplane::pipeline
