// Outbound processing (RFC 4301 §5.1).
//
//  0. fragments whose unseen ports would decide are put together (RFC 4301 §7.3; fragments.cc)
//  1. policy: the SPD says DISCARD, BYPASS (the kernel forwards it) or PROTECT with an SA
//  2. the path: next hop of the SA's peer; what has none yet waits, in clear
//  3. size against the path MTU (RFC 4301 §8.2) and TTL: what does not fit is fragmented, before
//     ESP or behind it, or its sender gets an ICMP error
//  4. L4 checksum that a local stack left to the hardware; TTL
//  5. ESP, one call for the burst: sequence numbers and headers here, encryption by any worker
//  6. out of the path's port
#include <algorithm>
#include <cstring>
#include <utility>

#include "packet/checksum.h"
#include "packet/tcp_mss.h"
#include "pipeline/stages.h"
#include "sad/prefetch.h"

namespace esplane::pipeline {

using net::NextHop;
using packet::Batch;
using packet::Verdict;

namespace {

constexpr uint32_t kLeastIpv6Mtu = 1280;  // RFC 8200 §5

/// Whether its packets are forwarded, which costs them one of their TTL.
bool ages(const Burst& burst) { return burst.origin != Origin::kOurs && !burst.from.from_host; }

}  // namespace

void Stages::refuse_unforwardable(Burst& burst) {
  for (uint32_t i = 0; i < burst.batch.size; i++) {
    if (burst.pending(i) && !is_forwardable(burst.headers[i].destination))
      burst.refuse(i, Verdict::kNotForwardable);
  }
}

/// What the host says of itself on a link, which is no traffic of anyone: IGMP, and of ICMPv6 what
/// goes to neighbours. Routing protocols speak to groups too: in a tunnel of its own those pass.
void Stages::consume_chatter(Burst& burst) {
  for (uint32_t i = 0; i < burst.batch.size; i++) {
    const auto& header = burst.headers[i];
    const bool to_neighbours = header.protocol == packet::kIcmpV6 &&
                               header.destination.bytes[0] == 0xff &&
                               (header.destination.bytes[1] & 0x0f) == 2;
    if (burst.pending(i) && (header.protocol == packet::kIgmp || to_neighbours))
      burst.refuse(i, Verdict::kLinkChatter);
  }
  if (burst.from.scope == spd::kHostScope) refuse_unforwardable(burst);
}

void Stages::begin_gathered(Burst& burst) {
  if (!burst.any_fragment) return begin_outbound(burst);
  burst.work = Burst::Work::kGather;
}

void Stages::outbound(Burst& burst) {
  if (burst.any_fragment) return gather(burst);
  outbound_whole(burst);
}

/// All at once, of packets that policy can decide about as they are.
void Stages::outbound_whole(Burst& burst) {
  begin_outbound(burst);
  if (burst.work == Burst::Work::kCut) return seal_in_pieces(burst);
  burst.sealing.seal();
  finish_outbound(burst);
}

void Stages::begin_outbound(Burst& burst) {
  apply_policy(burst);
  sad::prefetch_outbound(core_.shared.sad, burst.batch);
  find_paths(burst);
  burst.work = burst.cut == 0 ? Burst::Work::kSeal : Burst::Work::kCut;
  if (burst.cut == 0) prepare_seal(burst);
}

void Stages::prepare_seal(Burst& burst) {
  for (uint32_t i = 0; i < burst.batch.size; i++) {
    if (!burst.pending(i)) continue;
    packet::complete_checksum(burst.batch.data[i], burst.headers[i]);
    if (packet::is_tcp_syn(burst.batch.data[i], burst.headers[i])) [[unlikely]]
      clamp_mss(burst.batch.data[i], burst.headers[i], *burst.batch.outbound[i], burst.path[i].mtu_bytes);
    if (ages(burst)) packet::decrement_ttl(burst.batch.data[i], burst.headers[i].family);
    if (burst.batch.outbound[i]->pad_to_bytes != 0) [[unlikely]] pad(burst, i);
  }
  burst.sealing.prepare(burst.batch, core_.now_s);
  burst.sealing.each_sa([this](sad::OutboundSa& sa, bool near_end) {
    if (near_end) [[unlikely]] raise_near_end(sa.inbound_spi);
    if (sa.lifetime.has_news()) [[unlikely]] raise_expiry(sa.lifetime, sa.inbound_spi, false);
  });
}

void Stages::finish_outbound(Burst& burst) {
  burst.sealing.finish();
  send_sealed(burst);
  core_.finish(burst);
}

/// Where in the cache the flows are: all are asked for before the first is needed.
/// @return bits: packets whose flow is not that of the one before
uint64_t Stages::find_flows(const Burst& burst, uint32_t set[Batch::kCapacity]) const {
  uint64_t fresh = 0;
  packet::IpHeader::Flow flow{};
  for (uint32_t i = 0; i < burst.batch.size; i++) {
    if (!burst.pending(i)) continue;
    const auto own = burst.headers[i].flow();
    if (own == flow) continue;
    flow = own;
    set[i] = core_.flows.set_of(burst.headers[i], burst.from.scope);
    fresh |= uint64_t{1} << i;
  }
  return fresh;
}

void Stages::apply_policy(Burst& burst) {
  const uint64_t generation = core_.shared.spd.generation();
  const spd::Policy* wanting = nullptr;
  uint32_t set[Batch::kCapacity];  // of packets whose flow is not that of the one before
  const uint64_t fresh = find_flows(burst, set);
  spd::OutboundLookup found;
  for (uint32_t i = 0; i < burst.batch.size; i++) {
    burst.batch.outbound[i] = nullptr;
    if (!burst.pending(i)) continue;
    if (fresh >> i & 1) {
      found = core_.flows.lookup(core_.shared.spd, generation, burst.headers[i], burst.from.scope,
                                 set[i]);
    }
    if (found.verdict != Verdict::kPending) {
      if (found.verdict == Verdict::kNoSa) raise_acquire(*found.policy, spd::kAnyResource);
      burst.refuse(i, found.verdict);
    } else if (found.action == spd::Action::kProtect) {
      burst.batch.outbound[i] = found.sa;
      if (!found.wants_own || found.policy == wanting) continue;
      wanting = found.policy;
      raise_acquire(*wanting, core_.lane);
    } else if (burst.from.from_host) {
      burst.refuse(i, Verdict::kHostBypass);
    } else {
      hand_to_kernel(burst, i);
    }
  }
}

/// Steps 2 and 3. What the SA and its path say is asked once for packets that follow each other.
void Stages::find_paths(Burst& burst) {
  burst.cut = 0;
  sad::OutboundSa* sa = nullptr;
  const sad::OuterHeader* outer = nullptr;
  net::NextHopCache::Entry* entry = nullptr;
  uint32_t mtu_bytes = 0;
  for (uint32_t i = 0; i < burst.batch.size; i++) {
    if (!burst.pending(i)) continue;
    if (burst.batch.outbound[i] != sa) {
      sa = burst.batch.outbound[i];
      const auto* before = std::exchange(outer, &sa->outer());
      if (before == nullptr || !outer->has_destination_of(*before))
        entry = core_.next_hop(outer->destination());
      mtu_bytes = path_mtu_bytes(*sa, entry);
    }
    if (entry == nullptr || !entry->answered) {
      core_.hold(burst, i, entry, Resume::kOutbound);
    } else if (entry->hop.kind == NextHop::Kind::kForward) {
      burst.path[i] = entry->hop;
      burst.path[i].mtu_bytes = mtu_bytes;
      if (burst.headers[i].ttl <= 1 && ages(burst)) [[unlikely]] {
        time_exceeded(burst, i);
      } else if (burst.batch.length[i] + esp::kMostOverheadBytes > mtu_bytes) {
        check_size(burst, i);
      }
    } else {
      const bool silent = entry->hop.kind == NextHop::Kind::kUnresolved;
      burst.refuse(i, silent ? Verdict::kNeighbourUnresolved : Verdict::kNoRoute);
    }
  }
}

/// What the path of an SA carries, as far as its next hop is known.
uint32_t Stages::path_mtu_bytes(sad::OutboundSa& sa, const net::NextHopCache::Entry* entry) const {
  if (entry == nullptr || !entry->answered || entry->hop.kind != NextHop::Kind::kForward) return 0;
  const uint32_t bytes = sa.path_mtu.least(entry->hop.mtu_bytes, core_.now_ms);
  if (sa.see_path_mtu(bytes) && sa.scope != spd::kHostScope)
    core_.shared.events.push({.kind = Event::Kind::kPathMtu, .spi = sa.inbound_spi});
  return bytes;
}

void Stages::time_exceeded(Burst& burst, uint32_t i) {
  core_.refuse_with_error(burst, i, Verdict::kTtlExceeded,
                          {.kind = net::IcmpError::Kind::kTimeExceeded}, burst.from.port,
                          Resume::kDeliver);
}

/// Of a packet that might not fit.
void Stages::check_size(Burst& burst, uint32_t i) {
  const auto& sa = *burst.batch.outbound[i];
  const uint32_t bytes = burst.batch.length[i];
  const uint32_t kept = esp::kept_bytes(sa, burst.batch.data[i], bytes);
  if (esp::sealed_bytes(sa, bytes, kept) > burst.path[i].mtu_bytes) too_big(burst, i, sa);
}

/// The longest packet that would fit in the place of packet i.
uint32_t Stages::largest_inner_bytes(const Burst& burst, uint32_t i) {
  const auto& sa = *burst.batch.outbound[i];
  const uint32_t kept = esp::kept_bytes(sa, burst.batch.data[i], burst.batch.length[i]);
  return esp::largest_inner_bytes(sa, burst.path[i].mtu_bytes, kept);
}

/// What becomes of a packet that does not fit its path behind ESP (RFC 4301 §7, §8.1 and §8.2.1):
/// it is marked to be cut before; or left as it is, so that send_sealed() cuts what ESP makes of it;
/// or refused. DF of its own forbids the former, that of the SA's policy the latter.
void Stages::too_big(Burst& burst, uint32_t i, const sad::OutboundSa& sa) {
  const auto& header = burst.headers[i];
  const bool is_v4 = header.family == packet::Family::kV4;
  const bool reassembled = (burst.reassembled >> i & 1) != 0;
  const bool tunnel = sa.mode == sad::Mode::kTunnel;
  // What this host sends in fragments it sends in fragments of ESP where that is in transport mode.
  const bool keep_whole = reassembled ? !is_v4 && tunnel : !is_v4 || header.dont_fragment;
  const bool keep_sealed_whole = tunnel ? sa.outer().dont_fragment(keep_whole) : keep_whole;
  const uint32_t most = largest_inner_bytes(burst, i);
  const uint64_t bit = uint64_t{1} << i;
  // An SA with ports must not carry the later fragments of a cut packet (RFC 4301 §7.3), one in
  // transport mode no fragments at all (RFC 4303 §3.1.1).
  if (!keep_whole && tunnel && !sa.ports_matter && (!sa.fragment_after || keep_sealed_whole) &&
      most >= header.header_bytes + 8u) {
    burst.cut |= bit;
  } else if (!keep_sealed_whole) {
    // Behind ESP.
  } else if (!is_v4 && burst.batch.length[i] <= kLeastIpv6Mtu) {
    // Every path carries that much of IPv6; a tunnel has to see to it itself (RFC 2473 §7.1).
  } else if (!is_v4 && reassembled) {
    // Its source cut it, and may no router: as it came in fragments it leaves in fragments.
    const bool plain = header.header_bytes == packet::kIpv6HeaderBytes;
    if (sa.ports_matter || !plain) return burst.refuse(i, Verdict::kFragmentOpaque);
    burst.cut |= bit;
  } else {
    const uint32_t told = is_v4 ? most : std::max(most, kLeastIpv6Mtu);
    core_.refuse_with_error(burst, i, Verdict::kTooBig,
                            {.kind = net::IcmpError::Kind::kTooBig, .mtu_bytes = told},
                            burst.from.port, Resume::kDeliver);
  }
}

/// A SYN of either direction: neither end is to send what does not fit the pair's path. Over IPv6
/// too that may be less than 1280 bytes: segments that short fit, where packets of 1280 are cut.
/// @param mtu_bytes  of the path
void Stages::clamp_mss(uint8_t* ip, const packet::IpHeader& header, const sad::OutboundSa& sa,
                       uint32_t mtu_bytes) {
  if (!sa.clamps_mss) return;
  const uint32_t kept = esp::kept_bytes(sa, ip, header.total_bytes);
  const uint32_t most = esp::largest_inner_bytes(sa, mtu_bytes, kept);
  if (packet::clamp_mss(ip, header, most)) core_.counters->mss_clamped.add(1);
}

void Stages::send_sealed(Burst& burst) {
  for (uint32_t i = 0; i < burst.batch.size; i++) {
    if (!burst.pending(i)) continue;
    uint8_t* data = burst.batch.data[i];
    if (burst.batch.length[i] > burst.path[i].mtu_bytes || core_.large.owns(data)) {
      send_sealed_in_pieces(burst, i);
    } else {
      core_.egress.forward(data, burst.batch.length[i], burst.path[i], Egress::Content::kEsp,
                           burst.origin);
      burst.gone(i);
    }
  }
}

void Stages::raise_near_end(uint32_t inbound_spi) {
  if (core_.near_end_limit.pass(inbound_spi, core_.now_ms))
    core_.shared.events.push({.kind = Event::Kind::kSequenceNearEnd, .spi = inbound_spi});
}

/// A limit that was reached is told once (RFC 4301 §4.4.2.1).
void Stages::raise_expiry(sad::Lifetime& lifetime, uint32_t inbound_spi, bool inbound) {
  for (const bool hard : {false, true}) {
    const auto cause = lifetime.take_news(hard);
    if (!cause) continue;
    core_.shared.events.push({.kind = Event::Kind::kExpire,
                              .spi = inbound_spi,
                              .inbound = inbound,
                              .hard = hard,
                              .cause = *cause});
  }
}

void Stages::raise_expiries() {
  core_.shared.sad.each_expired(core_.now_s, [this](sad::InboundSa& in, sad::OutboundSa& out) {
    in.lifetime.ends_at(core_.now_s);
    out.lifetime.ends_at(core_.now_s);
    raise_expiry(in.lifetime, in.spi, true);
    raise_expiry(out.lifetime, in.spi, false);
  });
}

/// @param resource  who wants an SA of its own (RFC 9611); kAnyResource: there is none at all
void Stages::raise_acquire(const spd::Policy& policy, spd::Resource resource) {
  auto& limit = resource == spd::kAnyResource ? core_.acquire_limit : core_.own_sa_limit;
  if (!limit.pass(reinterpret_cast<uintptr_t>(&policy), core_.now_ms)) return;
  Event event{.kind = Event::Kind::kAcquire, .resource = resource};
  std::strncpy(event.policy, policy.name().c_str(), sizeof event.policy - 1);
  core_.shared.events.push(event);
}

}  // namespace esplane::pipeline
