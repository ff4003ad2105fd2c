// Frames for the port tests, written out field by field.
#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <vector>

#include "port/prefix.h"

namespace esplane::test {

using Bytes = std::vector<uint8_t>;

inline Bytes operator+(Bytes a, const Bytes& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

inline Bytes be16(uint32_t v) { return {static_cast<uint8_t>(v >> 8), static_cast<uint8_t>(v)}; }

inline constexpr std::array<uint8_t, 6> kOurMac{0x02, 0, 0, 0, 0, 0x01};
inline constexpr std::array<uint8_t, 6> kPeerMac{0x02, 0, 0, 0, 0, 0x02};

inline Bytes ethernet(uint32_t ethertype, const Bytes& payload,
                      const std::array<uint8_t, 6>& to = kOurMac) {
  return Bytes(to.begin(), to.end()) + Bytes(kPeerMac.begin(), kPeerMac.end()) + be16(ethertype) +
         payload;
}

/// With a tag of VLAN 5, or another.
inline Bytes vlan(uint32_t tpid, const Bytes& frame, uint32_t number = 5) {
  return Bytes(frame.begin(), frame.begin() + 12) + be16(tpid) + be16(0x6000 | number) +
         Bytes(frame.begin() + 12, frame.end());
}

inline Bytes address(const std::string& text) {
  const auto p = port::Prefix::parse(text);
  return Bytes(p.address.begin(), p.address.begin() + p.address_bytes());
}

struct Ipv4Options {
  uint32_t flags_and_offset = 0;
  Bytes options = {};
  const char* source = "192.0.2.9";
};

/// An IPv4 packet (RFC 791 §3.1); its checksum is left zero.
inline Bytes ipv4(uint8_t protocol, const std::string& to, const Bytes& payload,
                  const Ipv4Options& o = {}) {
  const uint8_t words = static_cast<uint8_t>(5 + o.options.size() / 4);
  const size_t total = words * 4u + payload.size();
  return Bytes{static_cast<uint8_t>(0x40 | words), 0} + be16(static_cast<uint32_t>(total)) +
         Bytes{0, 0} + be16(o.flags_and_offset) + Bytes{64, protocol, 0, 0} + address(o.source) +
         address(to) + o.options + payload;
}

/// An IPv6 packet (RFC 8200 §3).
inline Bytes ipv6(uint8_t next_header, const std::string& to, const Bytes& payload,
                  uint8_t hop_limit = 64) {
  return Bytes{0x60, 0, 0, 0} + be16(static_cast<uint32_t>(payload.size())) +
         Bytes{next_header, hop_limit} + address("2001:db8:ffff::9") + address(to) + payload;
}

/// A UDP datagram (RFC 768).
inline Bytes udp(uint32_t to_port, const Bytes& payload) {
  return be16(1024) + be16(to_port) + be16(static_cast<uint32_t>(8 + payload.size())) +
         Bytes{0, 0} + payload;
}

/// An ESP packet's start: SPI 0x00000100, sequence number 1, some ciphertext.
inline Bytes esp() { return Bytes{0, 0, 1, 0, 0, 0, 0, 1} + Bytes(24, 0x99); }

}  // namespace esplane::test
