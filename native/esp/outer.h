// Writes the outer header of tunnel mode (RFC 4301 §5.1.2, RFC 6040 §4.1), for ESP and AH.
#pragma once

#include <cstdint>
#include <cstring>

#include "base/bytes.h"
#include "packet/checksum.h"
#include "packet/ip.h"
#include "sad/outer_header.h"

namespace esplane::esp {

/// TOS or traffic class of an IP packet.
inline uint8_t tos_of(const uint8_t* ip) {
  return ip[0] >> 4 == 4 ? ip[packet::kIpv4Tos]
                         : static_cast<uint8_t>(base::load_be16(ip) >> 4);
}

/// Flags of an inner packet as an IPv4 outer header copies them: no router fragments IPv6.
inline uint16_t fragment_flags_of(const uint8_t* ip) {
  return ip[0] >> 4 == 4 ? base::load_be16(ip + packet::kIpv4Fragment)
                         : packet::kIpv4DontFragment;
}

inline void finish_v4(uint8_t* to, const sad::OuterHeader& outer, uint32_t bytes,
                      const uint8_t* inner, uint8_t tos, uint16_t id) {
  const auto fragment = static_cast<uint16_t>(
      (fragment_flags_of(inner) & outer.fragment_copied) | outer.fragment_set);
  to[packet::kIpv4Tos] = tos;
  base::store_be16(to + packet::kIpv4TotalLength, static_cast<uint16_t>(bytes));
  base::store_be16(to + packet::kIpv4Id, id);
  base::store_be16(to + packet::kIpv4Fragment, fragment);
  const uint32_t sum = outer.sum + tos + bytes + id + fragment;
  base::store_be16(to + packet::kIpv4Checksum,
                   static_cast<uint16_t>(~packet::checksum_fold(sum)));
}

/// Writes IP header, and UDP header where there is one, in front of `payload`.
/// @param inner  the inner packet, which is still to be read
/// @param id     IPv4 identification
/// @return       first byte of the outer packet
inline uint8_t* write_outer(uint8_t* payload, uint32_t payload_bytes,
                            const sad::OuterHeader& outer, const uint8_t* inner, uint16_t id) {
  uint8_t* to = payload - outer.size;
  const uint32_t bytes = outer.size + payload_bytes;
  // ECN is copied in any case: RFC 6040 §4.1, normal mode.
  const auto tos = static_cast<uint8_t>((tos_of(inner) & outer.tos_copied) | outer.tos_set);
  if (outer.is_v4()) [[likely]] {
    std::memcpy(to, outer.bytes, packet::kIpv4HeaderBytes);
    finish_v4(to, outer, bytes, inner, tos, id);
  } else {
    std::memcpy(to, outer.bytes, packet::kIpv6HeaderBytes);
    base::store_be32(to, base::load_be32(to) | uint32_t{tos} << 20);
    base::store_be16(to + packet::kIpv6PayloadLength,
                     static_cast<uint16_t>(bytes - packet::kIpv6HeaderBytes));
  }
  if (outer.size != outer.ip_bytes) {
    std::memcpy(to + outer.ip_bytes, outer.bytes + outer.ip_bytes, packet::kUdpHeaderBytes);
    base::store_be16(to + outer.ip_bytes + packet::kUdpLength,
                     static_cast<uint16_t>(packet::kUdpHeaderBytes + payload_bytes));
  }
  return to;
}

}  // namespace esplane::esp
