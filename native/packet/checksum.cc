#include "packet/checksum.h"

namespace esplane::packet {

bool complete_checksum(uint8_t* ip, const IpHeader& header) {
  uint32_t field_offset;
  uint32_t least_bytes;
  if (header.protocol == kTcp) {
    field_offset = 16;
    least_bytes = 20;
  } else if (header.protocol == kUdp) {
    field_offset = kUdpChecksum;
    least_bytes = kUdpHeaderBytes;
  } else {
    return false;
  }
  const uint32_t upper_bytes = header.total_bytes - header.header_bytes;
  if (header.is_fragment() || upper_bytes < least_bytes) return false;

  uint8_t* upper = ip + header.header_bytes;
  const uint16_t partial = checksum_fold(
      pseudo_header_add(header.source, header.destination, header.protocol, upper_bytes));
  if (base::load_be16(upper + field_offset) != partial) return false;

  // The field already holds the pseudo-header's share, so the sum over the rest completes it.
  uint16_t checksum = internet_checksum(upper, upper_bytes);
  if (checksum == 0 && header.protocol == kUdp) checksum = 0xffff;  // RFC 768: zero means none
  base::store_be16(upper + field_offset, checksum);
  return true;
}

}  // namespace esplane::packet
