#include "port/prefix.h"

#include <arpa/inet.h>

#include <charconv>
#include <cstring>
#include <stdexcept>

namespace esplane::port {
namespace {

/// A byte whose first `bits` bits are set.
uint8_t byte_mask(int bits) {
  return static_cast<uint8_t>(bits <= 0 ? 0 : 0xff00 >> (bits < 8 ? bits : 8));
}

}  // namespace

Prefix Prefix::of(Family family, const void* bytes, uint8_t length) {
  Prefix p;
  p.family = family;
  p.length = length;
  std::memcpy(p.address.data(), bytes, p.address_bytes());
  for (int i = 0; i < 16; i++) p.address[i] &= byte_mask(length - 8 * i);
  return p;
}

Prefix Prefix::parse(std::string_view text) {
  const auto fail = [&](const char* why) {
    throw std::invalid_argument("\"" + std::string(text) + "\" " + why);
  };
  const size_t slash = text.find('/');
  const std::string address(text.substr(0, slash));
  uint8_t bytes[16];
  Family family = Family::kIpv4;
  if (inet_pton(AF_INET, address.c_str(), bytes) != 1) {
    family = Family::kIpv6;
    if (inet_pton(AF_INET6, address.c_str(), bytes) != 1) {
      fail("is neither an IPv4 nor an IPv6 address or prefix");
    }
  }
  const int all = family == Family::kIpv4 ? 32 : 128;
  int length = all;
  if (slash != std::string_view::npos) {
    const std::string_view digits = text.substr(slash + 1);
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), length);
    if (error != std::errc{} || end != digits.data() + digits.size() || length < 0 ||
        length > all) {
      fail(all == 32 ? "has no prefix length of 0 to 32" : "has no prefix length of 0 to 128");
    }
  }
  return of(family, bytes, static_cast<uint8_t>(length));
}

std::string Prefix::to_string() const {
  char text[INET6_ADDRSTRLEN];
  inet_ntop(family == Family::kIpv4 ? AF_INET : AF_INET6, address.data(), text, sizeof text);
  return is_single_address() ? text : std::string(text) + "/" + std::to_string(length);
}

bool Prefix::contains(const void* bytes) const {
  const auto* p = static_cast<const uint8_t*>(bytes);
  for (int i = 0; i * 8 < length; i++) {
    if ((p[i] ^ address[i]) & byte_mask(length - 8 * i)) return false;
  }
  return true;
}

}  // namespace esplane::port
