#include "net/icmp_error.h"

#include <algorithm>
#include <cstring>

#include "base/bytes.h"
#include "packet/checksum.h"

namespace esplane::net {
namespace {

constexpr uint32_t kIpv4Bytes = packet::kIpv4HeaderBytes, kIpv6Bytes = packet::kIpv6HeaderBytes;
constexpr uint32_t kIcmpBytes = 8;
constexpr uint32_t kMostIpv4 = 576;   // RFC 1812 §4.3.2.3
constexpr uint32_t kMostIpv6 = 1280;  // RFC 4443 §2.4 c
constexpr uint8_t kHopLimit = 64;

void put_ipv4_header(uint8_t* ip, uint32_t bytes, const uint8_t* source, const uint8_t* to) {
  std::memset(ip, 0, kIpv4Bytes);
  ip[0] = 0x45;
  ip[1] = 0xc0;  // internetwork control: RFC 1812 §4.3.2.5
  base::store_be16(ip + 2, static_cast<uint16_t>(bytes));
  ip[8] = kHopLimit;
  ip[9] = packet::kIcmp;
  std::memcpy(ip + 12, source, 4);
  std::memcpy(ip + 16, to, 4);
  base::store_be16(ip + 10, packet::internet_checksum(ip, kIpv4Bytes));
}

void put_ipv6_header(uint8_t* ip, uint32_t bytes, const uint8_t* source, const uint8_t* to) {
  std::memset(ip, 0, kIpv6Bytes);
  ip[0] = 0x60;
  base::store_be16(ip + 4, static_cast<uint16_t>(bytes - kIpv6Bytes));
  ip[6] = packet::kIcmpV6;
  ip[7] = kHopLimit;
  std::memcpy(ip + 8, source, 16);
  std::memcpy(ip + 24, to, 16);
}

bool is_icmpv4_error(uint8_t type) {
  return type == 3 || type == 4 || type == 5 || type == 11 || type == 12;
}

bool may_answer_ipv4(const uint8_t* ip, uint32_t bytes) {
  const uint32_t header = (ip[0] & 0xfu) * 4;
  if ((base::load_be16(ip + 6) & 0x1fff) != 0) return false;  // a later fragment
  if (ip[9] == packet::kIcmp && (bytes <= header || is_icmpv4_error(ip[header]))) return false;
  const uint8_t first = ip[12];
  const bool source_is_host = first != 0 && first != 127 && first < 224;
  return source_is_host && ip[16] < 224;
}

/// RFC 4443 §2.4 e.1, e.3 and e.6: no error, whatever stands before it, and none but to one host.
bool may_answer_ipv6(const uint8_t* ip, uint32_t bytes) {
  static constexpr uint8_t kZero[16] = {};
  if (std::memcmp(ip + 8, kZero, 16) == 0 || ip[8] == 0xff) return false;
  // Errors about a packet to a multicast group: packet too big only, which RFC 4443 §2.4 e.3
  // allows; we forward no multicast, so the question does not arise.
  if (ip[24] == 0xff) return false;
  packet::IpHeader header;
  if (packet::parse_ip(ip, bytes, header) != packet::Verdict::kPending) return false;
  if (header.fragment_offset != 0) return false;
  return header.protocol != packet::kIcmpV6 || ip[header.header_bytes] >= 128;
}

}  // namespace

bool may_answer_with_error(const uint8_t* ip, uint32_t bytes) {
  return (ip[0] >> 4) == 4 ? may_answer_ipv4(ip, bytes) : may_answer_ipv6(ip, bytes);
}

void make_icmp_error(uint8_t*& data, uint32_t& bytes, const IcmpError& error,
                     const IpAddress& source) {
  const bool is_v4 = (data[0] >> 4) == 4;
  const uint32_t headers = (is_v4 ? kIpv4Bytes : kIpv6Bytes) + kIcmpBytes;
  uint8_t to[16];
  std::memcpy(to, data + (is_v4 ? 12 : 8), is_v4 ? 4 : 16);
  bytes = std::min(bytes + headers, is_v4 ? kMostIpv4 : kMostIpv6);
  data -= headers;

  uint8_t* icmp = data + headers - kIcmpBytes;
  std::memset(icmp, 0, kIcmpBytes);
  const bool too_big = error.kind == IcmpError::Kind::kTooBig;
  if (is_v4) {
    icmp[0] = too_big ? 3 : 11;  // destination unreachable, code 4: fragmentation needed
    icmp[1] = too_big ? 4 : 0;
    if (too_big) base::store_be16(icmp + 6, static_cast<uint16_t>(error.mtu_bytes));
    put_ipv4_header(data, bytes, source.bytes, to);
  } else {
    icmp[0] = too_big ? 2 : 3;
    if (too_big) base::store_be32(icmp + 4, error.mtu_bytes);
    put_ipv6_header(data, bytes, source.bytes, to);
  }
  const uint32_t icmp_bytes = bytes - (headers - kIcmpBytes);
  uint64_t sum = packet::checksum_add(icmp, icmp_bytes);
  if (!is_v4) {
    sum = packet::checksum_add(data + packet::kIpv6Source, 32, sum) + packet::kIcmpV6 + icmp_bytes;
  }
  base::store_be16(icmp + 2, static_cast<uint16_t>(~packet::checksum_fold(sum)));
}

}  // namespace esplane::net
