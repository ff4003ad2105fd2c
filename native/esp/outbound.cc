#include "esp/outbound.h"

#include <algorithm>
#include <cstring>

#include "ah/header.h"
#include "ah/mutable_fields.h"
#include "base/bytes.h"
#include "esp/outer.h"
#include "esp/trailer.h"
#include "packet/checksum.h"
#include "packet/ip.h"

namespace esplane::esp {
namespace {

using base::load_be16;
using base::store_be16;
using base::store_be32;
using base::store_be64;
using packet::Batch;
using packet::Insertion;
using packet::Verdict;
using sad::Mode;
using sad::OutboundSa;
using sad::OuterHeader;
using sad::Protection;
using sad::Protocol;

constexpr uint32_t kMostIvBytes = 16, kMostPaddingBytes = 15;
static_assert(kMostOverheadBytes >= sizeof(OuterHeader::bytes) + packet::kEspHeaderBytes +
                                        kMostIvBytes + kMostPaddingBytes +
                                        packet::kEspTrailerBytes + crypto::Batch::kMostIcvBytes);

uint32_t udp_bytes(const OutboundSa& sa) {
  return sa.udp_encapsulation ? packet::kUdpHeaderBytes : 0;
}

/// Next header in tunnel mode. What is no IP packet is a dummy (RFC 4303 §2.6).
uint8_t ip_in_ip(const uint8_t* inner) {
  if (inner[0] >> 4 == 4) [[likely]] return packet::kIpv4InIp;
  return inner[0] >> 4 == 6 ? packet::kIpv6InIp : packet::kNoNextHeader;
}

/// AH's header, and the four bytes that ESN adds behind the packet for a while.
uint32_t ah_bytes(const OutboundSa& sa) {
  return ah::header_bytes(sa.protection, sa.outer().is_v4());
}
uint32_t ah_tail_bytes(const OutboundSa& sa) { return sa.protection.esn ? 4 : 0; }

bool has_room(const Batch& batch, uint32_t i, uint32_t before, uint32_t behind) {
  return batch.headroom(i) >= before && batch.tailroom(i) >= behind;
}

/// Over IPv4 the checksum of the encapsulating UDP stays zero (RFC 3948 §2.1). Over IPv6 it must
/// not be: receivers discard a zero unless they were told otherwise for the port (RFC 8200 §8.1,
/// RFC 6936), and a NAT-T socket is not.
void write_udp_checksum_v6(const uint8_t* ip, uint8_t* udp) {
  const uint32_t bytes = load_be16(udp + packet::kUdpLength);
  // The pseudo-header's addresses.
  uint64_t sum = packet::checksum_add(ip + packet::kIpv6Source, 32);
  sum = packet::checksum_add(udp, bytes, sum + packet::kUdp + bytes);
  const auto checksum = static_cast<uint16_t>(~packet::checksum_fold(sum));
  store_be16(udp + packet::kUdpChecksum, checksum == 0 ? 0xffff : checksum);
}

/// A packet of a transport mode SA goes from one of its ends to the other.
bool is_between_ends(const uint8_t* ip, const OuterHeader& outer) {
  if (outer.is_v4()) {
    return ip[0] >> 4 == 4 && std::memcmp(ip + packet::kIpv4Source,
                                          outer.bytes + packet::kIpv4Source, 8) == 0;
  }
  return ip[0] >> 4 == 6 && std::memcmp(ip + packet::kIpv6Source,
                                        outer.bytes + packet::kIpv6Source, 32) == 0;
}

/// Whether AH can say how the headers in front will look to the receiver.
bool can_authenticate(const uint8_t* ip, uint32_t bytes) {
  if (bytes > Masks::kMostBytes) return false;
  uint8_t copy[Masks::kMostBytes];
  std::memcpy(copy, ip, bytes);
  return ah::mask_mutable_fields(copy, bytes);
}

/// Step 1 in transport mode, and where the header goes.
Verdict check_transport(const Batch& batch, uint32_t i, const OutboundSa& sa, Insertion& at) {
  const uint8_t* ip = batch.data[i];
  const Verdict found = packet::find_insertion(ip, batch.length[i], at);
  if (found != Verdict::kPending) return found;
  if (!is_between_ends(ip, sa.outer())) return Verdict::kTransportAddress;
  if (sa.protocol == Protocol::kAh) {
    if (!can_authenticate(ip, at.offset)) return Verdict::kAhUnpredictable;
    return has_room(batch, i, ah_bytes(sa), ah_tail_bytes(sa)) ? Verdict::kPending
                                                               : Verdict::kNoHeadroom;
  }
  const Protection& p = sa.protection;
  const uint32_t behind =
      trailer_bytes(p.block_bytes, batch.length[i] - at.offset) + p.icv_bytes;
  return has_room(batch, i, udp_bytes(sa) + header_bytes(p), behind) ? Verdict::kPending
                                                                     : Verdict::kNoHeadroom;
}

/// Step 1: what is to be known before a sequence number is spent.
Verdict check(const Batch& batch, uint32_t i, const OutboundSa& sa, Insertion& at) {
  if (sa.mode == Mode::kTransport) [[unlikely]] return check_transport(batch, i, sa, at);
  if (has_room(batch, i, kMostOverheadBytes, kMostOverheadBytes)) [[likely]]
    return Verdict::kPending;
  const Protection& p = sa.protection;
  uint32_t before = sa.outer().size;
  uint32_t behind;
  if (sa.protocol == Protocol::kEsp) [[likely]] {
    before += header_bytes(p);
    behind = trailer_bytes(p.block_bytes, batch.length[i]) + p.icv_bytes;
  } else {
    before += ah_bytes(sa);
    behind = ah_tail_bytes(sa);
  }
  return has_room(batch, i, before, behind) ? Verdict::kPending : Verdict::kNoHeadroom;
}

/// Around the payload without its padding.
uint32_t overhead_bytes(const OutboundSa& sa) {
  const Protection& p = sa.protection;
  const uint32_t in_front = sa.mode == Mode::kTunnel ? sa.outer().size : udp_bytes(sa);
  if (sa.protocol == Protocol::kAh) return in_front + ah_bytes(sa);
  return in_front + header_bytes(p) + p.icv_bytes;
}

}  // namespace

uint32_t transport_kept_bytes(const uint8_t* ip, uint32_t bytes) {
  Insertion at;
  if (packet::find_insertion(ip, bytes, at) == Verdict::kPending) return at.offset;
  // None that transport mode carries; prepare() says why.
  return ip[0] >> 4 == 4 ? packet::kIpv4HeaderBytes : packet::kIpv6HeaderBytes;
}

uint32_t sealed_bytes(const OutboundSa& sa, uint32_t inner_bytes, uint32_t kept_bytes) {
  const uint32_t bytes = overhead_bytes(sa) + inner_bytes;
  if (sa.protocol == Protocol::kAh) return bytes;
  const uint32_t payload = sa.mode == Mode::kTunnel ? inner_bytes : inner_bytes - kept_bytes;
  return bytes + trailer_bytes(sa.protection.block_bytes, payload);
}

uint32_t largest_inner_bytes(const OutboundSa& sa, uint32_t path_mtu_bytes, uint32_t kept_bytes) {
  const uint32_t kept = sa.mode == Mode::kTunnel ? 0 : kept_bytes;
  const uint32_t around = overhead_bytes(sa) + kept;
  const uint32_t block = sa.protection.block_bytes;
  if (path_mtu_bytes < around + block) return 0;
  if (sa.protocol == Protocol::kAh) return path_mtu_bytes - around + kept;
  const uint32_t text_bytes = (path_mtu_bytes - around) / block * block;
  return text_bytes - packet::kEspTrailerBytes + kept;
}

// The steps follow RFC 4303 §3.3 and RFC 4302 §3.3; the SA was found before (§3.3.1).
//  1. Room in the frame for headers, trailer and ICV; in transport mode, whether the packet can go
//     through the SA at all.
//  2. Group by SA.
//  3. Lifetime (RFC 4301 §4.4.2.1), then sequence numbers, for each group at once (§3.3.3); those
//     that it is too late for stay behind.
//  4. ESP: trailer with padding, pad length, next header (§3.3.2).
//  5. ESP header and IV, or AH header.
//  6. UDP and outer IP header (§3.1.2; RFC 4301 §5.1.2); in transport mode the packet's own moves
//     to the front (§3.1.1).
//  7. The cryptographic job: nonce, associated data, text.
//  8. Encryption and ICV of all packets in one call (§3.3.2.2).
//  9. What covers the ciphertext: the UDP checksum over IPv6.
// 10. Counters: what was refused in step 3 is taken off.
void Outbound::prepare(Batch& batch, uint32_t now_s) {
  select(batch);
  uint64_t next[Batch::kCapacity];  // by group
  uint64_t end[Batch::kCapacity];
  near_end_ = 0;
  for (uint32_t g = 0; g < groups_.size(); g++) {
    OutboundSa& sa = groups_.sa(g);
    taken_[g] = sa.usage().take(groups_.packets(g), inner_bytes_[g], now_s);
    const OutboundSa::Reservation range = sa.reserve(taken_[g].refused ? 0 : groups_.packets(g));
    next[g] = range.first;
    end[g] = range.first + range.granted;
    near_end_ |= uint64_t{end[g] - 1 >= sa.near_end_from} << g;
  }
  for (uint32_t k = 0; k < selected_; k++) {
    const uint32_t i = index_[k];
    const uint32_t g = group_[k];
    OutboundSa& sa = groups_.sa(g);
    if (taken_[g].watched && !sa.lifetime.admits(taken_[g], batch.length[i])) [[unlikely]] {
      refuse(batch, k, Verdict::kLifetimeExpired);
    } else if (next[g] == end[g]) [[unlikely]] {
      refuse(batch, k, Verdict::kSequenceExhausted);
    } else {
      encapsulate(batch, k, sa, next[g]++);
    }
  }
}

void Outbound::refuse(Batch& batch, uint32_t k, Verdict verdict) {
  if (!any_refused_) {
    any_refused_ = true;
    std::fill_n(refused_, groups_.size(), 0u);
    std::fill_n(refused_bytes_, groups_.size(), uint64_t{0});
  }
  const uint32_t i = index_[k], g = group_[k];
  batch.verdict[i] = verdict;
  refused_[g]++;
  refused_bytes_[g] += batch.length[i];
}

/// Steps 1 and 2: which packets have an SA and room in their frame, by SA.
void Outbound::select(Batch& batch) {
  jobs_.clear();
  groups_.clear();
  selected_ = checksums_ = ivs_.size = 0;
  any_refused_ = false;
  for (uint32_t i = 0; i < batch.size; i++) {
    OutboundSa* sa = batch.outbound[i];
    if (batch.verdict[i] != Verdict::kPending || !sa) continue;
    const Verdict verdict = check(batch, i, *sa, insertion_[selected_]);
    if (verdict != Verdict::kPending) [[unlikely]] {
      batch.verdict[i] = verdict;
      continue;
    }
    const uint32_t g = groups_.join(sa);
    if (groups_.packets(g) == 1) inner_bytes_[g] = 0;
    inner_bytes_[g] += batch.length[i];
    index_[selected_] = static_cast<uint8_t>(i);
    group_[selected_] = static_cast<uint8_t>(g);
    selected_++;
  }
}

/// Steps 4 to 7 for one packet: everything but the encryption itself.
void Outbound::encapsulate(Batch& batch, uint32_t k, const OutboundSa& sa, uint64_t sequence) {
  const uint32_t i = index_[k];
  if (sa.protocol == Protocol::kEsp) [[likely]] {
    if (sa.mode == Mode::kTunnel) [[likely]] return esp_tunnel(batch, i, sa, sequence);
    return esp_transport(batch, i, sa, sequence, insertion_[k]);
  }
  if (sa.mode == Mode::kTunnel) return ah_tunnel(batch, i, sa, sequence);
  ah_transport(batch, i, sa, sequence, insertion_[k]);
}

/// SPI, low half of the sequence number, IV. That of a counter mode is the whole sequence number,
/// which never repeats under a key (RFC 4106 §3.1, RFC 3686 §3.1); CBC's cannot be foretold, and is
/// made with those of the batch.
void Outbound::write_esp_header(uint8_t* esp, const OutboundSa& sa, uint64_t sequence) {
  store_be32(esp + packet::kEspSpi, sa.spi);
  store_be32(esp + packet::kEspSequence, static_cast<uint32_t>(sequence));
  uint8_t* iv = esp + packet::kEspHeaderBytes;
  if (sa.protection.iv_bytes == 8) [[likely]] {
    store_be64(iv, sequence);
  } else if (sa.protection.iv_bytes == 16) {
    ivs_.add(sa.iv_stream, sequence, iv);
  }
}

void Outbound::esp_tunnel(Batch& batch, uint32_t i, const OutboundSa& sa, uint64_t sequence) {
  const Protection& p = sa.protection;
  uint8_t* inner = batch.data[i];
  const uint32_t inner_bytes = batch.length[i];
  const uint32_t padding = padding_bytes(p.block_bytes, inner_bytes);
  const uint32_t text_bytes = inner_bytes + padding + packet::kEspTrailerBytes;
  uint8_t* esp = inner - header_bytes(p);

  write_trailer(inner + inner_bytes, padding, ip_in_ip(inner));
  write_esp_header(esp, sa, sequence);
  const uint32_t esp_bytes = header_bytes(p) + text_bytes + p.icv_bytes;
  const OuterHeader& outer = sa.outer();
  batch.data[i] = write_outer(esp, esp_bytes, outer, inner,
                              static_cast<uint16_t>(sequence + sa.ip_id_offset));
  batch.length[i] = outer.size + esp_bytes;
  if (sa.udp_encapsulation && !outer.is_v4()) {
    checksum_later(batch.data[i], batch.data[i] + packet::kIpv6HeaderBytes);
  }
  jobs_.add(p, sequence, esp, text_bytes, Direction::kSeal);
}

void Outbound::esp_transport(Batch& batch, uint32_t i, const OutboundSa& sa, uint64_t sequence,
                             Insertion at) {
  const Protection& p = sa.protection;
  uint8_t* payload = batch.data[i] + at.offset;
  const uint32_t payload_bytes = batch.length[i] - at.offset;
  const uint32_t padding = padding_bytes(p.block_bytes, payload_bytes);
  const uint32_t text_bytes = payload_bytes + padding + packet::kEspTrailerBytes;
  uint8_t* esp = payload - header_bytes(p);

  write_trailer(payload + payload_bytes, padding, batch.data[i][at.next_field]);
  uint8_t* ip = batch.data[i] - header_bytes(p) - udp_bytes(sa);
  std::memmove(ip, batch.data[i], at.offset);
  write_esp_header(esp, sa, sequence);
  const uint32_t esp_bytes = header_bytes(p) + text_bytes + p.icv_bytes;
  ip[at.next_field] = packet::kEsp;
  if (sa.udp_encapsulation) {
    const OuterHeader& outer = sa.outer();
    uint8_t* udp = esp - packet::kUdpHeaderBytes;
    ip[at.next_field] = packet::kUdp;
    std::memcpy(udp, outer.bytes + outer.ip_bytes, packet::kUdpHeaderBytes);
    store_be16(udp + packet::kUdpLength,
               static_cast<uint16_t>(packet::kUdpHeaderBytes + esp_bytes));
    if (!outer.is_v4()) checksum_later(ip, udp);
  }
  batch.data[i] = ip;
  batch.length[i] = static_cast<uint32_t>(esp - ip) + esp_bytes;
  packet::write_length(ip, batch.length[i]);
  jobs_.add(p, sequence, esp, text_bytes, Direction::kSeal);
}

void Outbound::ah_tunnel(Batch& batch, uint32_t i, const OutboundSa& sa, uint64_t sequence) {
  uint8_t* inner = batch.data[i];
  const uint32_t bytes = ah_bytes(sa);
  uint8_t* header = inner - bytes;
  ah::write_header(header, sa.protection, bytes, ip_in_ip(inner), sa.spi, sequence);
  batch.data[i] = write_outer(header, bytes + batch.length[i], sa.outer(), inner,
                              static_cast<uint16_t>(sequence + sa.ip_id_offset));
  batch.length[i] += static_cast<uint32_t>(inner - batch.data[i]);
  add_ah(batch, i, sa, sequence, header);
}

void Outbound::ah_transport(Batch& batch, uint32_t i, const OutboundSa& sa, uint64_t sequence,
                            Insertion at) {
  const uint32_t bytes = ah_bytes(sa);
  uint8_t* ip = batch.data[i] - bytes;
  std::memmove(ip, batch.data[i], at.offset);
  uint8_t* header = ip + at.offset;
  ah::write_header(header, sa.protection, bytes, ip[at.next_field], sa.spi, sequence);
  ip[at.next_field] = packet::kAh;
  batch.data[i] = ip;
  batch.length[i] += bytes;
  packet::write_length(ip, batch.length[i]);
  add_ah(batch, i, sa, sequence, header);
}

/// The headers before AH are put back behind the computation.
void Outbound::add_ah(Batch& batch, uint32_t i, const OutboundSa& sa, uint64_t sequence,
                      uint8_t* header) {
  uint8_t* ip = batch.data[i];
  const auto kept_bytes = static_cast<uint32_t>(header - ip);
  jobs_.masks.keep(ip, kept_bytes);
  ah::mask_mutable_fields(ip, kept_bytes);
  uint8_t* icv = header + ah::kIcvField + sa.protection.iv_bytes;
  jobs_.add_ah(sa.protection, sequence, ip, batch.length[i], icv, Direction::kSeal);
}

void Outbound::checksum_later(uint8_t* ip, uint8_t* udp) {
  checksum_ip_[checksums_] = ip;
  checksum_udp_[checksums_] = udp;
  checksums_++;
}

void Outbound::seal() {
  if (ivs_.size != 0) crypto::write_ivs(ivs_);
  jobs_.seal();
  for (uint32_t k = 0; k < checksums_; k++) {
    write_udp_checksum_v6(checksum_ip_[k], checksum_udp_[k]);
  }
}

void Outbound::finish() {
  if (!any_refused_) [[likely]] return;
  for (uint32_t g = 0; g < groups_.size(); g++) {
    if (refused_[g] != 0)
      groups_.sa(g).usage().give_back(taken_[g], refused_[g], refused_bytes_[g]);
  }
}

void outbound(Batch& batch, uint32_t now_s) {
  Outbound phases;
  phases.prepare(batch, now_s);
  phases.seal();
  phases.finish();
}

}  // namespace esplane::esp
