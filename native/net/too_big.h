// ICMP errors that say that a packet of ours was too big for its path, and what they quote of it
// (RFC 1191 §3, RFC 4443 §3.2, RFC 4301 §8.2). Nobody has authenticated them: what they say is a
// claim, which the quotation must make plausible.
#pragma once

#include <cstdint>
#include <optional>

#include "net/address.h"
#include "packet/ip.h"

namespace esplane::net {

struct TooBig {
  IpAddress source;       ///< of the packet that is quoted: ours
  IpAddress destination;  ///< the peer
  uint32_t spi = 0;
  uint32_t sequence = 0;  ///< low half; 0 where the quotation ends before it
  /// Largest packet that would have passed. Where an old router does not say (RFC 1191 §5): the
  /// next plateau below the packet's length (§7.1).
  uint32_t mtu_bytes = 0;
};

/// Reads an ICMPv4 "fragmentation needed" or an ICMPv6 "packet too big" about ESP, AH, or ESP in
/// UDP from `nat_port`.
/// @param ip      first byte of a whole packet of header.total_bytes that parse_ip has checked
/// @return nothing where it is another message, its checksum is wrong, the quotation ends before
///         the SPI, or it claims that a packet did not fit which did
std::optional<TooBig> read_too_big(const uint8_t* ip, const packet::IpHeader& header,
                                   uint16_t nat_port);

}  // namespace esplane::net
