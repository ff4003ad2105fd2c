// Outbound processing (RFC 4301 §5.1).
//
//  1. policy: the SPD says DISCARD, BYPASS (the kernel forwards it) or PROTECT with an SA
//  2. the path: next hop of the SA's peer; what has none yet waits, in clear
//  3. size against the path MTU (RFC 4301 §8.2) and TTL, with ICMP errors to the sender
//  4. L4 checksum that a local stack left to the hardware; TTL
//  5. ESP, one call for the burst: sequence numbers and headers here, encryption by any worker
//  6. out of the path's port
#include <cstring>

#include "packet/checksum.h"
#include "pipeline/stages.h"

namespace esplane::pipeline {

using net::NextHop;
using packet::Batch;
using packet::Verdict;

namespace {

net::IpAddress peer_of(const sad::OutboundSa& sa) {
  return sa.outer_ip_bytes == packet::kIpv4HeaderBytes
             ? net::IpAddress::v4(sa.outer + packet::kIpv4Destination)
             : net::IpAddress::v6(sa.outer + packet::kIpv6Destination);
}

}  // namespace

void Stages::refuse_unforwardable(Burst& burst) {
  for (uint32_t i = 0; i < burst.batch.size; i++) {
    if (burst.pending(i) && !is_forwardable(burst.headers[i].destination))
      burst.refuse(i, Verdict::kNotForwardable);
  }
}

void Stages::outbound(Burst& burst) {
  begin_outbound(burst);
  burst.sealing.seal();
  finish_outbound(burst);
}

void Stages::begin_outbound(Burst& burst) {
  burst.work = Burst::Work::kSeal;
  apply_policy(burst);
  find_paths(burst);
  check_size_and_ttl(burst);
  for (uint32_t i = 0; i < burst.batch.size; i++) {
    if (!burst.pending(i)) continue;
    packet::complete_checksum(burst.batch.data[i], burst.headers[i]);
    if (burst.origin != Origin::kOurs)
      packet::decrement_ttl(burst.batch.data[i], burst.headers[i].family);
  }
  burst.sealing.prepare(burst.batch);
}

void Stages::finish_outbound(Burst& burst) {
  burst.sealing.finish();
  send_sealed(burst);
  core_.finish(burst);
}

void Stages::apply_policy(Burst& burst) {
  const uint64_t generation = core_.shared.spd.generation();
  for (uint32_t i = 0; i < burst.batch.size; i++) {
    burst.batch.outbound[i] = nullptr;
    if (!burst.pending(i)) continue;
    const auto found = core_.flows.lookup(core_.shared.spd, generation, burst.headers[i]);
    if (found.verdict != Verdict::kPending) {
      if (found.verdict == Verdict::kNoSa) raise_acquire(*found.policy);
      burst.refuse(i, found.verdict);
    } else if (found.action == spd::Action::kProtect) {
      burst.batch.outbound[i] = found.sa;
    } else {
      hand_to_kernel(burst, i);
    }
  }
}

void Stages::find_paths(Burst& burst) {
  const sad::OutboundSa* last = nullptr;
  net::IpAddress peer;
  for (uint32_t i = 0; i < burst.batch.size; i++) {
    if (!burst.pending(i)) continue;
    const auto* sa = burst.batch.outbound[i];
    if (sa != last) peer = peer_of(*sa);
    last = sa;
    auto* entry = core_.next_hop(peer);
    if (entry == nullptr || !entry->answered) {
      core_.hold(burst, i, entry, Resume::kOutbound);
    } else if (entry->hop.kind == NextHop::Kind::kForward) {
      burst.path[i] = entry->hop;
    } else {
      const bool silent = entry->hop.kind == NextHop::Kind::kUnresolved;
      burst.refuse(i, silent ? Verdict::kNeighbourUnresolved : Verdict::kNoRoute);
    }
  }
}

void Stages::check_size_and_ttl(Burst& burst) {
  for (uint32_t i = 0; i < burst.batch.size; i++) {
    if (!burst.pending(i)) continue;
    const auto& header = burst.headers[i];
    const auto& sa = *burst.batch.outbound[i];
    if (header.ttl <= 1 && burst.origin != Origin::kOurs) {
      core_.refuse_with_error(burst, i, Verdict::kTtlExceeded,
                              {.kind = net::IcmpError::Kind::kTimeExceeded}, burst.port,
                              Resume::kDeliver);
      continue;
    }
    const uint32_t outer = esp::sealed_bytes(sa, burst.batch.length[i]);
    // An IPv4 packet without DF may become an outer one that routers fragment; what the port
    // itself cannot send is refused for every packet (fragmenting is not there yet).
    const bool may_fragment = header.family == packet::Family::kV4 && !header.dont_fragment;
    const auto& path = burst.path[i];
    const uint32_t most = may_fragment ? path.port_mtu_bytes : path.mtu_bytes;
    if (outer <= most) continue;
    core_.refuse_with_error(burst, i, Verdict::kTooBig,
                            {.kind = net::IcmpError::Kind::kTooBig,
                             .mtu_bytes = esp::largest_inner_bytes(sa, path.mtu_bytes)},
                            burst.port, Resume::kDeliver);
  }
}

void Stages::send_sealed(Burst& burst) {
  const sad::OutboundSa* last = nullptr;
  for (uint32_t i = 0; i < burst.batch.size; i++) {
    if (!burst.pending(i)) continue;
    const auto* sa = burst.batch.outbound[i];
    core_.egress.forward(burst.batch.data[i], burst.batch.length[i], burst.path[i],
                         Egress::Content::kEsp, burst.origin);
    burst.gone(i);
    if (sa == last) continue;
    last = sa;
    if (last->near_end() && core_.near_end_limit.pass(last->inbound_spi, core_.now_ms))
      core_.shared.events.push({.kind = Event::Kind::kSequenceNearEnd, .spi = last->inbound_spi});
  }
}

void Stages::raise_acquire(const spd::Policy& policy) {
  if (!core_.acquire_limit.pass(reinterpret_cast<uintptr_t>(&policy), core_.now_ms)) return;
  Event event{.kind = Event::Kind::kAcquire};
  std::strncpy(event.policy, policy.name().c_str(), sizeof event.policy - 1);
  core_.shared.events.push(event);
}

}  // namespace esplane::pipeline
