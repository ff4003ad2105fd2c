#include "esp/inbound.h"

#include <cstring>
#include <utility>

#include "ah/header.h"
#include "ah/mutable_fields.h"
#include "base/bytes.h"
#include "esp/outer.h"
#include "esp/trailer.h"
#include "packet/checksum.h"
#include "packet/insertion.h"
#include "packet/selector.h"

namespace esplane::esp {
namespace {

using base::load_be16;
using base::load_be32;
using base::store_be16;
using packet::Batch;
using packet::IpHeader;
using packet::Verdict;
using replay::Outcome;
using sad::InboundSa;
using sad::Mode;
using sad::Protection;
using sad::Protocol;

Verdict verdict_of(Outcome outcome) {
  switch (outcome) {
    case Outcome::kNew:
      return Verdict::kPending;
    case Outcome::kOld:
      return Verdict::kReplayOld;
    case Outcome::kDuplicate:
      return Verdict::kReplayDuplicate;
  }
  __builtin_unreachable();
}

/// Step 1: room for header, IV, the shortest trailer and ICV; text of whole blocks.
/// @param bytes  from the SPI to the end of the packet
Verdict check_length(const Protection& p, uint32_t bytes) {
  const uint32_t around = header_bytes(p) + p.icv_bytes;
  if (bytes < around + p.block_bytes) return Verdict::kEspTooShort;
  if ((bytes - around) & (p.block_bytes - 1u)) return Verdict::kEspBadAlignment;
  return Verdict::kPending;
}

/// Step 7: the inner packet is what the next header says, and ends where its own length says: what
/// follows is TFC padding (RFC 4303 §2.7).
Verdict check_inner(const uint8_t* text, uint32_t bytes, uint8_t next_header, IpHeader& inner) {
  if (next_header != packet::kIpv4InIp && next_header != packet::kIpv6InIp) {
    return Verdict::kBadNextHeader;
  }
  const Verdict verdict = packet::parse_ip(text, bytes, inner);
  if (verdict != Verdict::kPending) return verdict;
  const auto expected =
      next_header == packet::kIpv4InIp ? packet::Family::kV4 : packet::Family::kV6;
  return inner.family == expected ? Verdict::kPending : Verdict::kBadIpVersion;
}

Verdict check_selectors(const IpHeader& inner, const InboundSa& sa) {
  if (sa.networks.contain(inner)) [[likely]] return Verdict::kPending;
  const auto match = packet::match_pair(inner, sa.remote_selectors, sa.local_selectors);
  return match == packet::Match::kYes ? Verdict::kPending : Verdict::kSelectorMismatch;
}

enum Ecn : uint8_t { kNotEct = 0, kEct1 = 1, kEct0 = 2, kCe = 3 };

/// Marked with exclamation marks in RFC 6040 §4.2, figure 4, but for CE outside of Not-ECT, which
/// has a verdict of its own.
bool is_odd_ecn(uint8_t outer_tos, uint8_t inner_tos) {
  const auto bit = [](Ecn outer, Ecn inner) { return 1u << (outer << 2 | inner); };
  const uint32_t odd = bit(kEct0, kNotEct) | bit(kEct1, kNotEct) | bit(kEct1, kCe) |
                       bit(kEct0, kEct1);
  return odd >> ((outer_tos & 3) << 2 | (inner_tos & 3)) & 1;
}

/// Writes another ECN field into a packet.
void set_ecn(uint8_t* ip, IpHeader& header, uint8_t ecn) {
  header.tos = static_cast<uint8_t>((header.tos & ~3u) | ecn);
  if (header.family == packet::Family::kV4) {
    const uint16_t before = load_be16(ip);
    ip[packet::kIpv4Tos] = header.tos;
    const uint16_t checksum = load_be16(ip + packet::kIpv4Checksum);
    store_be16(ip + packet::kIpv4Checksum,
               packet::checksum_update(checksum, before, load_be16(ip)));
  } else {
    store_be16(ip, static_cast<uint16_t>((load_be16(ip) & 0xf00fu) | header.tos << 4));
  }
}

/// Step 9: RFC 6040 §4.2, figure 4. The inner field stays, but for CE outside, which is passed on
/// or, where it cannot be, means the drop; and ECT(1) outside of ECT(0).
Verdict decapsulate_ecn(uint8_t outer_tos, uint8_t* ip, IpHeader& inner) {
  const auto outer_ecn = static_cast<Ecn>(outer_tos & 3);
  const auto inner_ecn = static_cast<Ecn>(inner.tos & 3);
  if (outer_ecn == kCe) {
    if (inner_ecn == kNotEct) return Verdict::kCongestionMarked;
    if (inner_ecn != kCe) set_ecn(ip, inner, kCe);
  } else if (outer_ecn == kEct1 && inner_ecn == kEct0) {
    set_ecn(ip, inner, kEct1);
  }
  return Verdict::kPending;
}

}  // namespace

/// What only open() needs, by job: it stays with the worker that opens, and in its cache.
struct Inbound::Opening {
  Jobs jobs;
  uint8_t* outer[Batch::kCapacity];   ///< the outer IP header
  uint16_t offset[Batch::kCapacity];  ///< from there to the ESP or AH header
  uint32_t payload_bytes[Batch::kCapacity];
};

// The steps follow RFC 4303 §3.4 and RFC 4302 §3.4; reassembly (§3.4.1) and the SA (§3.4.2) come
// before.
//  1. Length.
//  2. Replay pre-check, which infers the high half of the sequence number (§3.4.3).
//  3. The cryptographic job.
//  4. ICV and decryption of all packets in one call (§3.4.4.2).
//  5. Replay check again and advance, exactly, once for each SA and in order of arrival: only now
//     may the window move, and only now are duplicates within the batch seen (§3.4.3). It comes
//     last, and its verdict before those of steps 6 to 9.
//  6. ESP's trailer.
//  7. Next header, inner packet; in transport mode the packet's own header moves up to its payload.
//  8. The inner packet against the SA's selectors (RFC 4301 §5.2, step 4).
//  9. Tunnel mode: ECN (RFC 6040 §4.2). Transport mode through a NAT: checksums (RFC 3948 §3.1.2).
// 10. Counters, and the SA's lifetime (RFC 4301 §4.4.2.1), under the window's lock.
// 11. What is left is the inner packet.
void Inbound::open(Batch& batch, const uint16_t offset[Batch::kCapacity]) {
  Opening opening;
  groups_.clear();
  for (uint32_t i = 0; i < batch.size; i++) {
    InboundSa* sa = batch.inbound[i];
    if (batch.verdict[i] != Verdict::kPending || !sa) continue;
    const Verdict verdict = prepare(opening, batch, i, offset[i], *sa);
    if (verdict == Verdict::kPending) continue;
    batch.verdict[i] = verdict;
    sa->count_refused(verdict);
  }
  jobs_ = opening.jobs.batch.size;
  odd_ecn_ = 0;
  authentic_ = opening.jobs.open();
  for (uint32_t j = 0; j < jobs_; j++) {
    if (is_authentic(j)) decapsulated_[j] = decapsulate(opening, j);
  }
}

/// Steps 1 to 3 for one packet.
Verdict Inbound::prepare(Opening& opening, const Batch& batch, uint32_t i, uint32_t offset,
                         InboundSa& sa) {
  if (sa.lifetime.is_over()) [[unlikely]] return Verdict::kLifetimeExpired;
  return sa.protocol == Protocol::kEsp ? prepare_esp(opening, batch, i, offset, sa)
                                       : prepare_ah(opening, batch, i, offset, sa);
}

Verdict Inbound::prepare_esp(Opening& opening, const Batch& batch, uint32_t i, uint32_t offset,
                             InboundSa& sa) {
  const Protection& p = sa.protection;
  if (offset > batch.length[i]) return Verdict::kEspTooShort;
  const uint32_t bytes = batch.length[i] - offset;
  const Verdict length_verdict = check_length(p, bytes);
  if (length_verdict != Verdict::kPending) return length_verdict;

  uint8_t* esp = batch.data[i] + offset;
  const replay::Window::Check check = sa.window.check(load_be32(esp + packet::kEspSequence));
  if (check.outcome != Outcome::kNew) return verdict_of(check.outcome);

  const uint32_t j = join(opening, batch, i, offset, sa, check.sequence);
  payload_[j] = esp + header_bytes(p);
  const uint32_t text_bytes = bytes - header_bytes(p) - p.icv_bytes;
  opening.payload_bytes[j] = text_bytes;
  opening.jobs.add(p, check.sequence, esp, text_bytes, Direction::kOpen);
  return Verdict::kPending;
}

/// AH: the headers are masked, the ICV goes aside (RFC 4302 §3.4.4).
/// Padding behind the ICV is counted in, whoever put it there: over IPv4 Linux fills up to 64 bits.
Verdict Inbound::prepare_ah(Opening& opening, const Batch& batch, uint32_t i, uint32_t offset,
                            InboundSa& sa) {
  Jobs& jobs = opening.jobs;
  const Protection& p = sa.protection;
  if (offset > batch.length[i]) return Verdict::kAhBadHeader;
  const uint32_t bytes = batch.length[i] - offset;
  uint8_t* ip = batch.data[i];
  uint8_t* header = ip + offset;
  const uint32_t least = ah::bytes_to_icv_end(p);
  if (bytes < least) return Verdict::kAhBadHeader;
  const uint32_t ah_bytes = ah::claimed_bytes(header);
  if (ah_bytes < least || ah_bytes > bytes || ah_bytes - least >= 8) return Verdict::kAhBadHeader;
  if (offset + ah_bytes > Masks::kMostBytes) return Verdict::kAhBadHeader;
  if (p.esn && batch.tailroom(i) < 4) return Verdict::kNoHeadroom;

  const replay::Window::Check check = sa.window.check(load_be32(header + ah::kSequence));
  if (check.outcome != Outcome::kNew) return verdict_of(check.outcome);

  jobs.masks.keep(ip, offset + ah_bytes);
  if (!ah::mask_mutable_fields(ip, offset)) {
    jobs.masks.give_back();
    return Verdict::kAhBadHeader;
  }
  const uint32_t j = join(opening, batch, i, offset, sa, check.sequence);
  payload_[j] = header + ah_bytes;
  opening.payload_bytes[j] = bytes - ah_bytes;
  uint8_t* icv = header + ah::kIcvField + p.iv_bytes;
  std::memcpy(jobs.aside[j], icv, p.icv_bytes);
  std::memset(icv, 0, p.icv_bytes);
  jobs.add_ah(p, check.sequence, ip, batch.length[i], icv, Direction::kOpen);
  return Verdict::kPending;
}

/// The next job is that of packet i. @return its number
uint32_t Inbound::join(Opening& opening, const Batch& batch, uint32_t i, uint32_t offset,
                       InboundSa& sa, uint64_t sequence) {
  const uint32_t j = opening.jobs.batch.size;
  index_[j] = static_cast<uint8_t>(i);
  group_[j] = static_cast<uint8_t>(groups_.join(&sa));
  sequence_[j] = sequence;
  opening.outer[j] = batch.data[i];
  opening.offset[j] = static_cast<uint16_t>(offset);
  return j;
}

uint64_t Inbound::sequence(uint32_t i) const {
  for (uint32_t j = 0; j < jobs_; j++)
    if (index_[j] == i) return sequence_[j];
  return 0;
}

/// Steps 6 to 9 for one authentic packet.
Verdict Inbound::decapsulate(Opening& opening, uint32_t j) {
  const InboundSa& sa = groups_.sa(group_[j]);
  uint8_t next_header;
  if (sa.protocol == Protocol::kEsp) [[likely]] {
    if (!strip_trailer(payload_[j], opening.payload_bytes[j], next_header))
      return Verdict::kBadPadding;
    if (next_header == packet::kNoNextHeader) return Verdict::kDummyPacket;
  } else {
    next_header = opening.outer[j][opening.offset[j] + ah::kNextHeader];
  }
  return sa.mode == Mode::kTunnel ? decapsulate_tunnel(opening, j, next_header, sa)
                                  : decapsulate_transport(opening, j, next_header, sa);
}

Verdict Inbound::decapsulate_tunnel(const Opening& opening, uint32_t j, uint8_t next_header,
                                    const InboundSa& sa) {
  IpHeader& inner = inner_of(j);
  Verdict verdict = check_inner(payload_[j], opening.payload_bytes[j], next_header, inner);
  if (verdict != Verdict::kPending) return verdict;
  verdict = check_selectors(inner, sa);
  if (verdict != Verdict::kPending) return verdict;
  const uint8_t outer_tos = tos_of(opening.outer[j]);
  if ((outer_tos & 3) == kNotEct) [[likely]] return Verdict::kPending;  // the inner field stays
  odd_ecn_ |= uint64_t{is_odd_ecn(outer_tos, inner.tos)} << j;
  return decapsulate_ecn(outer_tos, payload_[j], inner);
}

Verdict Inbound::decapsulate_transport(Opening& opening, uint32_t j, uint8_t next_header,
                                       const InboundSa& sa) {
  uint8_t* from = opening.outer[j];
  uint32_t kept_bytes = opening.offset[j];
  uint16_t field = packet::next_field_of(from, kept_bytes);
  const bool in_udp = field == 0;
  if (in_udp) {
    kept_bytes -= packet::kUdpHeaderBytes;
    field = packet::next_field_of(from, kept_bytes);
  }
  uint8_t* ip = payload_[j] - kept_bytes;
  std::memmove(ip, from, kept_bytes);
  ip[field] = next_header;
  payload_[j] = ip;
  const uint32_t bytes = opening.payload_bytes[j] + kept_bytes;
  packet::write_length(ip, bytes);

  IpHeader& inner = inner_of(j);
  Verdict verdict = packet::parse_ip(ip, bytes, inner);
  if (verdict != Verdict::kPending) return verdict;
  verdict = check_selectors(inner, sa);
  if (verdict == Verdict::kPending && in_udp) packet::renew_checksum(ip, inner);
  return verdict;
}

void Inbound::finish(Batch& batch, uint32_t now_s) {
  odd_ecn_count_ = 0;
  Verdict verdict[Batch::kCapacity];
  for (uint32_t j = 0; j < jobs_;) {
    if (is_authentic(j)) {
      const uint32_t first = std::exchange(j, end_of_run(j));
      take(first, j, verdict, now_s);
    } else {
      verdict[j++] = Verdict::kIcvBad;
    }
  }
  for (uint32_t j = 0; j < jobs_; j++) {
    const uint32_t i = index_[j];
    if (verdict[j] != Verdict::kPending) {
      batch.verdict[i] = verdict[j];
      groups_.sa(group_[j]).count_refused(verdict[j]);
      continue;
    }
    odd_ecn_count_ += odd_ecn_ >> j & 1;
    batch.data[i] = payload_[j];
    batch.length[i] = inner_[i].total_bytes;
  }
}

/// Authentic packets of one SA that follow each other are taken at once.
uint32_t Inbound::end_of_run(uint32_t first) const {
  if (groups_.size() == 1 && authentic_ == ~uint64_t{0} >> (Batch::kCapacity - jobs_)) [[likely]]
    return jobs_;
  uint32_t end = first + 1;
  while (end < jobs_ && group_[end] == group_[first] && is_authentic(end)) end++;
  return end;
}

/// Step 5, and under the same lock step 10.
void Inbound::take(uint32_t first, uint32_t end, Verdict verdict[Batch::kCapacity],
                   uint32_t now_s) {
  Outcome outcome[Batch::kCapacity];
  auto& window = groups_.sa(group_[first]).window;
  window.advance({sequence_ + first, end - first}, outcome, [&] {
    for (uint32_t j = first; j < end; j++) {
      verdict[j] = verdict_of(outcome[j - first]);
      if (verdict[j] == Verdict::kPending) verdict[j] = decapsulated_[j];
    }
    count(first, end, verdict, now_s);
  });
}

/// Step 10: counts what an SA accepted, as far as its lifetime goes.
void Inbound::count(uint32_t first, uint32_t end, Verdict verdict[Batch::kCapacity],
                    uint32_t now_s) {
  uint32_t packets = 0;
  uint64_t bytes = 0;
  for (uint32_t j = first; j < end; j++) {
    if (verdict[j] != Verdict::kPending) continue;
    packets++;
    bytes += inner_of(j).total_bytes;
  }
  if (packets == 0) return;
  const auto taken = groups_.sa(group_[first]).usage().take_alone(packets, bytes, now_s);
  if (taken.watched) [[unlikely]] hold_against_limits(taken, first, end, verdict);
}

void Inbound::hold_against_limits(sad::Lifetime::Group taken, uint32_t first, uint32_t end,
                                  Verdict verdict[Batch::kCapacity]) {
  InboundSa& sa = groups_.sa(group_[first]);
  uint32_t refused = 0;
  uint64_t refused_bytes = 0;
  for (uint32_t j = first; j < end; j++) {
    const uint32_t bytes = inner_of(j).total_bytes;
    if (verdict[j] != Verdict::kPending || sa.lifetime.admits(taken, bytes)) continue;
    verdict[j] = Verdict::kLifetimeExpired;
    refused++;
    refused_bytes += bytes;
  }
  sa.usage().give_back(taken, refused, refused_bytes);
}

void inbound(Batch& batch, const uint16_t offset[Batch::kCapacity],
             IpHeader inner[Batch::kCapacity], uint32_t now_s) {
  Inbound phases;
  phases.open(batch, offset);
  phases.finish(batch, now_s);
  for (uint32_t i = 0; i < batch.size; i++) {
    if (batch.verdict[i] == Verdict::kPending && batch.inbound[i] != nullptr)
      inner[i] = phases.inner(i);
  }
}

}  // namespace esplane::esp
