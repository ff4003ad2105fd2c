// The internet checksum (RFC 1071), its incremental update (RFC 1624), and completing what a
// local TCP stack left to a network card.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "base/bytes.h"
#include "packet/ip.h"

namespace esplane::packet {

/// A sum in 16 bits, not complemented.
inline uint16_t checksum_fold(uint64_t sum) {
  sum = (sum >> 32) + (sum & 0xffffffff);
  sum = (sum >> 16) + (sum & 0xffff);
  sum = (sum >> 16) + (sum & 0xffff);
  sum = (sum >> 16) + (sum & 0xffff);
  return static_cast<uint16_t>(sum);
}

/// Ones' complement sum of big-endian 16-bit words, not yet folded. An odd last byte counts as the
/// high byte of a word.
///
/// It sums wider words in the machine's own order and turns the result: neither changes a ones'
/// complement sum (RFC 1071 §2 B and C).
inline uint64_t checksum_add(const void* data, size_t bytes, uint64_t sum = 0) {
  const auto* p = static_cast<const uint8_t*>(data);
  uint64_t own = 0;
  for (; bytes >= 8; p += 8, bytes -= 8) {
    uint64_t v;
    std::memcpy(&v, p, sizeof v);
    own += (v >> 32) + (v & 0xffffffff);
  }
  if (bytes >= 4) {
    uint32_t v;
    std::memcpy(&v, p, sizeof v);
    own += v;
    p += 4;
    bytes -= 4;
  }
  if (bytes >= 2) {
    uint16_t v;
    std::memcpy(&v, p, sizeof v);
    own += v;
    p += 2;
    bytes -= 2;
  }
  if (bytes) own += *p;
  return sum + __builtin_bswap16(checksum_fold(own));
}

/// The checksum of a range whose own checksum field is zero; zero over a range that is intact.
inline uint16_t internet_checksum(const void* data, size_t bytes) {
  return static_cast<uint16_t>(~checksum_fold(checksum_add(data, bytes)));
}

/// Whether the checksum of an IPv4 header without options holds. Nearly all headers have none, and
/// every packet has to pass here: the machine's own order serves, since a sum of all ones is the
/// same turned.
inline bool ipv4_header_holds(const uint8_t* header) {
  uint64_t low, high;
  uint32_t last;
  std::memcpy(&low, header, 8);
  std::memcpy(&high, header + 8, 8);
  std::memcpy(&last, header + 16, 4);
  const uint64_t words = low + high;
  const uint64_t sum = (words >> 32) + (words & 0xffffffff) + (words < low) + last;
  return checksum_fold(sum) == 0xffff;
}

/// A checksum after one 16-bit word that it covers has changed (RFC 1624 §3, equation 3).
inline uint16_t checksum_update(uint16_t checksum, uint16_t old_word, uint16_t new_word) {
  const uint32_t sum = static_cast<uint16_t>(~checksum) + uint32_t{static_cast<uint16_t>(~old_word)} + new_word;
  return static_cast<uint16_t>(~checksum_fold(sum));
}

/// Decrements TTL or hop limit, which must not be zero, and updates the IPv4 header checksum: the
/// word with the TTL became smaller by 0x0100, so its complement grows by that (RFC 1624).
inline void decrement_ttl(uint8_t* ip, Family family) {
  if (family == Family::kV6) {
    ip[kIpv6HopLimit]--;
    return;
  }
  ip[kIpv4Ttl]--;
  const uint32_t sum = base::load_be16(ip + kIpv4Checksum) + 0x0100u;
  base::store_be16(ip + kIpv4Checksum, static_cast<uint16_t>(sum + (sum >= 0xffff)));
}

/// Sum over the pseudo-header of TCP, UDP or ICMPv6 (RFC 9293 §3.1, RFC 768, RFC 8200 §8.1).
/// @param upper_bytes  upper-layer header and data
inline uint64_t pseudo_header_add(const IpAddress& source, const IpAddress& destination,
                                  uint8_t protocol, uint32_t upper_bytes) {
  uint64_t sum = checksum_add(source.bytes, source.size());
  sum = checksum_add(destination.bytes, destination.size(), sum);
  return sum + protocol + upper_bytes;
}

/// Completes a TCP or UDP checksum that was left to the network card: then the field holds the
/// sum over the pseudo-header only. Packets between namespaces and from a local stack arrive so.
///
/// A whole and intact packet whose checksum happens to equal that sum keeps it: its completion is
/// the same number.
/// @param ip  first byte of the packet that `header` was read from
/// @return true if the checksum was rewritten
bool complete_checksum(uint8_t* ip, const IpHeader& header);

/// Computes the TCP or UDP checksum anew, where there is one: a NAT has rewritten the addresses
/// that it covers, and the packet is authentic (RFC 3948 §3.1.2).
void renew_checksum(uint8_t* ip, const IpHeader& header);

}  // namespace esplane::packet
