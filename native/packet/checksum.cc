#include "packet/checksum.h"

namespace esplane::packet {

void write_checksum(uint8_t* upper, uint32_t at, const IpHeader& header) {
  uint16_t checksum = internet_checksum(upper, header.total_bytes - header.header_bytes);
  if (checksum == 0 && header.protocol == kUdp) checksum = 0xffff;  // RFC 768: zero means none
  base::store_be16(upper + at, checksum);
}

void renew_checksum(uint8_t* ip, const IpHeader& header) {
  const uint32_t at = checksum_offset(header);
  if (at == 0) return;
  uint8_t* upper = ip + header.header_bytes;
  // None was computed: over IPv4 as RFC 768 allows, over IPv6 as RFC 6936 does.
  if (header.protocol == kUdp && base::load_be16(upper + at) == 0) return;
  base::store_be16(upper + at,
                   checksum_fold(pseudo_header_add(header.source, header.destination,
                                                   header.protocol,
                                                   header.total_bytes - header.header_bytes)));
  write_checksum(upper, at, header);
}

}  // namespace esplane::packet
