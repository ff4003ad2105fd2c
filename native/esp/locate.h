// Where in an outer packet the ESP header is: behind IP (protocol 50, RFC 4303) or in UDP 4500
// (RFC 3948 §2).
#pragma once

#include <cstdint>

#include "packet/ip.h"

namespace esplane::esp {

/// UDP port of IKE and ESP behind NATs (RFC 3948 §2.1, RFC 7296 §2.23).
inline constexpr uint16_t kNatTraversalPort = 4500;

enum class Content : uint8_t {
  kEsp,        ///< `offset` and `spi` are set
  kKeepalive,  ///< one byte 0xFF in UDP (RFC 3948 §2.3): verdict kNatKeepalive
  kIke,        ///< non-ESP marker in UDP (RFC 3948 §2.2): the kernel's
  kTooShort,   ///< protocol 50 or UDP 4500, but no room for an ESP header: verdict kEspTooShort
  kFragment,   ///< protocol 50 or UDP, in pieces
  kOther,      ///< not ESP at all
};

struct Location {
  Content content;
  bool in_udp = false;
  uint16_t offset = 0;  ///< from the first byte of the outer IP header to the SPI
  uint32_t end = 0;     ///< likewise, to behind the last byte of the ESP packet: batch.length
  uint32_t spi = 0;     ///< host order
};

/// @param data    first byte of the outer IP packet, of which header.total_bytes may be read
/// @param header  what parse_ip found there
Location locate(const uint8_t* data, const packet::IpHeader& header);

}  // namespace esplane::esp
