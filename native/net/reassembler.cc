#include "net/reassembler.h"

#include <algorithm>
#include <cstring>
#include <iterator>

#include "base/bytes.h"
#include "packet/checksum.h"

namespace esplane::net {
namespace {

using base::load_be16;
using base::load_be32;
using base::store_be16;
using packet::Verdict;

constexpr uint32_t kFragmentHeaderBytes = 8;
constexpr uint32_t kMostBytes = 65'535;  ///< IPv4: of the packet; IPv6: behind its first 40 bytes
constexpr uint8_t kNotEct = 1 << 0, kCe = 1 << 3;  ///< bits of Datagram::ecn_seen

bool is_v6(const uint8_t* ip) { return ip[0] >> 4 == 6; }

/// Finds the Fragment header of an IPv6 packet behind the headers that every fragment repeats
/// (RFC 8200 §4.5).
/// @param next_at  where the header before it names it
/// @return its offset, or 0
uint32_t find_fragment_header(const uint8_t* ip, uint32_t bytes, uint32_t& next_at) {
  next_at = packet::kIpv6NextHeader;
  uint32_t at = packet::kIpv6HeaderBytes;
  for (;;) {
    const uint8_t next = ip[next_at];
    if (bytes - at < kFragmentHeaderBytes) return 0;
    if (next == packet::kFragmentHeader) return at;
    if (next != packet::kHopByHop && next != packet::kRouting && next != packet::kDestinationOptions)
      return 0;
    next_at = at;
    const uint32_t length = 8 + ip[at + 1] * 8u;
    if (bytes - at < length) return 0;
    at += length;
  }
}

/// Makes the packet whole again as far as its headers say: length, fragment fields, ECN, checksum.
void mend_header(uint8_t* ip, uint32_t bytes, bool congested) {
  if (is_v6(ip)) {
    store_be16(ip + packet::kIpv6PayloadLength,
               static_cast<uint16_t>(bytes - packet::kIpv6HeaderBytes));
    if (congested) ip[1] |= 0x30;
    return;
  }
  store_be16(ip + packet::kIpv4TotalLength, static_cast<uint16_t>(bytes));
  store_be16(ip + packet::kIpv4Fragment,
             load_be16(ip + packet::kIpv4Fragment) & packet::kIpv4DontFragment);
  if (congested) ip[packet::kIpv4Tos] |= 3;
  store_be16(ip + packet::kIpv4Checksum, 0);
  store_be16(ip + packet::kIpv4Checksum,
             packet::internet_checksum(ip, (ip[0] & 0xfu) * 4));
}

}  // namespace

Reassembler::Reassembler(uint64_t seed, uint32_t slot_bytes, const Limits& limits)
    : seed_(seed | 1),
      slot_bytes_(slot_bytes),
      limits_(limits),
      datagrams_(limits.datagrams),
      fragments_(limits.fragments),
      data_(std::make_unique_for_overwrite<uint8_t[]>(size_t{limits.fragments} * slot_bytes)) {
  std::fill(std::begin(buckets_), std::end(buckets_), kNone);
  for (uint32_t i = 0; i < limits.datagrams; i++)
    datagrams_[i].bucket_next = i - 1;
  for (uint32_t i = 0; i < limits.fragments; i++) fragments_[i].next = i - 1;
  free_datagram_ = limits.datagrams - 1;
  free_fragment_ = limits.fragments - 1;
}

// Steps:
//  1. what the fragment says of itself; impossible ones are refused alone
//  2. its datagram, or a new one, for which the oldest may have to give way
//  3. a datagram given up stays so until its time is over (RFC 5722 §4)
//  4. its place among the others: duplicate, overlap, contradiction
//  5. a copy of it, for which others may have to give way
//  6. complete: the data is gapless from 0 to the end of the last
Reassembler::Result Reassembler::add(const uint8_t* ip, const packet::IpHeader& header,
                                     uint32_t now_ms) {
  Piece piece;
  if (!read(ip, header, piece) || piece.header_bytes + (piece.end - piece.offset) > slot_bytes_)
    return {.state = State::kRefused, .verdict = Verdict::kFragmentInvalid};

  Result result{.state = State::kHeld};
  const uint64_t hashed = hash(piece.key);
  Index index = find(piece.key, hashed);
  if (index == kNone) index = create(piece.key, hashed, now_ms, result.evicted);
  Datagram& d = datagrams_[index];
  if (d.ruined != Verdict::kPending) return refuse(d, d.ruined, result.evicted);

  Index before;
  const Verdict verdict = place(d, piece, before);
  if (verdict == Verdict::kFragmentDuplicate)
    return {.state = State::kRefused, .verdict = verdict, .evicted = result.evicted};
  if (verdict != Verdict::kPending) return refuse(d, verdict, result.evicted);

  const Index at = make_room(sources_[d.source], index, result.evicted);
  if (at == kNone) return refuse(d, Verdict::kFragmentLimit, result.evicted);
  const uint32_t others = d.fragments;
  store(d, piece, ip, at, before);
  if (!d.has_last || d.received != d.highest) return result;
  return conclude(index, others, result.evicted);
}

/// Step 1. @return false for what no sender can have meant
bool Reassembler::read(const uint8_t* ip, const packet::IpHeader& header, Piece& out) {
  out.key = {.source = header.source, .destination = header.destination};
  out.ecn = header.tos & 3;
  out.more = header.more_fragments;
  out.offset = header.fragment_offset;
  uint32_t data_at;
  if (header.family == packet::Family::kV4) {
    out.key.id = load_be16(ip + packet::kIpv4Id);
    out.key.protocol = header.protocol;
    out.header_bytes = data_at = header.header_bytes;
    out.next_at = out.next = 0;
  } else {
    const uint32_t at = find_fragment_header(ip, header.total_bytes, out.next_at);
    if (at == 0) return false;
    out.key.id = load_be32(ip + at + 4);
    out.key.protocol = 0;
    out.header_bytes = at;
    out.next = ip[at];
    data_at = at + kFragmentHeaderBytes;
  }
  out.data = ip + data_at;
  const uint32_t bytes = header.total_bytes - data_at;
  out.end = out.offset + bytes;
  const uint32_t repeated =
      header.family == packet::Family::kV4 ? out.header_bytes
                                           : out.header_bytes - packet::kIpv6HeaderBytes;
  return bytes > 0 && header.is_fragment() && (!out.more || bytes % 8 == 0) &&
         repeated + out.end <= kMostBytes;
}

uint64_t Reassembler::hash(const Key& key) const {
  const uint64_t h = address_hash(key.source, seed_) ^
                     address_hash(key.destination, seed_ * 3) ^ (uint64_t{key.id} << 8 | key.protocol);
  return (h * 0x9e3779b97f4a7c15u) >> 40;
}

Reassembler::Index Reassembler::find(const Key& key, uint64_t hashed) const {
  Index i = buckets_[hashed % kBuckets];
  while (i != kNone && !(datagrams_[i].key == key))
    i = datagrams_[i].bucket_next;
  return i;
}

/// Step 2. There always is an oldest that can go.
Reassembler::Index Reassembler::create(const Key& key, uint64_t hashed, uint32_t now_ms,
                                       uint32_t& evicted) {
  // One subscriber has a whole IPv6 /64: such sources share.
  IpAddress network = key.source;
  if (network.is_v6()) std::memset(network.bytes + 8, 0, 8);
  const auto source_index = static_cast<uint16_t>(address_hash(network, seed_) % kSources);
  Source& source = sources_[source_index];
  if (source.datagrams >= limits_.source_datagrams) evicted += forget(source.queue.oldest);
  if (free_datagram_ == kNone) evicted += forget(ages_.oldest);

  const Index index = free_datagram_;
  Datagram& d = datagrams_[index];
  free_datagram_ = d.bucket_next;
  d = Datagram{.key = key, .bucket_next = buckets_[hashed % kBuckets], .since_ms = now_ms,
               .received = 0, .highest = 0, .fragments = 0, .source = source_index,
               .ecn_seen = 0, .has_last = false, .ruined = Verdict::kPending};
  buckets_[hashed % kBuckets] = index;
  append(ages_, &Datagram::by_age, index);
  append(source.queue, &Datagram::by_source, index);
  source.datagrams++;
  known_++;
  return index;
}

/// Step 5: a free slot. Whoever has more than its share loses its own oldest datagram first.
/// @return kNone where only the datagram `keep` itself could give way
Reassembler::Index Reassembler::make_room(Source& source, Index keep, uint32_t& evicted) {
  while (source.fragments >= limits_.source_fragments) {
    const Index oldest = oldest_but(source.queue, &Datagram::by_source, keep);
    if (oldest == kNone) return kNone;
    evicted += forget(oldest);
  }
  while (free_fragment_ == kNone) {
    const Index oldest = oldest_but(ages_, &Datagram::by_age, keep);
    if (oldest == kNone) return kNone;
    evicted += forget(oldest);
  }
  return free_fragment_;
}

Reassembler::Index Reassembler::oldest_but(const Queue& queue, Link Datagram::*link,
                                           Index keep) const {
  if (queue.oldest != keep) return queue.oldest;
  return (datagrams_[keep].*link).newer;
}

/// Step 4. @param before  the fragment that comes right before this one, or kNone
Verdict Reassembler::place(Datagram& d, const Piece& piece, Index& before) const {
  before = kNone;
  Index at = d.first;
  while (at != kNone && fragments_[at].offset < piece.offset) {
    before = at;
    at = fragments_[at].next;
  }
  const uint32_t bytes = piece.end - piece.offset;
  if (at != kNone) {
    const Fragment& follower = fragments_[at];
    const bool is_last = d.has_last && piece.end == d.highest;
    if (follower.offset == piece.offset && follower.bytes == bytes && is_last == !piece.more &&
        std::memcmp(slot(at) + follower.header_bytes, piece.data, bytes) == 0)
      return Verdict::kFragmentDuplicate;
    if (piece.end > follower.offset) return Verdict::kFragmentOverlap;
  }
  if (before != kNone) {
    const Fragment& leader = fragments_[before];
    if (uint32_t{leader.offset} + leader.bytes > piece.offset) return Verdict::kFragmentOverlap;
  }
  // Two ends, or something behind the end.
  if (!piece.more && (d.has_last || piece.end < d.highest)) return Verdict::kFragmentOverlap;
  if (d.has_last && piece.end > d.highest) return Verdict::kFragmentOverlap;
  if (d.fragments >= limits_.fragments_each) return Verdict::kFragmentLimit;
  return Verdict::kPending;
}

void Reassembler::store(Datagram& d, const Piece& piece, const uint8_t* ip, Index at,
                        Index before) {
  Fragment& f = fragments_[at];
  free_fragment_ = f.next;
  uint8_t* to = slot(at);
  f.offset = static_cast<uint16_t>(piece.offset);
  f.bytes = static_cast<uint16_t>(piece.end - piece.offset);
  f.header_bytes = 0;
  if (piece.offset == 0) {  // the headers of the first one are the datagram's
    f.header_bytes = static_cast<uint16_t>(piece.header_bytes);
    std::memcpy(to, ip, piece.header_bytes);
    if (is_v6(ip)) to[piece.next_at] = piece.next;
    to += piece.header_bytes;
  }
  std::memcpy(to, piece.data, f.bytes);
  Index& link = before == kNone ? d.first : fragments_[before].next;
  f.next = link;
  link = at;

  d.received += f.bytes;
  d.highest = std::max(d.highest, piece.end);
  d.has_last |= !piece.more;
  d.ecn_seen |= static_cast<uint8_t>(1u << piece.ecn);
  d.fragments++;
  sources_[d.source].fragments++;
  held_++;
}

/// Step 6. CE beside Not-ECT cannot be passed on (RFC 3168 §5.3), nor can what the headers of the
/// first fragment make too long.
Reassembler::Result Reassembler::conclude(Index index, uint32_t others, uint32_t evicted) {
  Datagram& d = datagrams_[index];
  const Fragment& first = fragments_[d.first];
  const uint32_t bytes = first.header_bytes + d.highest;
  const uint32_t counted = is_v6(slot(d.first)) ? bytes - packet::kIpv6HeaderBytes : bytes;
  if (counted > kMostBytes || ((d.ecn_seen & kCe) && (d.ecn_seen & kNotEct))) {
    Result result = refuse(d, Verdict::kFragmentInvalid, evicted);
    result.others = others;  // the one just stored is the caller's
    return result;
  }
  complete_ = index;
  return {.state = State::kComplete, .others = others, .evicted = evicted, .bytes = bytes};
}

void Reassembler::take(uint8_t* to) {
  const Datagram& d = datagrams_[complete_];
  const uint32_t header_bytes = fragments_[d.first].header_bytes;
  std::memcpy(to, slot(d.first), header_bytes);
  for (Index i = d.first; i != kNone; i = fragments_[i].next) {
    const Fragment& f = fragments_[i];
    std::memcpy(to + header_bytes + f.offset, slot(i) + f.header_bytes, f.bytes);
  }
  mend_header(to, header_bytes + d.highest, (d.ecn_seen & kCe) != 0);
  forget(complete_);
  complete_ = kNone;
}

/// Gives a datagram up. What is still to come of it meets the same verdict.
Reassembler::Result Reassembler::refuse(Datagram& d, Verdict why, uint32_t evicted) {
  d.ruined = why;
  return {.state = State::kRefused, .verdict = why, .others = free_fragments(d), .evicted = evicted};
}

uint32_t Reassembler::expire(uint32_t now_ms) {
  uint32_t fragments = 0;
  while (ages_.oldest != kNone &&
         now_ms - datagrams_[ages_.oldest].since_ms >= limits_.timeout_ms)
    fragments += forget(ages_.oldest);
  return fragments;
}

uint32_t Reassembler::clear() {
  uint32_t fragments = 0;
  while (ages_.oldest != kNone) fragments += forget(ages_.oldest);
  return fragments;
}

uint32_t Reassembler::free_fragments(Datagram& d) {
  const uint32_t freed = d.fragments;
  while (d.first != kNone) {
    const Index at = d.first;
    d.first = fragments_[at].next;
    fragments_[at].next = free_fragment_;
    free_fragment_ = at;
  }
  d.fragments = 0;
  sources_[d.source].fragments -= freed;
  held_ -= freed;
  return freed;
}

/// @return its fragments
uint32_t Reassembler::forget(Index index) {
  Datagram& d = datagrams_[index];
  const uint32_t freed = free_fragments(d);
  Source& source = sources_[d.source];
  unlink(ages_, &Datagram::by_age, index);
  unlink(source.queue, &Datagram::by_source, index);
  source.datagrams--;
  known_--;
  Index* link = &buckets_[hash(d.key) % kBuckets];
  while (*link != index) link = &datagrams_[*link].bucket_next;
  *link = d.bucket_next;
  d.bucket_next = free_datagram_;
  free_datagram_ = index;
  return freed;
}

void Reassembler::append(Queue& queue, Link Datagram::*link, Index index) {
  Link& own = datagrams_[index].*link;
  own = {.older = queue.newest, .newer = kNone};
  if (queue.newest == kNone) {
    queue.oldest = index;
  } else {
    (datagrams_[queue.newest].*link).newer = index;
  }
  queue.newest = index;
}

void Reassembler::unlink(Queue& queue, Link Datagram::*link, Index index) {
  const Link own = datagrams_[index].*link;
  (own.older == kNone ? queue.oldest : (datagrams_[own.older].*link).newer) =
      own.newer;
  (own.newer == kNone ? queue.newest : (datagrams_[own.newer].*link).older) =
      own.older;
}

}  // namespace esplane::net
