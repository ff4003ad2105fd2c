#include "ah/mutable_fields.h"

#include <cstring>

#include "base/bytes.h"
#include "packet/ip.h"

namespace esplane::ah {
namespace {

// --- IPv4 ----------------------------------------------------------------------------------------

enum Ipv4Option : uint8_t {
  kEnd = 0,
  kNoOperation = 1,
  kSecurity = 130,
  kLooseSourceRoute = 131,
  kExtendedSecurity = 133,
  kCommercialSecurity = 134,
  kStrictSourceRoute = 137,
  kRouterAlert = 148,
  kMultiDestination = 149,
};

/// Appendix A1. All others are zeroed as a whole: those that change, and those nobody knows.
bool is_immutable(uint8_t type) {
  return type == kSecurity || type == kExtendedSecurity || type == kCommercialSecurity ||
         type == kRouterAlert || type == kMultiDestination;
}

/// §3.3.3.1.1.1: with a source route the destination that counts is the last one.
bool follow_source_route(uint8_t* ip, const uint8_t* option, uint32_t bytes) {
  if (bytes < 3 || (bytes - 3) % 4 != 0) return false;
  const uint32_t pointer = option[2];  // from 1, to the next address
  if (pointer >= 4 && pointer <= bytes && bytes >= 7) {
    std::memcpy(ip + packet::kIpv4Destination, option + bytes - 4, 4);
  }
  return true;
}

bool mask_v4_options(uint8_t* ip, uint32_t header_bytes) {
  for (uint32_t at = packet::kIpv4HeaderBytes; at < header_bytes;) {
    const uint8_t type = ip[at];
    if (type == kEnd) return true;
    if (type == kNoOperation) {
      at++;
      continue;
    }
    if (header_bytes - at < 2) return false;
    const uint32_t bytes = ip[at + 1];
    if (bytes < 2 || bytes > header_bytes - at) return false;
    if (type == kLooseSourceRoute || type == kStrictSourceRoute) {
      if (!follow_source_route(ip, ip + at, bytes)) return false;
    }
    if (!is_immutable(type)) std::memset(ip + at, 0, bytes);
    at += bytes;
  }
  return true;
}

/// §3.3.3.1.1.1: TOS, flags, fragment offset, TTL and checksum.
bool mask_v4(uint8_t* ip, uint32_t bytes) {
  ip[packet::kIpv4Tos] = 0;
  base::store_be16(ip + packet::kIpv4Fragment, 0);
  ip[packet::kIpv4Ttl] = 0;
  base::store_be16(ip + packet::kIpv4Checksum, 0);
  return bytes == packet::kIpv4HeaderBytes || mask_v4_options(ip, bytes);
}

// --- IPv6 ----------------------------------------------------------------------------------------

constexpr uint8_t kPad1 = 0;
constexpr uint8_t kMayChangeOnTheWay = 0x20;  // RFC 8200 §4.2

/// §3.3.3.1.2.2: of an option that may change, the data is zeroed; its type and length count.
bool mask_options(uint8_t* header, uint32_t bytes) {
  for (uint32_t at = 2; at < bytes;) {
    const uint8_t type = header[at];
    if (type == kPad1) {
      at++;
      continue;
    }
    if (bytes - at < 2 || bytes - at - 2 < header[at + 1]) return false;
    const uint32_t data_bytes = header[at + 1];
    if (type & kMayChangeOnTheWay) std::memset(header + at + 2, 0, data_bytes);
    at += 2 + data_bytes;
  }
  return true;
}

/// Appendix A2: a routing header of type 0 (and of type 2, RFC 6275 §6.4, which is one with one
/// address) counts as it arrives: no segments left, each address moved on by one.
bool follow_routing_header(uint8_t* ip, uint8_t* header, uint32_t bytes) {
  const uint8_t type = header[2];
  const uint32_t left = header[3];
  if (left == 0) return true;
  const uint32_t addresses = (bytes - 8) / 16;
  if ((type != 0 && type != 2) || (bytes - 8) % 16 != 0 || left > addresses) return false;
  uint8_t* next = header + 8 + 16 * (addresses - left);
  uint8_t last[16];
  std::memcpy(last, next + 16 * (left - 1), 16);
  std::memmove(next + 16, next, 16 * (left - 1));
  std::memcpy(next, ip + packet::kIpv6Destination, 16);
  std::memcpy(ip + packet::kIpv6Destination, last, 16);
  header[3] = 0;
  return true;
}

/// §3.3.3.1.2.1: traffic class, flow label and hop limit; the version counts.
bool mask_v6(uint8_t* ip, uint32_t bytes) {
  base::store_be32(ip, 0x60000000u);
  ip[packet::kIpv6HopLimit] = 0;
  uint8_t next = ip[packet::kIpv6NextHeader];
  for (uint32_t at = packet::kIpv6HeaderBytes; at < bytes;) {
    if (bytes - at < 8) return false;
    uint8_t* header = ip + at;
    const uint32_t header_bytes = 8 + header[1] * 8u;
    if (header_bytes > bytes - at) return false;
    switch (next) {
      case packet::kHopByHop:
      case packet::kDestinationOptions:
        if (!mask_options(header, header_bytes)) return false;
        break;
      case packet::kRouting:
        if (!follow_routing_header(ip, header, header_bytes)) return false;
        break;
      default:
        return false;  // a fragment header is no part of what was authenticated (Appendix A2)
    }
    next = header[0];
    at += header_bytes;
  }
  return true;
}

}  // namespace

bool mask_mutable_fields(uint8_t* ip, uint32_t bytes) {
  return ip[0] >> 4 == 4 ? mask_v4(ip, bytes) : mask_v6(ip, bytes);
}

}  // namespace esplane::ah
