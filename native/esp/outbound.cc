#include "esp/outbound.h"

#include <cstring>

#include "base/bytes.h"
#include "packet/checksum.h"
#include "packet/ip.h"

namespace esplane::esp {
namespace {

using base::load_be16;
using base::store_be16;
using base::store_be32;
using base::store_be64;
using packet::Batch;
using packet::Verdict;
using sad::OutboundSa;

/// Blocks are powers of two.
uint32_t padding_bytes(const crypto::Suite& suite, uint32_t inner_bytes) {
  return (0u - (inner_bytes + packet::kEspTrailerBytes)) & (suite.block_bytes - 1u);
}

uint32_t trailer_bytes(const crypto::Suite& suite, uint32_t inner_bytes) {
  return padding_bytes(suite, inner_bytes) + packet::kEspTrailerBytes;
}

bool is_v4(const uint8_t* ip) { return ip[0] >> 4 == 4; }

/// Padding 1, 2, 3, ..., pad length, next header (RFC 4303 §2.4 to §2.6).
void write_trailer(uint8_t* end, uint32_t padding, uint8_t next_header) {
  for (uint32_t i = 0; i < padding; i++) end[i] = static_cast<uint8_t>(i + 1);
  end[padding] = static_cast<uint8_t>(padding);
  end[padding + 1] = next_header;
}

/// SPI, low half of the sequence number; the IV is the whole sequence number, which never repeats
/// under a key (RFC 4106 §3.1).
void write_esp_header(uint8_t* esp, const OutboundSa& sa, uint64_t sequence) {
  store_be32(esp + packet::kEspSpi, sa.spi);
  store_be32(esp + packet::kEspSequence, static_cast<uint32_t>(sequence));
  store_be64(esp + packet::kEspHeaderBytes, sequence);
}

/// IPv4 outer header (RFC 4301 §5.1.2.1): DSCP copied; ECN copied (RFC 6040 §4.1, normal mode); DF
/// copied, and set over IPv6, which no router fragments.
/// @param sum  over the header as it is in the SA, where these fields are zero
void write_outer_v4(uint8_t* outer, uint32_t sum, uint32_t outer_packet_bytes,
                    const uint8_t* inner, uint16_t id) {
  const bool inner_v4 = is_v4(inner);
  const uint8_t tos =
      inner_v4 ? inner[packet::kIpv4Tos] : static_cast<uint8_t>(load_be16(inner) >> 4);
  const uint16_t fragment =
      inner_v4 ? load_be16(inner + packet::kIpv4Fragment) & packet::kIpv4DontFragment
               : packet::kIpv4DontFragment;
  outer[packet::kIpv4Tos] = tos;
  store_be16(outer + packet::kIpv4TotalLength, static_cast<uint16_t>(outer_packet_bytes));
  store_be16(outer + packet::kIpv4Id, id);
  store_be16(outer + packet::kIpv4Fragment, fragment);
  sum += tos + outer_packet_bytes + id + fragment;
  store_be16(outer + packet::kIpv4Checksum, static_cast<uint16_t>(~packet::checksum_fold(sum)));
}

/// IPv6 outer header (RFC 4301 §5.1.2.2): DSCP and ECN as above.
void write_outer_v6(uint8_t* outer, uint32_t outer_packet_bytes, const uint8_t* inner) {
  const uint32_t tos =
      is_v4(inner) ? inner[packet::kIpv4Tos] : static_cast<uint8_t>(load_be16(inner) >> 4);
  store_be32(outer, 0x60000000u | tos << 20);
  store_be16(outer + packet::kIpv6PayloadLength,
             static_cast<uint16_t>(outer_packet_bytes - packet::kIpv6HeaderBytes));
}

/// Copies the SA's outer headers; each size is a handful of moves.
void copy_outer(uint8_t* to, const OutboundSa& sa) {
  switch (sa.outer_bytes) {
    case packet::kIpv4HeaderBytes:
      std::memcpy(to, sa.outer, packet::kIpv4HeaderBytes);
      break;
    case packet::kIpv4HeaderBytes + packet::kUdpHeaderBytes:
      std::memcpy(to, sa.outer, packet::kIpv4HeaderBytes + packet::kUdpHeaderBytes);
      break;
    case packet::kIpv6HeaderBytes:
      std::memcpy(to, sa.outer, packet::kIpv6HeaderBytes);
      break;
    default:
      std::memcpy(to, sa.outer, packet::kIpv6HeaderBytes + packet::kUdpHeaderBytes);
  }
}

/// The outer headers before `esp`, while the inner header can still be read.
/// @param esp_bytes  from the SPI to the end of the ICV
/// @return           first byte of the outer packet
uint8_t* write_outer(uint8_t* esp, const OutboundSa& sa, uint64_t sequence, const uint8_t* inner,
                     uint32_t esp_bytes) {
  uint8_t* outer = esp - sa.outer_bytes;
  const uint32_t bytes = sa.outer_bytes + esp_bytes;
  copy_outer(outer, sa);
  if (sa.outer_ip_bytes == packet::kIpv4HeaderBytes) {
    write_outer_v4(outer, sa.outer_sum, bytes, inner,
                   static_cast<uint16_t>(sequence + sa.ip_id_offset));
  } else {
    write_outer_v6(outer, bytes, inner);
  }
  if (sa.udp_encapsulation) {
    store_be16(outer + sa.outer_ip_bytes + packet::kUdpLength,
               static_cast<uint16_t>(packet::kUdpHeaderBytes + esp_bytes));
  }
  return outer;
}

/// Over IPv4 the checksum of the encapsulating UDP stays zero (RFC 3948 §2.1). Over IPv6 it must
/// not be: receivers discard a zero unless they were told otherwise for the port (RFC 8200 §8.1,
/// RFC 6936), and a NAT-T socket is not.
void write_udp_checksum_v6(uint8_t* outer, uint32_t bytes) {
  uint8_t* udp = outer + packet::kIpv6HeaderBytes;
  const uint32_t udp_bytes = bytes - packet::kIpv6HeaderBytes;
  // The pseudo-header's addresses are the 32 bytes before the UDP header.
  uint64_t sum = packet::checksum_add(outer + packet::kIpv6Source, 32);
  sum = packet::checksum_add(udp, udp_bytes, sum + packet::kUdp + udp_bytes);
  const auto checksum = static_cast<uint16_t>(~packet::checksum_fold(sum));
  store_be16(udp + packet::kUdpChecksum, checksum == 0 ? 0xffff : checksum);
}

/// Steps 4 to 7 for one packet: everything but the encryption itself.
void encapsulate(Batch& batch, uint32_t i, const OutboundSa& sa, uint64_t sequence, Jobs& jobs) {
  const crypto::Suite& suite = *sa.suite;
  uint8_t* inner = batch.data[i];
  const uint32_t inner_bytes = batch.length[i];
  const uint32_t text_bytes = inner_bytes + trailer_bytes(suite, inner_bytes);
  const uint8_t next_header = is_v4(inner) ? packet::kIpv4InIp : packet::kIpv6InIp;
  uint8_t* esp = inner - header_bytes(suite);

  write_trailer(inner + inner_bytes, padding_bytes(suite, inner_bytes), next_header);
  write_esp_header(esp, sa, sequence);
  jobs.add(sa, sequence, esp, text_bytes);
  const uint32_t esp_bytes = header_bytes(suite) + text_bytes + suite.icv_bytes;
  batch.data[i] = write_outer(esp, sa, sequence, inner, esp_bytes);
  batch.length[i] = sa.outer_bytes + esp_bytes;
}

/// Around the text: outer headers, ESP header, IV, ICV.
uint32_t overhead_bytes(const OutboundSa& sa) {
  return sa.outer_bytes + header_bytes(*sa.suite) + sa.suite->icv_bytes;
}

}  // namespace

uint32_t sealed_bytes(const OutboundSa& sa, uint32_t inner_bytes) {
  return overhead_bytes(sa) + inner_bytes + trailer_bytes(*sa.suite, inner_bytes);
}

uint32_t largest_inner_bytes(const OutboundSa& sa, uint32_t path_mtu_bytes) {
  const uint32_t around = overhead_bytes(sa);
  const uint32_t block = sa.suite->block_bytes;
  if (path_mtu_bytes < around + block) return 0;
  const uint32_t text_bytes = (path_mtu_bytes - around) / block * block;
  return text_bytes - packet::kEspTrailerBytes;
}

// The steps follow RFC 4303 §3.3; the SA was found before (§3.3.1).
//  1. Room in the frame for headers, trailer and ICV.
//  2. Group by SA.
//  3. Lifetime (RFC 4301 §4.4.2.1), then sequence numbers, for each group at once (§3.3.3); those
//     that it is too late for stay behind.
//  4. Trailer: padding, pad length, next header (§3.3.2).
//  5. ESP header and IV.
//  6. The cryptographic job: nonce, associated data, text.
//  7. UDP and outer IP header (§3.1.2; RFC 4301 §5.1.2).
//  8. Encryption and ICV of all packets in one call (§3.3.2.2).
//  9. What covers the ciphertext: the UDP checksum over IPv6.
// 10. Counters: what was refused in step 3 is taken off.
void Outbound::prepare(Batch& batch, uint32_t now_s) {
  select(batch);
  uint64_t next[Batch::kCapacity];  // by group
  uint64_t end[Batch::kCapacity];
  for (uint32_t g = 0; g < groups_.size(); g++) {
    OutboundSa& sa = groups_.sa(g);
    refused_[g] = 0;
    refused_bytes_[g] = 0;
    taken_[g] = sa.usage().take(groups_.packets(g), inner_bytes_[g], now_s);
    const OutboundSa::Reservation range = sa.reserve(taken_[g].refused ? 0 : groups_.packets(g));
    next[g] = range.first;
    end[g] = range.first + range.granted;
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
      encapsulate(batch, i, sa, next[g]++, jobs_);
      if (sa.udp_encapsulation && sa.outer_ip_bytes == packet::kIpv6HeaderBytes) {
        checksum_of_[checksums_++] = batch.data[i];
      }
    }
  }
}

