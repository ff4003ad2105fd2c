#include "pipeline/core.h"

#include <sys/random.h>

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

constexpr uint16_t kEthertypeIpv4 = 0x0800, kEthertypeIpv6 = 0x86dd;
constexpr uint32_t kIcmpHeadroom = packet::kIpv6HeaderBytes + 8;

}  // namespace

Core::Core(const Shared& shared_with, Counters& counted_in, port::FramePool& pool,
           std::unique_ptr<net::NextHopClient> next_hop_client)
    : shared(shared_with),
      counters(counted_in),
      client(std::move(next_hop_client)),
      hops(*client, random_seed()),
      flows(random_seed()),
      egress(pool, counters) {
  own.reserve(2 * packet::Batch::kCapacity);
  for (auto& by_family : port_addresses) by_family.resize(shared.roles.size());
}

void Core::read_headers(Burst& burst) {
  auto& batch = burst.batch;
  for (uint32_t i = 0; i < batch.size; i++) {
    if (batch.length[i] < Egress::kEthernetBytes) {
      burst.refuse(i, Verdict::kTooShort);
      continue;
    }
    const uint16_t ethertype = base::load_be16(batch.data[i] + 12);
    batch.data[i] += Egress::kEthernetBytes;
    batch.length[i] -= Egress::kEthernetBytes;
    Verdict verdict = packet::parse_ip(batch.data[i], batch.length[i], burst.headers[i]);
    const auto family = burst.headers[i].family;
    if (ethertype != kEthertypeIpv4 && ethertype != kEthertypeIpv6) {
      verdict = Verdict::kBadEthertype;
    } else if (verdict == Verdict::kPending &&
               (ethertype == kEthertypeIpv4) != (family == packet::Family::kV4)) {
      verdict = Verdict::kBadIpVersion;
    }
    if (verdict != Verdict::kPending) {
      burst.refuse(i, verdict);
    } else {
      batch.length[i] = burst.headers[i].total_bytes;
    }
  }
}

void Core::read_again(Burst& burst) {
  for (uint32_t i = 0; i < burst.batch.size; i++)
    burst.batch.verdict[i] =
        packet::parse_ip(burst.batch.data[i], burst.batch.length[i], burst.headers[i]);
}

void Core::hold(Burst& burst, uint32_t i, net::NextHopCache::Entry* entry, Resume resume) {
  const HoldQueue::Packet packet{.data = burst.batch.data[i],
                                 .length = burst.batch.length[i],
                                 .since_ms = now_ms,
                                 .entry = entry,
                                 .port = burst.port,
                                 .resume = resume,
                                 .origin = burst.origin,
                                 .next = -1};
  if (entry == nullptr || !held.hold(*entry, packet)) return burst.refuse(i, Verdict::kHoldQueueFull);
  if (burst.origin == Origin::kReceived) counters.count(Verdict::kHeld);
  burst.gone(i);
}

void Core::refuse_with_error(Burst& burst, uint32_t i, Verdict verdict, net::IcmpError error,
                             uint16_t our_port, Resume resume) {
  burst.refuse(i, verdict);
  auto& batch = burst.batch;
  const auto* source = our_address(our_port, burst.headers[i].family);
  const bool may = burst.origin == Origin::kReceived && source != nullptr &&
                   own.size() < own.capacity() && batch.headroom(i) >= kIcmpHeadroom &&
                   net::may_answer_with_error(batch.data[i], batch.length[i]);
  if (!may || !icmp_limit.take(now_ms)) return;
  net::make_icmp_error(batch.data[i], batch.length[i], error, *source);
  own.push_back({batch.data[i], batch.length[i], resume, burst.port});
  counters.count(verdict);
  counters.icmp_errors.add(1);
  burst.gone(i);
}

const net::IpAddress* Core::our_address(uint16_t port, packet::Family family) const {
  const auto& addresses = port_addresses[family == packet::Family::kV4 ? 0 : 1];
  return addresses[port].family == family ? &addresses[port] : nullptr;
}

void Core::finish(Burst& burst) {
  for (uint32_t i = 0; i < burst.batch.size; i++) {
    if (burst.batch.data[i] != nullptr)
      egress.finish(burst.batch.data[i], burst.batch.verdict[i], burst.origin);
  }
  burst.batch.clear();
}

}  // namespace esplane::pipeline
