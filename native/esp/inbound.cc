#include "esp/inbound.h"

#include "base/bytes.h"
#include "packet/checksum.h"
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
Verdict check_length(const crypto::Suite& suite, uint32_t bytes) {
  const uint32_t around = header_bytes(suite) + suite.icv_bytes;
  if (bytes < around + suite.block_bytes) return Verdict::kEspTooShort;
  if ((bytes - around) & (suite.block_bytes - 1u)) return Verdict::kEspBadAlignment;
  return Verdict::kPending;
}

/// Step 6: takes the trailer off.
/// @param text_bytes  in: inner packet, TFC padding, trailer; out: without the trailer
Verdict strip_trailer(const uint8_t* text, uint32_t& text_bytes, uint8_t& next_header) {
  const uint32_t padding = text[text_bytes - 2];
  next_header = text[text_bytes - 1];
  if (padding + packet::kEspTrailerBytes > text_bytes) return Verdict::kBadPadding;
  text_bytes -= padding + packet::kEspTrailerBytes;
  // RFC 4303 §2.4: the receiver should inspect the padding.
  for (uint32_t k = 0; k < padding; k++) {
    if (text[text_bytes + k] != k + 1) return Verdict::kBadPadding;
  }
  return Verdict::kPending;
}

/// Step 7: the inner packet is what the next header says, and ends where its own length says: what
/// follows is TFC padding (RFC 4303 §2.7).
Verdict check_inner(const uint8_t* text, uint32_t bytes, uint8_t next_header, IpHeader& inner) {
  switch (next_header) {
    case packet::kIpv4InIp:
    case packet::kIpv6InIp:
      break;
    case packet::kNoNextHeader:
      return Verdict::kDummyPacket;
    default:
      return Verdict::kBadNextHeader;
  }
  const Verdict verdict = packet::parse_ip(text, bytes, inner);
  if (verdict != Verdict::kPending) return verdict;
  const auto expected =
      next_header == packet::kIpv4InIp ? packet::Family::kV4 : packet::Family::kV6;
  return inner.family == expected ? Verdict::kPending : Verdict::kBadIpVersion;
}

enum Ecn : uint8_t { kNotEct = 0, kEct1 = 1, kEct0 = 2, kCe = 3 };

/// Step 9: RFC 6040 §4.2, figure 4. The inner field stays, but for CE outside, which is passed on
/// or, where it cannot be, means the drop; and ECT(1) outside of ECT(0).
Verdict decapsulate_ecn(uint8_t outer_tos, uint8_t* ip, IpHeader& inner) {
  const auto outer_ecn = static_cast<Ecn>(outer_tos & 3);
  const auto inner_ecn = static_cast<Ecn>(inner.tos & 3);
  uint8_t ecn = inner_ecn;
  if (outer_ecn == kCe) {
    if (inner_ecn == kNotEct) return Verdict::kCongestionMarked;
    ecn = kCe;
  } else if (outer_ecn == kEct1 && inner_ecn == kEct0) {
    ecn = kEct1;
  }
  if (ecn == inner_ecn) return Verdict::kPending;

  inner.tos = static_cast<uint8_t>((inner.tos & ~3u) | ecn);
  if (inner.family == packet::Family::kV4) {
    const uint16_t before = load_be16(ip);
    ip[packet::kIpv4Tos] = inner.tos;
    const uint16_t checksum = load_be16(ip + packet::kIpv4Checksum);
    store_be16(ip + packet::kIpv4Checksum,
               packet::checksum_update(checksum, before, load_be16(ip)));
  } else {
    store_be16(ip, static_cast<uint16_t>((load_be16(ip) & 0xf00fu) | inner.tos << 4));
  }
  return Verdict::kPending;
}

uint8_t tos_of(const uint8_t* ip) {
  return ip[0] >> 4 == 4 ? ip[packet::kIpv4Tos] : static_cast<uint8_t>(load_be16(ip) >> 4);
}

