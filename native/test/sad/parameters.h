// A pair of SAs for tests: valid, between documentation addresses, any inner packet.
#pragma once

#include <vector>

#include "packet/address.h"
#include "sad/sa.h"
#include "test/hex.h"

namespace esplane::test {

inline packet::IpAddress ip(const char* text) { return *packet::IpAddress::parse(text); }

inline packet::Selector any_v4() { return {ip("0.0.0.0"), ip("255.255.255.255")}; }
inline packet::Selector any_v6() {
  return {ip("::"), ip("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff")};
}

/// Parameters and the keys that they point at.
struct Pair {
  explicit Pair(uint32_t inbound_spi, uint32_t outbound_spi = 0xc0ffee01) {
    p.inbound_spi = inbound_spi;
    p.outbound_spi = outbound_spi;
    p.local = ip("192.0.2.1");
    p.remote = ip("198.51.100.2");
    p.local_selectors = p.remote_selectors = {any_v4(), any_v6()};
    use_keymat("000102030405060708090a0b0c0d0e0fa1b2c3d4");
  }
  Pair(const Pair&) = delete;
  Pair& operator=(const Pair&) = delete;

  /// The same key | salt both ways, so that one end opens what the other sealed.
  void use_keymat(const char* hex) {
    keymat = bytes_of(hex);
    p.key_bits = static_cast<uint16_t>((keymat.size() - sad::kMostSaltBytes) * 8);
    p.inbound_key = p.outbound_key = keymat;
  }

  sad::SaParameters p;
  std::vector<uint8_t> keymat;
};

}  // namespace esplane::test
