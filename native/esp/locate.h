// Where in an outer packet the ESP or AH header is: behind IP (protocol 50, RFC 4303; 51, RFC 4302)
// or, for ESP, in UDP 4500 (RFC 3948 §2).
#pragma once

#include <cstdint>

#include "packet/ip.h"
#include "sad/sad.h"

namespace esplane::esp {

/// UDP port of IKE and ESP behind NATs (RFC 3948 §2.1, RFC 7296 §2.23).
inline constexpr uint16_t kNatTraversalPort = 4500;

enum class Content : uint8_t {
  kEsp,        ///< `offset`, `end` and `spi` are set
  kAh,         ///< likewise
  kKeepalive,  ///< one byte 0xFF in UDP (RFC 3948 §2.3): verdict kNatKeepalive
  kIke,        ///< non-ESP marker in UDP (RFC 3948 §2.2): the kernel's
  kTooShort,   ///< protocol 50, 51 or UDP 4500, but no room for the header: verdict kEspTooShort
  kFragment,   ///< protocol 50, 51 or UDP, in pieces
  kOther,      ///< neither ESP nor AH
};

struct Location {
  Content content;
  bool in_udp = false;
  uint16_t offset = 0;  ///< from the first byte of the outer IP header to the ESP or AH header
  uint32_t end = 0;     ///< likewise, to behind the last byte of the packet: batch.length
  uint32_t spi = 0;     ///< host order

  bool is_ipsec() const { return content == Content::kEsp || content == Content::kAh; }
};

/// @param data    first byte of the outer IP packet, of which header.total_bytes may be read
/// @param header  what parse_ip found there
Location locate(const uint8_t* data, const packet::IpHeader& header);

/// The SA that a located packet belongs to (RFC 4301 §4.1: by SPI and protocol). Workers only.
/// @param refused  kUnknownSpi or kWrongProtocol where there is none
/// @return null where there is none
inline sad::InboundSa* find_sa(const sad::Sad& sad, const Location& at, packet::Verdict& refused) {
  sad::InboundSa* sa = sad.find(at.spi);
  if (sa == nullptr) {
    refused = packet::Verdict::kUnknownSpi;
    return nullptr;
  }
  if ((sa->protocol == sad::Protocol::kAh) != (at.content == Content::kAh)) {
    refused = packet::Verdict::kWrongProtocol;
    return nullptr;
  }
  return sa;
}

}  // namespace esplane::esp
