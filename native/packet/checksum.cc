#include "packet/checksum.h"

namespace esplane::packet {
namespace {

/// Where the checksum of a whole TCP segment or UDP datagram stands, from the upper-layer header.
/// @return 0: there is none
uint32_t checksum_offset(const IpHeader& header) {
  const uint32_t upper_bytes = header.total_bytes - header.header_bytes;
  if (header.is_fragment()) return 0;
  if (header.protocol == kTcp && upper_bytes >= 20) return 16;
  if (header.protocol == kUdp && upper_bytes >= kUdpHeaderBytes) return kUdpChecksum;
  return 0;
}

/// What the field holds that a local stack left to the network card. Every packet is held against
/// it, so IPv4 has a short way.
uint16_t pseudo_header_sum(const IpHeader& header) {
  const uint32_t upper_bytes = header.total_bytes - header.header_bytes;
  if (header.family != Family::kV4) {
    return checksum_fold(
        pseudo_header_add(header.source, header.destination, header.protocol, upper_bytes));
  }
  const uint64_t addresses = uint64_t{base::load_be32(header.source.bytes)} +
                             base::load_be32(header.destination.bytes);
  return checksum_fold(addresses + header.protocol + upper_bytes);
}

/// @param at  offset of the field, which holds the pseudo-header's share
void write_checksum(uint8_t* upper, uint32_t at, const IpHeader& header) {
  uint16_t checksum = internet_checksum(upper, header.total_bytes - header.header_bytes);
  if (checksum == 0 && header.protocol == kUdp) checksum = 0xffff;  // RFC 768: zero means none
  base::store_be16(upper + at, checksum);
}

}  // namespace

bool complete_checksum(uint8_t* ip, const IpHeader& header) {
  const uint32_t at = checksum_offset(header);
  if (at == 0) return false;
  uint8_t* upper = ip + header.header_bytes;
  if (base::load_be16(upper + at) != pseudo_header_sum(header)) return false;
  write_checksum(upper, at, header);
  return true;
}

void renew_checksum(uint8_t* ip, const IpHeader& header) {
  const uint32_t at = checksum_offset(header);
  if (at == 0) return;
  uint8_t* upper = ip + header.header_bytes;
  // None was computed: over IPv4 as RFC 768 allows, over IPv6 as RFC 6936 does.
  if (header.protocol == kUdp && base::load_be16(upper + at) == 0) return;
  base::store_be16(upper + at, pseudo_header_sum(header));
  write_checksum(upper, at, header);
}

}  // namespace esplane::packet
