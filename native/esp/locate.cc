#include "esp/locate.h"

#include "ah/header.h"
#include "base/bytes.h"

namespace esplane::esp {
namespace {

using base::load_be16;
using base::load_be32;

/// The data of a whole UDP datagram at `offset`, `bytes` long (RFC 3948 §2).
Location locate_in_udp(const uint8_t* data, uint32_t offset, uint32_t bytes) {
  Location found{.content = Content::kTooShort, .in_udp = true};
  const uint8_t* payload = data + offset;
  if (bytes == 1 && payload[0] == 0xff) {
    found.content = Content::kKeepalive;
  } else if (bytes >= 4 && load_be32(payload) == 0) {
    found.content = Content::kIke;
  } else if (bytes >= packet::kEspHeaderBytes) {
    found.content = Content::kEsp;
    found.offset = static_cast<uint16_t>(offset);
    found.end = offset + bytes;
    found.spi = load_be32(payload);
  }
  return found;
}

}  // namespace

Location locate(const uint8_t* data, const packet::IpHeader& header) {
  const bool may_be_udp = header.protocol == packet::kUdp &&
                          (!header.has_ports || header.destination_port == kNatTraversalPort);
  const bool is_ah = header.protocol == packet::kAh;
  if (header.protocol != packet::kEsp && !is_ah && !may_be_udp) return {.content = Content::kOther};
  if (header.is_fragment()) return {.content = Content::kFragment, .in_udp = may_be_udp};

  const uint32_t offset = header.header_bytes;
  const uint32_t bytes = header.total_bytes - offset;
  if (!may_be_udp) {
    const uint32_t least = is_ah ? ah::kIcvField : packet::kEspHeaderBytes;
    if (bytes < least) return {.content = Content::kTooShort};
    return {.content = is_ah ? Content::kAh : Content::kEsp,
            .offset = header.header_bytes,
            .end = header.total_bytes,
            .spi = load_be32(data + offset + (is_ah ? ah::kSpi : packet::kEspSpi))};
  }

  if (bytes < packet::kUdpHeaderBytes) return {.content = Content::kTooShort, .in_udp = true};
  const uint32_t udp_bytes = load_be16(data + offset + packet::kUdpLength);
  if (udp_bytes < packet::kUdpHeaderBytes || udp_bytes > bytes) {
    return {.content = Content::kTooShort, .in_udp = true};
  }
  return locate_in_udp(data, offset + packet::kUdpHeaderBytes,
                       udp_bytes - packet::kUdpHeaderBytes);
}

}  // namespace esplane::esp
