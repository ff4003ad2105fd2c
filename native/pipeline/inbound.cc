// Inbound processing (RFC 4301 §5.2).
//
//  0. fragments of what may be ours are put together (RFC 4303 §3.4.1; fragments.cc)
//  1. where the ESP or AH header is, in IP or in UDP; NAT keepalives end here
//  2. the SA by its SPI; in UDP or not, a peer may do either at any time (RFC 7296 §2.23)
//  3. clear text: only what the inbound SPD lets pass, or what concerns no tunnel, goes to the
//     kernel
//  4. ESP and AH, one call for the burst; windows advance in order of arrival
//  5. the inner packets to their next hops (deliver.cc), or into the host by their tunnel's interface
//
// Nothing up to the decryption depends on order, so any worker does it; what is not for an SA
// waits for the owner, who keeps the order between both.
#include <algorithm>

#include "esp/locate.h"
#include "net/too_big.h"
#include "packet/tcp_mss.h"
#include "pipeline/stages.h"
#include "sad/prefetch.h"

namespace esplane::pipeline {

using packet::Batch;
using packet::Verdict;

namespace {

/// What a forged error cannot go below: hosts accept 576 bytes (RFC 791 §3.1), IPv6 paths carry
/// 1280 (RFC 8200 §5).
constexpr uint32_t kLeastIpv4Mtu = 576, kLeastIpv6Mtu = 1280;

}  // namespace

void Stages::work_inbound(const Shared& shared, Burst& burst) {
  Core::read_headers(burst);
  open(shared, burst);
}

/// Steps 1, 2 and 4, up to the decryption.
void Stages::open(const Shared& shared, Burst& burst) {
  auto& batch = burst.batch;
  esp::Location at[Batch::kCapacity];
  uint32_t spi[Batch::kCapacity];
  uint16_t esp_offset[Batch::kCapacity];
  for (uint32_t i = 0; i < batch.size; i++) {
    batch.inbound[i] = nullptr;
    spi[i] = 0;
    if (!burst.pending(i)) continue;
    at[i] = esp::locate(batch.data[i], burst.headers[i]);
    if (at[i].is_ipsec()) spi[i] = at[i].spi;
  }
  sad::prefetch_inbound(shared.sad, spi, batch.length, batch.size);
  for (uint32_t i = 0; i < batch.size; i++) {
    if (spi[i] == 0) continue;  // one that is below 256 is nobody's
    Verdict unknown;
    batch.inbound[i] = esp::find_sa(shared.sad, at[i], unknown);
    if (batch.inbound[i] == nullptr) continue;
    esp_offset[i] = at[i].offset;
    batch.length[i] = at[i].end;  // what IP carries behind a UDP datagram belongs to nobody
  }
  burst.opening.open(batch, esp_offset);
}

void Stages::finish_inbound(Burst& burst) {
  if (burst.any_fragment) return finish_with_fragments(burst);
  for (uint32_t i = 0; i < burst.batch.size; i++) {
    if (burst.pending(i) && burst.batch.inbound[i] == nullptr) without_sa(burst, i);
  }
  finish_esp(burst);
  deliver(burst);
}

/// Steps 1 and 3 for a packet that belongs to no SA of ours.
void Stages::without_sa(Burst& burst, uint32_t i) {
  const auto& header = burst.headers[i];
  if (!core_.networks->is_local(header.destination))
    return accept_clear(burst, i);  // another host's ESP or AH is clear text to us
  const auto at = esp::locate(burst.batch.data[i], header);
  switch (at.content) {
    case esp::Content::kEsp:
    case esp::Content::kAh: {
      Verdict unknown = Verdict::kUnknownSpi;
      esp::find_sa(core_.shared.sad, at, unknown);
      raise_unknown_spi(at.spi, header.source);
      return burst.refuse(i, unknown);
    }
    case esp::Content::kKeepalive:
      return burst.refuse(i, Verdict::kNatKeepalive);
    case esp::Content::kTooShort:
      return burst.refuse(i, Verdict::kEspTooShort);
    case esp::Content::kOther:
      if (learn_path_mtu(burst, i)) return;
      [[fallthrough]];
    case esp::Content::kFragment:  // put together before; none is left that is to us
    case esp::Content::kIke:
      accept_clear(burst, i);
  }
}

/// ICMP about the path of an SA of ours (RFC 4301 §8.2): anyone may have sent it, so that it only
/// ever makes packets smaller, down to what every path carries, and for ten minutes; and it must
/// quote a packet that the SA has sent of late. Senders learn of it with their next packet (§8.2.1).
/// @return false if it is about no SA: the kernel's, as errors about IKE are
bool Stages::learn_path_mtu(Burst& burst, uint32_t i) {
  const auto told =
      net::read_too_big(burst.batch.data[i], burst.headers[i], esp::kNatTraversalPort);
  if (!told) return false;
  if (!core_.path_mtu_limit.take(core_.now_ms)) {
    burst.refuse(i, Verdict::kIcmpLimited);
    return true;
  }
  auto* sa = core_.shared.sad.find_outbound(told->spi, told->destination);
  if (sa == nullptr) return false;
  if (!sa->has_sent_lately(told->source, told->sequence)) {
    burst.refuse(i, Verdict::kIcmpImplausible);
    return true;
  }
  const uint32_t least = told->source.is_v4() ? kLeastIpv4Mtu : kLeastIpv6Mtu;
  sa->path_mtu.lower(std::max(told->mtu_bytes, least), core_.now_ms);
  burst.refuse(i, Verdict::kPathMtuLearned);
  return true;
}

/// RFC 4301 §5.2, step 4: what arrives in clear although it should have been protected is dropped.
void Stages::accept_clear(Burst& burst, uint32_t i) {
  const auto& header = burst.headers[i];
  switch (core_.shared.spd.lookup_inbound_clear(header)) {
    case spd::ClearLookup::kDiscard:
      return burst.refuse(i, Verdict::kPolicyDiscard);
    case spd::ClearLookup::kProtected:
      return burst.refuse(i, Verdict::kClearTextInbound);
    case spd::ClearLookup::kNoMatch:
      if (core_.networks->is_protected(header.destination))
        return burst.refuse(i, Verdict::kClearTextInbound);
      break;
    case spd::ClearLookup::kBypass:
      break;
  }
  hand_to_kernel(burst, i);
}

/// The end of step 4: what became of the packets of our SAs.
void Stages::finish_esp(Burst& burst) {
  auto& batch = burst.batch;
  sad::InboundSa* sas[Batch::kCapacity];
  uint32_t outer_bytes[Batch::kCapacity];
  for (uint32_t i = 0; i < batch.size; i++) {
    sas[i] = burst.pending(i) ? batch.inbound[i] : nullptr;
    outer_bytes[i] = batch.length[i];
  }
  burst.opening.finish(batch, core_.now_s);

  uint64_t packets = 0, bytes = 0;
  const sad::InboundSa* last = nullptr;
  for (uint32_t i = 0; i < batch.size; i++) {
    if (sas[i] == nullptr) continue;
    if (sas[i] != last && sas[i]->lifetime.has_news())
      raise_expiry(sas[i]->lifetime, sas[i]->spi, true);
    last = sas[i];
    if (!burst.pending(i) && batch.verdict[i] != Verdict::kDummyPacket) continue;
    packets++;
    bytes += outer_bytes[i];
    watch_nat_mapping(burst, i, *sas[i]);
    if (!burst.pending(i)) continue;
    burst.headers[i] = burst.opening.inner(i);
    if (packet::is_tcp_syn(batch.data[i], burst.headers[i])) [[unlikely]]
      clamp_received_mss(batch.data[i], burst.headers[i], *sas[i]);
    if (sas[i]->scope != spd::kHostScope) [[unlikely]] hand_to_host(burst, i, sas[i]->scope);
  }
  core_.counters->odd_ecn.add(burst.opening.odd_ecn());
  core_.counters->esp_in_packets.add(packets);
  core_.counters->esp_in_bytes.add(bytes);
}

/// The answer to a SYN that came through a tunnel is to fit the way back.
void Stages::clamp_received_mss(uint8_t* ip, const packet::IpHeader& header,
                                const sad::InboundSa& sa) {
  if (sa.outbound == nullptr) return;
  const auto* entry = core_.next_hop(sa.outbound->peer());
  const bool known = entry != nullptr && entry->answered && entry->hop.kind == net::NextHop::Kind::kForward;
  const uint32_t mtu = known ? entry->hop.mtu_bytes : kUsualMtu;
  clamp_mss(ip, header, *sa.outbound, sa.outbound->path_mtu.least(mtu, core_.now_ms));
}

/// An authentic packet from elsewhere: a NAT on the way changed its mapping (RFC 7296 §2.23). One that
/// is late may have come by the mapping of before. The control plane decides what follows from it.
void Stages::watch_nat_mapping(const Burst& burst, uint32_t i, const sad::InboundSa& sa) {
  const auto& outer = burst.headers[i];
  if (!sa.udp_encapsulation || outer.protocol != packet::kUdp) return;
  const sad::Endpoint& peer = sa.peer();
  if (outer.source_port == peer.port && outer.source == peer.address) return;
  if (burst.opening.sequence(i) < sa.window.highest()) return;
  if (!core_.nat_limit.pass(sa.spi, core_.now_ms)) return;
  core_.shared.events.push({.kind = Event::Kind::kNatMappingChanged,
                            .port = outer.source_port,
                            .spi = sa.spi,
                            .address = outer.source});
}

void Stages::raise_unknown_spi(uint32_t spi, const net::IpAddress& source) {
  if (!core_.unknown_spi_limit.take(core_.now_ms)) return;
  core_.shared.events.push({.kind = Event::Kind::kUnknownSpi, .spi = spi, .address = source});
}

}  // namespace esplane::pipeline
