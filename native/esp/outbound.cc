#include "esp/outbound.h"

#include <cstring>

#include "base/bytes.h"
#include "crypto/aead.h"
#include "esp/gcm.h"
#include "esp/sa_groups.h"
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

using Groups = SaGroups<OutboundSa>;

uint32_t padding_bytes(uint32_t inner_bytes) {
  return (0u - (inner_bytes + packet::kEspTrailerBytes)) % kAlignment;
}

uint32_t trailer_bytes(uint32_t inner_bytes) {
  return padding_bytes(inner_bytes) + packet::kEspTrailerBytes;
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

/// Packets of the batch that are to be sealed.
struct Selected {
  uint32_t size = 0;
  uint8_t index[Batch::kCapacity];
  uint8_t group[Batch::kCapacity];
};

/// Steps 1 and 2: which packets have an SA and room in their frame, by SA.
void select(Batch& batch, Selected& selected, Groups& groups) {
  for (uint32_t i = 0; i < batch.size; i++) {
    OutboundSa* sa = batch.outbound[i];
    if (batch.verdict[i] != Verdict::kPending || !sa) continue;
    if (batch.headroom(i) < sa->outer_bytes + kGcmHeaderBytes ||
        batch.tailroom(i) < trailer_bytes(batch.length[i]) + kGcmIcvBytes) {
      batch.verdict[i] = Verdict::kNoHeadroom;
      continue;
    }
    selected.index[selected.size] = static_cast<uint8_t>(i);
    selected.group[selected.size] = static_cast<uint8_t>(groups.join(sa));
    selected.size++;
  }
}

/// Steps 4 to 7 for one packet: everything but the encryption itself.
void encapsulate(Batch& batch, uint32_t i, const OutboundSa& sa, uint64_t sequence,
                 GcmJobs& jobs) {
  uint8_t* inner = batch.data[i];
  const uint32_t inner_bytes = batch.length[i];
  const uint32_t text_bytes = inner_bytes + trailer_bytes(inner_bytes);
  const uint8_t next_header = is_v4(inner) ? packet::kIpv4InIp : packet::kIpv6InIp;
  uint8_t* esp = inner - kGcmHeaderBytes;

  write_trailer(inner + inner_bytes, padding_bytes(inner_bytes), next_header);
  write_esp_header(esp, sa, sequence);
  jobs.add(sa, sequence, esp, text_bytes);
  const uint32_t esp_bytes = kGcmHeaderBytes + text_bytes + kGcmIcvBytes;
  batch.data[i] = write_outer(esp, sa, sequence, inner, esp_bytes);
  batch.length[i] = sa.outer_bytes + esp_bytes;
}

}  // namespace

uint32_t sealed_bytes(const OutboundSa& sa, uint32_t inner_bytes) {
  return sa.outer_bytes + kGcmHeaderBytes + inner_bytes + trailer_bytes(inner_bytes) +
         kGcmIcvBytes;
}

uint32_t largest_inner_bytes(const OutboundSa& sa, uint32_t path_mtu_bytes) {
  const uint32_t around = sa.outer_bytes + kGcmHeaderBytes + kGcmIcvBytes;
  if (path_mtu_bytes < around + kAlignment) return 0;
  const uint32_t text_bytes = (path_mtu_bytes - around) / kAlignment * kAlignment;
  return text_bytes - packet::kEspTrailerBytes;
}

// The steps follow RFC 4303 §3.3; the SA was found before (§3.3.1).
//  1. Room in the frame for headers, trailer and ICV.
//  2. Group by SA.
//  3. Sequence numbers for each group at once (§3.3.3); those that it is too late for stay behind.
//  4. Trailer: padding, pad length, next header (§3.3.2).
//  5. ESP header and IV.
//  6. The AEAD job: nonce, associated data, text.
//  7. UDP and outer IP header (§3.1.2; RFC 4301 §5.1.2).
//  8. Encryption and ICV of all packets in one call (§3.3.2.2).
//  9. What covers the ciphertext: the UDP checksum over IPv6.
// 10. Counters.
void outbound(Batch& batch) {
  Selected selected;
  Groups groups;
  select(batch, selected, groups);
  if (selected.size == 0) return;

  uint64_t next[Batch::kCapacity];  // by group
  uint32_t granted[Batch::kCapacity];
  uint64_t inner_bytes[Batch::kCapacity];
  uint32_t sent[Batch::kCapacity];
  for (uint32_t g = 0; g < groups.size(); g++) {
    const OutboundSa::Reservation range = groups.sa(g).reserve(groups.packets(g));
    next[g] = range.first;
    granted[g] = range.granted;
    inner_bytes[g] = 0;
    sent[g] = 0;
  }

  GcmJobs jobs;
  for (uint32_t k = 0; k < selected.size; k++) {
    const uint32_t i = selected.index[k];
    const uint32_t g = selected.group[k];
    if (sent[g] == granted[g]) {
      batch.verdict[i] = Verdict::kSequenceExhausted;
      continue;
    }
    inner_bytes[g] += batch.length[i];
    encapsulate(batch, i, groups.sa(g), next[g] + sent[g]++, jobs);
  }

  crypto::gcm_kernel().seal(jobs.batch);

  for (uint32_t k = 0; k < selected.size; k++) {
    const uint32_t i = selected.index[k];
    const OutboundSa& sa = groups.sa(selected.group[k]);
    const bool v6_in_udp = sa.udp_encapsulation && sa.outer_ip_bytes == packet::kIpv6HeaderBytes;
    if (v6_in_udp && batch.verdict[i] == Verdict::kPending) {
      write_udp_checksum_v6(batch.data[i], batch.length[i]);
    }
  }
  for (uint32_t g = 0; g < groups.size(); g++) groups.sa(g).count(sent[g], inner_bytes[g]);
}

}  // namespace esplane::esp
