// Datagrams and their fragments, byte by byte, as a host or router would make them.
#pragma once

#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <vector>

#include "base/bytes.h"
#include "net/address.h"
#include "packet/checksum.h"
#include "packet/ip.h"

namespace esplane::test {

using Bytes = std::vector<uint8_t>;

/// What the fragments of a datagram share.
struct DatagramFields {
  const char* source = "192.0.2.2";
  const char* destination = "192.0.2.1";
  uint32_t id = 0x1234;
  uint8_t protocol = packet::kEsp;
  uint8_t tos = 0;
  uint8_t ttl = 64;
  Bytes ipv4_options;
  Bytes ipv6_extensions;          ///< whole headers, before the Fragment header
  uint8_t first_extension = 0;    ///< what the IPv6 header calls the first of them
};

inline Bytes pattern(size_t bytes, uint32_t seed = 1) {
  Bytes all(bytes);
  for (size_t i = 0; i < bytes; i++)
    all[i] = static_cast<uint8_t>(i * 7 + (i >> 8) * 3 + seed * 31);
  return all;
}

inline Bytes ipv4_packet(const DatagramFields& f, const Bytes& data, uint16_t flags_and_offset) {
  const size_t header = 20 + f.ipv4_options.size();
  Bytes p(20);
  p[0] = static_cast<uint8_t>(0x40 | header / 4);
  p[1] = f.tos;
  base::store_be16(&p[2], static_cast<uint16_t>(header + data.size()));
  base::store_be16(&p[4], static_cast<uint16_t>(f.id));
  base::store_be16(&p[6], flags_and_offset);
  p[8] = f.ttl;
  p[9] = f.protocol;
  std::memcpy(&p[12], net::IpAddress::parse(f.source)->bytes, 4);
  std::memcpy(&p[16], net::IpAddress::parse(f.destination)->bytes, 4);
  p.insert(p.end(), f.ipv4_options.begin(), f.ipv4_options.end());
  base::store_be16(&p[10], packet::internet_checksum(p.data(), header));
  p.insert(p.end(), data.begin(), data.end());
  return p;
}

/// @param fragment  a Fragment header, or nothing
inline Bytes ipv6_packet(const DatagramFields& f, const Bytes& fragment, const Bytes& data) {
  Bytes p(40);
  p[0] = static_cast<uint8_t>(0x60 | f.tos >> 4);
  p[1] = static_cast<uint8_t>(f.tos << 4);
  const size_t payload = f.ipv6_extensions.size() + fragment.size() + data.size();
  base::store_be16(&p[4], static_cast<uint16_t>(payload));
  const uint8_t next = fragment.empty() ? f.protocol : uint8_t{packet::kFragmentHeader};
  p[6] = f.ipv6_extensions.empty() ? next : f.first_extension;
  p[7] = f.ttl;
  std::memcpy(&p[8], net::IpAddress::parse(f.source)->bytes, 16);
  std::memcpy(&p[24], net::IpAddress::parse(f.destination)->bytes, 16);
  p.insert(p.end(), f.ipv6_extensions.begin(), f.ipv6_extensions.end());
  if (!f.ipv6_extensions.empty()) p[40] = next;  // one extension header at most
  p.insert(p.end(), fragment.begin(), fragment.end());
  p.insert(p.end(), data.begin(), data.end());
  return p;
}

inline bool is_v6(const DatagramFields& f) { return std::strchr(f.source, ':') != nullptr; }

inline Bytes whole(const DatagramFields& f, const Bytes& data, uint16_t flags = 0) {
  return is_v6(f) ? ipv6_packet(f, {}, data) : ipv4_packet(f, data, flags);
}

/// The fragment that carries `data`, which begins at `offset` of the datagram.
inline Bytes fragment(const DatagramFields& f, const Bytes& data, uint32_t offset, bool more) {
  if (!is_v6(f)) {
    const auto field = static_cast<uint16_t>(offset / 8 | (more ? packet::kIpv4MoreFragments : 0));
    return ipv4_packet(f, data, field);
  }
  Bytes header(8);
  header[0] = f.protocol;
  base::store_be16(&header[2], static_cast<uint16_t>(offset | (more ? 1 : 0)));
  base::store_be32(&header[4], f.id);
  return ipv6_packet(f, header, data);
}

/// Cuts a datagram's data into fragments that begin at 0 and at each of `cuts`.
inline std::vector<Bytes> fragments(const DatagramFields& f, const Bytes& data,
                                    const std::vector<uint32_t>& cuts) {
  std::vector<Bytes> all;
  uint32_t from = 0;
  for (size_t i = 0; i <= cuts.size(); i++) {
    const bool last = i == cuts.size();
    const auto to = last ? static_cast<uint32_t>(data.size()) : cuts[i];
    all.push_back(fragment(f, Bytes(data.begin() + from, data.begin() + to), from, !last));
    from = to;
  }
  return all;
}

}  // namespace esplane::test