void Outbound::refuse(Batch& batch, uint32_t k, Verdict verdict) {
  const uint32_t i = index_[k], g = group_[k];
  batch.verdict[i] = verdict;
  refused_[g]++;
  refused_bytes_[g] += batch.length[i];
}

/// Steps 1 and 2: which packets have an SA and room in their frame, by SA.
void Outbound::select(Batch& batch) {
  jobs_.batch.size = 0;
  groups_.clear();
  selected_ = checksums_ = 0;
  for (uint32_t i = 0; i < batch.size; i++) {
    OutboundSa* sa = batch.outbound[i];
    if (batch.verdict[i] != Verdict::kPending || !sa) continue;
    const crypto::Suite& suite = *sa->suite;
    if (batch.headroom(i) < sa->outer_bytes + header_bytes(suite) ||
        batch.tailroom(i) < trailer_bytes(suite, batch.length[i]) + suite.icv_bytes) {
      batch.verdict[i] = Verdict::kNoHeadroom;
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

void Outbound::seal() {
  jobs_.seal();
  for (uint32_t k = 0; k < checksums_; k++) {
    uint8_t* ip = checksum_of_[k];
    const uint32_t bytes =
        packet::kIpv6HeaderBytes + uint32_t{load_be16(ip + packet::kIpv6PayloadLength)};
    write_udp_checksum_v6(ip, bytes);
  }
}

void Outbound::finish() {
  for (uint32_t g = 0; g < groups_.size(); g++) {
    if (refused_[g] != 0) [[unlikely]]
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
