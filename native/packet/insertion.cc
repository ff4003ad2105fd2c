#include "packet/insertion.h"

#include "base/bytes.h"
#include "packet/checksum.h"

namespace esplane::packet {
namespace {

using base::load_be16;

Verdict find_v4(const uint8_t* ip, uint32_t bytes, Insertion& out) {
  const uint32_t header_bytes = (ip[0] & 0x0fu) * 4;
  if (header_bytes < kIpv4HeaderBytes) return Verdict::kBadIpVersion;
  if (header_bytes > bytes) return Verdict::kTooShort;
  if (load_be16(ip + kIpv4Fragment) & (kIpv4MoreFragments | kIpv4OffsetMask)) {
    return Verdict::kTransportFragment;
  }
  out = {static_cast<uint16_t>(header_bytes), kIpv4Protocol};
  return Verdict::kPending;
}

Verdict find_v6(const uint8_t* ip, uint32_t bytes, Insertion& out) {
  out = {kIpv6HeaderBytes, kIpv6NextHeader};
  uint32_t at = kIpv6HeaderBytes;
  uint8_t next = ip[kIpv6NextHeader];
  while (next == kHopByHop || next == kRouting || next == kFragmentHeader ||
         next == kDestinationOptions) {
    if (bytes - at < 8) return Verdict::kTooShort;
    uint32_t header_bytes = 8 + ip[at + 1] * 8u;
    if (next == kFragmentHeader) {
      if (load_be16(ip + at + 2) & 0xfff9) return Verdict::kTransportFragment;
      header_bytes = 8;
    }
    if (bytes - at < header_bytes) return Verdict::kTooShort;
    const bool is_on_the_way = next != kDestinationOptions;
    next = ip[at];
    if (is_on_the_way) {
      out = {static_cast<uint16_t>(at + header_bytes), static_cast<uint16_t>(at)};
    }
    at += header_bytes;
  }
  return Verdict::kPending;
}

}  // namespace

Verdict find_insertion(const uint8_t* ip, uint32_t bytes, Insertion& out) {
  if (bytes >= kIpv4HeaderBytes && ip[0] >> 4 == 4) return find_v4(ip, bytes, out);
  if (bytes >= kIpv6HeaderBytes && ip[0] >> 4 == 6) return find_v6(ip, bytes, out);
  return Verdict::kTooShort;
}

uint16_t next_field_of(const uint8_t* ip, uint32_t offset) {
  if (ip[0] >> 4 == 4) return (ip[0] & 0x0fu) * 4 == offset ? kIpv4Protocol : 0;
  uint16_t field = kIpv6NextHeader;
  uint32_t at = kIpv6HeaderBytes;
  uint8_t next = ip[kIpv6NextHeader];
  while (at < offset) {
    field = static_cast<uint16_t>(at);
    const uint32_t bytes = next == kFragmentHeader ? 8 : 8 + ip[at + 1] * 8u;
    next = ip[at];
    at += bytes;
  }
  return at == offset ? field : 0;
}

void write_length(uint8_t* ip, uint32_t bytes) {
  if (ip[0] >> 4 == 6) {
    base::store_be16(ip + kIpv6PayloadLength, static_cast<uint16_t>(bytes - kIpv6HeaderBytes));
    return;
  }
  base::store_be16(ip + kIpv4TotalLength, static_cast<uint16_t>(bytes));
  base::store_be16(ip + kIpv4Checksum, 0);
  base::store_be16(ip + kIpv4Checksum, internet_checksum(ip, (ip[0] & 0x0fu) * 4));
}

}  // namespace esplane::packet