/// Steps 6 to 9 for one authentic packet.
/// @param outer  the outer IP header
Verdict decapsulate(const uint8_t* outer, const InboundSa& sa, uint8_t* text, uint32_t text_bytes,
                    IpHeader& inner) {
  uint8_t next_header;
  Verdict verdict = strip_trailer(text, text_bytes, next_header);
  if (verdict != Verdict::kPending) return verdict;
  verdict = check_inner(text, text_bytes, next_header, inner);
  if (verdict != Verdict::kPending) return verdict;
  if (packet::match_pair(inner, sa.remote_selectors, sa.local_selectors) != packet::Match::kYes) {
    return Verdict::kSelectorMismatch;
  }
  return decapsulate_ecn(tos_of(outer), text, inner);
}

}  // namespace

// The steps follow RFC 4303 §3.4; reassembly (§3.4.1) and the SA (§3.4.2) come before.
//  1. Length.
//  2. Replay pre-check, which infers the high half of the sequence number (§3.4.3).
//  3. The cryptographic job.
//  4. ICV and decryption of all packets in one call (§3.4.4.2).
//  5. Replay check again and advance, exactly, once for each SA and in order of arrival: only now
//     may the window move, and only now are duplicates within the batch seen (§3.4.3). It comes
//     last, and its verdict before those of steps 6 to 9.
//  6. Trailer.
//  7. Next header, inner packet.
//  8. The inner packet against the SA's selectors (RFC 4301 §5.2, step 4).
//  9. ECN (RFC 6040 §4.2).
// 10. Counters, and the SA's lifetime (RFC 4301 §4.4.2.1).
// 11. What is left is the inner packet.
void Inbound::prepare(Batch& batch, const uint16_t esp_offset[Batch::kCapacity]) {
  jobs_.batch.size = 0;
  groups_.clear();
  for (uint32_t i = 0; i < batch.size; i++) {
    InboundSa* sa = batch.inbound[i];
    if (batch.verdict[i] != Verdict::kPending || !sa) continue;
    batch.verdict[i] = sa->lifetime.is_over() ? Verdict::kLifetimeExpired
                                              : prepare_one(batch, i, esp_offset[i], *sa);
    if (batch.verdict[i] != Verdict::kPending) sa->count_refused(batch.verdict[i]);
  }
}

/// Steps 1 to 3 for one packet.
Verdict Inbound::prepare_one(const Batch& batch, uint32_t i, uint32_t esp_offset, InboundSa& sa) {
  const crypto::Suite& suite = *sa.suite;
  if (esp_offset > batch.length[i]) return Verdict::kEspTooShort;
  const uint32_t bytes = batch.length[i] - esp_offset;
  const Verdict length_verdict = check_length(suite, bytes);
  if (length_verdict != Verdict::kPending) return length_verdict;

  uint8_t* esp = batch.data[i] + esp_offset;
  const replay::Window::Check check = sa.window.check(load_be32(esp + packet::kEspSequence));
  if (check.outcome != Outcome::kNew) return verdict_of(check.outcome);

  const uint32_t j = jobs_.batch.size;
  jobs_.add(sa, check.sequence, esp, bytes - header_bytes(suite) - suite.icv_bytes);
  index_[j] = static_cast<uint8_t>(i);
  group_[j] = static_cast<uint8_t>(groups_.join(&sa));
  sequence_[j] = check.sequence;
  outer_[j] = batch.data[i];
  return Verdict::kPending;
}

void Inbound::open() {
  authentic_ = jobs_.open();
  for (uint32_t j = 0; j < jobs_.batch.size; j++) {
    if (!(authentic_ >> j & 1)) continue;
    decapsulated_[j] = decapsulate(outer_[j], groups_.sa(group_[j]), jobs_.batch.text[j],
                                   jobs_.batch.text_bytes[j], inner_[j]);
  }
}

