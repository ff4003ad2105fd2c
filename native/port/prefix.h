// IP prefixes as port set-up takes them: networks to protect and addresses that are ours.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

namespace esplane::port {

enum class Family : uint8_t { kIpv4 = 4, kIpv6 = 6 };

/// A network, or with the full length a single address.
struct Prefix {
  Family family = Family::kIpv4;
  uint8_t length = 0;                   ///< leading bits that count: 0-32 or 0-128
  std::array<uint8_t, 16> address{};    ///< network byte order; IPv4 in the first four bytes;
                                        ///< all bits behind `length` are zero

  /// Reads "10.1.0.0/16", "2001:db8::/32", or an address without a length, which means all bits.
  /// Bits behind the length are cleared.
  /// @throws std::invalid_argument naming what is wrong with `text`
  static Prefix parse(std::string_view text);

  /// @param bytes  4 or 16 bytes in network byte order, by family
  static Prefix of(Family family, const void* bytes, uint8_t length);

  uint8_t address_bytes() const { return family == Family::kIpv4 ? 4 : 16; }
  bool is_single_address() const { return length == address_bytes() * 8; }
  std::string to_string() const;
  /// True if the 4 or 16 bytes at `bytes` (of our family) lie in this network.
  bool contains(const void* bytes) const;

  auto operator<=>(const Prefix&) const = default;
};

}  // namespace esplane::port
