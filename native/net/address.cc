#include "net/address.h"

#include <cstdlib>

namespace esplane::net {

std::optional<Prefix> Prefix::parse(const std::string& text) {
  const size_t slash = text.find('/');
  const auto address = IpAddress::parse(text.substr(0, slash).c_str());
  if (!address) return std::nullopt;
  const unsigned long widest = address->size() * 8u;
  if (slash == std::string::npos) return Prefix{*address, static_cast<uint8_t>(widest)};
  const std::string digits = text.substr(slash + 1);
  if (digits.empty() || digits.size() > 3 || digits.find_first_not_of("0123456789") != digits.npos)
    return std::nullopt;
  const unsigned long bits = std::strtoul(digits.c_str(), nullptr, 10);
  if (bits > widest) return std::nullopt;
  return Prefix{*address, static_cast<uint8_t>(bits)};
}

}  // namespace esplane::net
