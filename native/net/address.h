// An IPv4 or IPv6 address as one 16-byte value: IPv4 is held IPv4-mapped (RFC 4291 §2.5.5.2), so
// that caches compare and hash both families alike.
#pragma once

#include <arpa/inet.h>

#include <cstdint>
#include <cstring>
#include <optional>
#include <string>

namespace esplane::net {

struct Address {
  uint8_t bytes[16] = {};

  static Address v4(const void* four) {
    Address a;
    a.bytes[10] = a.bytes[11] = 0xff;
    std::memcpy(a.bytes + 12, four, 4);
    return a;
  }
  static Address v6(const void* sixteen) {
    Address a;
    std::memcpy(a.bytes, sixteen, 16);
    return a;
  }
  static std::optional<Address> parse(const char* text) {
    uint8_t raw[16];
    if (inet_pton(AF_INET, text, raw) == 1) return v4(raw);
    if (inet_pton(AF_INET6, text, raw) == 1) return v6(raw);
    return std::nullopt;
  }

  bool is_v4() const {
    static constexpr uint8_t kMapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    return std::memcmp(bytes, kMapped, sizeof kMapped) == 0;
  }
  bool is_zero() const {
    return (word(0) | word(8)) == 0 || (is_v4() && std::memcmp(bytes + 12, "\0\0\0", 4) == 0);
  }
  int family() const { return is_v4() ? AF_INET : AF_INET6; }
  /// The address in its family's own length.
  const uint8_t* raw() const { return is_v4() ? bytes + 12 : bytes; }
  uint32_t raw_bytes() const { return is_v4() ? 4 : 16; }

  uint64_t word(uint32_t offset) const {
    uint64_t v;
    std::memcpy(&v, bytes + offset, sizeof v);
    return v;
  }
  bool operator==(const Address& other) const {
    return word(0) == other.word(0) && word(8) == other.word(8);
  }
  /// Mixed with a seed that differs in every process, so that a peer cannot aim at one bucket.
  uint64_t hash(uint64_t seed) const {
    uint64_t h = (word(0) ^ seed) * 0x9e3779b97f4a7c15u;
    h ^= h >> 32;
    h = (h ^ word(8)) * 0xd6e8feb86659fd93u;
    return h ^ (h >> 29);
  }

  std::string text() const {
    char out[INET6_ADDRSTRLEN];
    return inet_ntop(family(), raw(), out, sizeof out) ? out : "?";
  }
};

/// An address prefix; `bits` counts in the address's own family.
struct Prefix {
  Address address;
  uint8_t bits = 0;

  static std::optional<Prefix> parse(const std::string& text);

  bool contains(const Address& candidate) const {
    if (candidate.is_v4() != address.is_v4()) return false;
    const uint8_t* a = address.raw();
    const uint8_t* b = candidate.raw();
    const uint32_t whole = bits / 8u;
    if (std::memcmp(a, b, whole) != 0) return false;
    const uint32_t rest = bits % 8u;
    return rest == 0 || ((a[whole] ^ b[whole]) >> (8 - rest)) == 0;
  }
};

}  // namespace esplane::net
