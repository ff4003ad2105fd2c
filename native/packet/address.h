// An IP address of either family.
#pragma once

#include <arpa/inet.h>

#include <cstdint>
#include <cstring>
#include <optional>
#include <string>

#include "base/bytes.h"

namespace esplane::packet {

enum class Family : uint8_t { kNone = 0, kV4 = 4, kV6 = 6 };

/// An IPv4 or IPv6 address in network order. IPv4 stands in the first four bytes, the others are
/// zero. The family is a field of its own: an IPv4-mapped IPv6 address on the wire is IPv6, and a
/// policy for IPv4 must not match it.
struct IpAddress {
  uint8_t bytes[16] = {};
  Family family = Family::kNone;

  static IpAddress v4(const void* four) {
    IpAddress a;
    a.set_v4(four);
    return a;
  }
  static IpAddress v6(const void* sixteen) {
    IpAddress a;
    a.set_v6(sixteen);
    return a;
  }
  /// Written in two words, as they are compared: a word that was put together from smaller stores
  /// is not forwarded to its load, which costs a packet a dozen cycles each time.
  void set_v4(const void* four) {
    uint32_t address;
    std::memcpy(&address, four, 4);
    const uint64_t words[2] = {address, 0};
    std::memcpy(bytes, &words[0], 8);
    std::memcpy(bytes + 8, &words[1], 8);
    family = Family::kV4;
  }
  void set_v6(const void* sixteen) {
    std::memcpy(bytes, sixteen, 16);
    family = Family::kV6;
  }
  /// A numeric address, without prefix length or zone.
  static std::optional<IpAddress> parse(const char* text) {
    uint8_t raw[16];
    if (inet_pton(AF_INET, text, raw) == 1) return v4(raw);
    if (inet_pton(AF_INET6, text, raw) == 1) return v6(raw);
    return std::nullopt;
  }

  bool is_v4() const { return family == Family::kV4; }
  bool is_v6() const { return family == Family::kV6; }
  /// Bytes that this family uses: 4 or 16.
  uint32_t size() const { return is_v4() ? 4 : 16; }

  bool operator==(const IpAddress& other) const {
    return family == other.family && std::memcmp(bytes, other.bytes, sizeof bytes) == 0;
  }

  /// Order of two addresses of one family.
  bool operator<(const IpAddress& other) const {
    const uint64_t high = base::load_be64(bytes);
    const uint64_t other_high = base::load_be64(other.bytes);
    if (high != other_high) return high < other_high;
    return base::load_be64(bytes + 8) < base::load_be64(other.bytes + 8);
  }

  std::string text() const {
    char out[INET6_ADDRSTRLEN];
    const int af = is_v4() ? AF_INET : AF_INET6;
    return inet_ntop(af, bytes, out, sizeof out) ? out : "?";
  }
};

}  // namespace esplane::packet
