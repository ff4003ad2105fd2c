// Addresses as keys of caches, and prefixes.
#pragma once

#include <cstdint>
#include <cstring>
#include <optional>
#include <string>

#include "packet/address.h"

namespace esplane::net {

using packet::IpAddress;

/// Mixed with a seed that differs in every process, so that a peer cannot aim at one bucket.
inline uint64_t address_hash(const IpAddress& a, uint64_t seed) {
  uint64_t low, high;
  std::memcpy(&low, a.bytes, 8);
  std::memcpy(&high, a.bytes + 8, 8);
  uint64_t h = (low ^ seed) * 0x9e3779b97f4a7c15u;
  h ^= h >> 32;
  h = (h ^ high ^ static_cast<uint64_t>(a.family)) * 0xd6e8feb86659fd93u;
  return h ^ (h >> 29);
}

struct Prefix {
  IpAddress address;
  uint8_t bits = 0;

  /// "10.1.0.0/16", "2001:db8::/32", or an address alone: all its bits.
  static std::optional<Prefix> parse(const std::string& text);

  bool contains(const IpAddress& candidate) const {
    if (candidate.family != address.family) return false;
    const uint32_t whole = bits / 8u, rest = bits % 8u;
    if (std::memcmp(address.bytes, candidate.bytes, whole) != 0) return false;
    return rest == 0 || ((address.bytes[whole] ^ candidate.bytes[whole]) >> (8 - rest)) == 0;
  }
};

}  // namespace esplane::net
