// Inner packets to make a tunnel carry: valid headers around any data.
#pragma once

#include <cstdint>
#include <vector>

#include "base/bytes.h"
#include "packet/checksum.h"
#include "packet/ip.h"
#include "test/hex.h"

namespace esplane::test {

/// UDP from 10.1.0.5 to 10.2.0.9.
inline std::vector<uint8_t> inner_v4(uint32_t data_bytes, uint8_t tos = 0, bool df = false) {
  std::vector<uint8_t> p = bytes_of("450000001234000040110000" "0a010005" "0a020009"
                                    "03e8003500000000");
  for (uint32_t i = 0; i < data_bytes; i++) p.push_back(static_cast<uint8_t>(i * 3));
  p[packet::kIpv4Tos] = tos;
  base::store_be16(&p[packet::kIpv4TotalLength], static_cast<uint16_t>(p.size()));
  base::store_be16(&p[packet::kIpv4Fragment], df ? packet::kIpv4DontFragment : 0);
  base::store_be16(&p[20 + packet::kUdpLength], static_cast<uint16_t>(p.size() - 20));
  base::store_be16(&p[packet::kIpv4Checksum],
                   packet::internet_checksum(p.data(), packet::kIpv4HeaderBytes));
  return p;
}

/// UDP from fd01::5 to fd02::9.
inline std::vector<uint8_t> inner_v6(uint32_t data_bytes, uint8_t tos = 0) {
  std::vector<uint8_t> p = bytes_of("6000000000001140fd010000000000000000000000000005"
                                    "fd020000000000000000000000000009"
                                    "03e8003500000000");
  for (uint32_t i = 0; i < data_bytes; i++) p.push_back(static_cast<uint8_t>(i * 5));
  base::store_be32(&p[0], 0x60000000u | uint32_t{tos} << 20 | 0x12345);
  base::store_be16(&p[packet::kIpv6PayloadLength], static_cast<uint16_t>(p.size() - 40));
  base::store_be16(&p[40 + packet::kUdpLength], static_cast<uint16_t>(p.size() - 40));
  return p;
}

}  // namespace esplane::test