void Inbound::finish(Batch& batch, IpHeader inner[Batch::kCapacity], uint32_t now_s) {
  if (jobs_.batch.size == 0) return;
  Verdict verdict[Batch::kCapacity];
  for (uint32_t j = 0; j < jobs_.batch.size; j++) verdict[j] = Verdict::kIcvBad;
  advance_windows(verdict);
  for (uint32_t j = 0; j < jobs_.batch.size; j++) {
    if (verdict[j] == Verdict::kPending) verdict[j] = decapsulated_[j];
  }
  hold_against_lifetimes(verdict, now_s);

  for (uint32_t j = 0; j < jobs_.batch.size; j++) {
    const uint32_t i = index_[j];
    batch.verdict[i] = verdict[j];
    if (verdict[j] != Verdict::kPending) {
      groups_.sa(group_[j]).count_refused(verdict[j]);
      continue;
    }
    batch.data[i] = jobs_.batch.text[j];
    batch.length[i] = inner_[j].total_bytes;
    inner[i] = inner_[j];
  }
}

/// Step 10: counts what each SA accepted, as far as its lifetime goes.
void Inbound::hold_against_lifetimes(Verdict verdict[Batch::kCapacity], uint32_t now_s) {
  uint32_t accepted[Batch::kCapacity];  // by group
  uint64_t bytes[Batch::kCapacity];
  for (uint32_t g = 0; g < groups_.size(); g++) accepted[g] = 0, bytes[g] = 0;
  for (uint32_t j = 0; j < jobs_.batch.size; j++) {
    if (verdict[j] != Verdict::kPending) continue;
    accepted[group_[j]]++;
    bytes[group_[j]] += inner_[j].total_bytes;
  }
  for (uint32_t g = 0; g < groups_.size(); g++) {
    if (accepted[g] == 0) continue;
    InboundSa& sa = groups_.sa(g);
    auto taken = sa.usage().take(accepted[g], bytes[g], now_s);
    if (!taken.watched) [[likely]] continue;
    uint32_t refused = 0;
    uint64_t refused_bytes = 0;
    for (uint32_t j = 0; j < jobs_.batch.size; j++) {
      if (group_[j] != g || verdict[j] != Verdict::kPending) continue;
      if (sa.lifetime.admits(taken, inner_[j].total_bytes)) continue;
      verdict[j] = Verdict::kLifetimeExpired;
      refused++;
      refused_bytes += inner_[j].total_bytes;
    }
    sa.usage().give_back(taken, refused, refused_bytes);
  }
}

/// Step 5: the window of each SA takes the authentic numbers of its group, in order of arrival.
void Inbound::advance_windows(Verdict verdict[Batch::kCapacity]) {
  // Bucket by group: where each begins, then every number to its place.
  uint32_t place[Batch::kCapacity];
  for (uint32_t g = 0, at = 0; g < groups_.size(); at += groups_.packets(g++)) place[g] = at;
  uint32_t end[Batch::kCapacity];
  for (uint32_t g = 0; g < groups_.size(); g++) end[g] = place[g];
  uint64_t sequence[Batch::kCapacity];
  uint8_t entry[Batch::kCapacity];
  for (uint32_t j = 0; j < jobs_.batch.size; j++) {
    if (!(authentic_ >> j & 1)) continue;
    const uint32_t at = end[group_[j]]++;
    sequence[at] = sequence_[j];
    entry[at] = static_cast<uint8_t>(j);
  }

  Outcome outcome[Batch::kCapacity];
  for (uint32_t g = 0; g < groups_.size(); g++) {
    const uint32_t count = end[g] - place[g];
    if (count == 0) continue;
    groups_.sa(g).window.advance({sequence + place[g], count}, outcome + place[g]);
    for (uint32_t at = place[g]; at < end[g]; at++) verdict[entry[at]] = verdict_of(outcome[at]);
  }
}

void inbound(Batch& batch, const uint16_t esp_offset[Batch::kCapacity],
             IpHeader inner[Batch::kCapacity], uint32_t now_s) {
  Inbound phases;
  phases.prepare(batch, esp_offset);
  phases.open();
  phases.finish(batch, inner, now_s);
}

}  // namespace esplane::esp
