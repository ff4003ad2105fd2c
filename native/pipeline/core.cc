#include "pipeline/core.h"

#include <sys/random.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/bytes.h"

namespace esplane::pipeline {
namespace {

using packet::Verdict;

uint64_t random_seed() {
  uint64_t seed = 0x9e3779b97f4a7c15u;
  [[maybe_unused]] const ssize_t got = getrandom(&seed, sizeof seed, 0);
  return seed;
}

constexpr uint16_t kVlanType = 0x8100;
constexpr uint32_t kVlanTagBytes = 4;
constexpr uint32_t kIcmpHeadroom = packet::kIpv6HeaderBytes + 8;
constexpr uint32_t kMostQuoted = 1280;  ///< more than any ICMP error holds

}  // namespace

Core::Core(const Shared& shared_with, Counters& counted_in, port::FramePool& pool,
           std::unique_ptr<net::NextHopClient> next_hop_client, spd::Resource lane_number)
    : shared(shared_with),
      lane(lane_number),
      counters(&counted_in),
      client(std::move(next_hop_client)),
      hops(*client, random_seed()),
      flows(random_seed(), FlowCache::kSets, lane_number),
      outer_fragments(random_seed(), shared.chunk_bytes),
      inner_fragments(random_seed(), shared.chunk_bytes),
      fragment_id(static_cast<uint32_t>(random_seed())),
      egress(pool, counted_in, large) {
  own.reserve(2 * packet::Batch::kCapacity);
  for (auto& by_family : port_addresses) by_family.resize(shared.roles.size());
}

void Core::reset_port(uint16_t port) {
  for (auto& by_family : port_addresses) {
    if (by_family.size() <= port) by_family.resize(port + 1u);
    by_family[port] = {};
  }
  hops.forget(port);
  last_hop_ = nullptr;
}

void Core::read_headers(Burst& burst) {
  auto& batch = burst.batch;
  burst.any_fragment = false;
  for (uint32_t i = 0; i < batch.size; i++) {
    if (batch.length[i] < Egress::kEthernetBytes) {
      burst.refuse(i, Verdict::kTooShort);
      continue;
    }
    uint16_t ethertype = base::load_be16(batch.data[i] + 12);
    batch.data[i] += Egress::kEthernetBytes;
    batch.length[i] -= Egress::kEthernetBytes;
    if (ethertype == kVlanType && batch.length[i] >= kVlanTagBytes) [[unlikely]] {
      // A port gets no tags but those of VLAN 0, which have a priority only (IEEE 802.1Q §6.9.1).
      ethertype = base::load_be16(batch.data[i] + 2);
      batch.data[i] += kVlanTagBytes;
      batch.length[i] -= kVlanTagBytes;
    }
    Verdict verdict = packet::parse_ip(batch.data[i], batch.length[i], burst.headers[i]);
    const auto family = burst.headers[i].family;
    if (ethertype != Egress::kIpv4Type && ethertype != Egress::kIpv6Type) {
      verdict = Verdict::kBadEthertype;
    } else if (verdict == Verdict::kPending &&
               (ethertype == Egress::kIpv4Type) != (family == packet::Family::kV4)) {
      verdict = Verdict::kBadIpVersion;
    }
    if (verdict != Verdict::kPending) {
      burst.refuse(i, verdict);
    } else {
      batch.length[i] = burst.headers[i].total_bytes;
      burst.any_fragment |= burst.headers[i].is_fragment();
    }
  }
}

void Core::read_host_headers(Burst& burst) {
  auto& batch = burst.batch;
  burst.any_fragment = false;
  for (uint32_t i = 0; i < batch.size; i++) {
    const Verdict verdict = packet::parse_ip(batch.data[i], batch.length[i], burst.headers[i]);
    if (verdict != Verdict::kPending) {
      burst.refuse(i, verdict);
      continue;
    }
    batch.length[i] = burst.headers[i].total_bytes;
    burst.any_fragment |= burst.headers[i].is_fragment();
  }
}

void Core::read_again(Burst& burst) {
  burst.any_fragment = false;
  for (uint32_t i = 0; i < burst.batch.size; i++) {
    burst.batch.verdict[i] =
        packet::parse_ip(burst.batch.data[i], burst.batch.length[i], burst.headers[i]);
    if (burst.pending(i)) burst.any_fragment |= burst.headers[i].is_fragment();
  }
}

void Core::hold(Burst& burst, uint32_t i, net::NextHopCache::Entry* entry, Resume resume) {
  const HoldQueue::Packet packet{.data = burst.batch.data[i],
                                 .length = burst.batch.length[i],
                                 .since_ms = now_ms,
                                 .entry = entry,
                                 .from = burst.from,
                                 .resume = resume,
                                 .origin = burst.origin,
                                 .next = -1};
  if (entry == nullptr || large.owns(packet.data) || !held.hold(*entry, packet))
    return burst.refuse(i, Verdict::kHoldQueueFull);
  if (burst.origin == Origin::kReceived) counters->count(Verdict::kHeld);
  burst.gone(i);
}

void Core::refuse_with_error(Burst& burst, uint32_t i, Verdict verdict, net::IcmpError error,
                             uint16_t our_port, Resume resume) {
  burst.refuse(i, verdict);
  // The host would not take one from an address of its own: it comes from where the packet goes.
  const bool from_host = burst.from.from_host;
  const auto* source = from_host ? &burst.headers[i].destination
                                 : our_address(our_port, burst.headers[i].family);
  const bool may = burst.origin != Origin::kOurs && source != nullptr &&
                   own.size() < own.capacity() &&
                   net::may_answer_with_error(burst.batch.data[i], burst.batch.length[i]);
  if (!may || !icmp_limit.take(now_ms)) return;
  uint8_t* data = burst.batch.data[i];
  uint32_t length = burst.batch.length[i];
  if (!into_frame_with_headroom(burst, i, data, length)) return;
  net::make_icmp_error(data, length, error, *source);
  own.push_back({data, length, from_host ? Resume::kHost : resume, burst.from});
  if (burst.origin == Origin::kReceived) counters->count(verdict);
  counters->icmp_errors.add(1);
  burst.gone(i);
}

/// The beginning of packet i where an error about it can be made. False: there is no room.
bool Core::into_frame_with_headroom(const Burst& burst, uint32_t i, uint8_t*& data,
                                    uint32_t& length) {
  if (!large.owns(data)) return burst.batch.headroom(i) >= kIcmpHeadroom;
  uint8_t* frame = egress.pool().get();
  if (frame == nullptr) return false;
  length = std::min(length, kMostQuoted);
  std::memcpy(frame + port::FramePool::kHeadroom, data, length);
  data = frame + port::FramePool::kHeadroom;
  return true;
}

const net::IpAddress* Core::our_address(uint16_t port, packet::Family family) const {
  const auto& addresses = port_addresses[family == packet::Family::kV4 ? 0 : 1];
  return addresses[port].family == family ? &addresses[port] : nullptr;
}

void Core::expire_fragments() {
  counters->count(Verdict::kFragmentTimeout,
                 outer_fragments.expire(now_ms) + inner_fragments.expire(now_ms));
}

void Core::finish(Burst& burst) {
  for (uint32_t i = 0; i < burst.batch.size; i++) {
    if (burst.batch.data[i] != nullptr)
      egress.finish(burst.batch.data[i], burst.batch.verdict[i], burst.origin);
  }
  burst.batch.clear();
}

}  // namespace esplane::pipeline
