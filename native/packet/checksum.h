// The internet checksum (RFC 1071), its incremental update (RFC 1624), and completing what a
// local TCP stack left to a network card.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "base/bytes.h"
#include "packet/ip.h"

namespace esplane::packet {

/// A sum in 16 bits, not complemented. A number added to itself with its halves exchanged has in its
/// upper half their sum, the carry included.
inline uint16_t checksum_fold(uint64_t sum) {
  const auto word = static_cast<uint32_t>((sum + std::rotl(sum, 32)) >> 32);
  return static_cast<uint16_t>((word + std::rotl(word, 16)) >> 16);
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
  uint64_t sum = low + high;
  sum += sum < low;
  sum += last;
  sum += sum < last;
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

/// Likewise, of the addresses in the header at `ip`.
inline uint64_t pseudo_header_add(const uint8_t* ip, uint8_t protocol, uint32_t upper_bytes) {
  const bool v4 = ip[0] >> 4 == 4;
  return checksum_add(ip + (v4 ? kIpv4Source : kIpv6Source), v4 ? 8 : 32,
                      uint64_t{protocol} + upper_bytes);
}

/// Where the checksum of a whole TCP segment or UDP datagram stands, from the upper-layer header.
/// @return 0: there is none
inline uint32_t checksum_offset(const IpHeader& header) {
  const uint32_t upper_bytes = header.total_bytes - header.header_bytes;
  if (header.is_fragment()) return 0;
  if (header.protocol == kTcp && upper_bytes >= kTcpHeaderBytes) return kTcpChecksum;
  if (header.protocol == kUdp && upper_bytes >= kUdpHeaderBytes) return kUdpChecksum;
  return 0;
}

/// Whether a field holds what a local stack leaves there for the network card: the pseudo-header's
/// sum. Every packet is held against it, so IPv4 has a short way, in the machine's own order.
inline bool holds_pseudo_header_sum(const uint8_t* field, const IpHeader& header) {
  const uint32_t upper_bytes = header.total_bytes - header.header_bytes;
  if (header.family == Family::kV4) [[likely]] {
    uint32_t source, destination;
    uint16_t found;
    std::memcpy(&source, header.source.bytes, 4);
    std::memcpy(&destination, header.destination.bytes, 4);
    std::memcpy(&found, field, 2);
    const uint64_t addresses = uint64_t{source} + destination;
    return checksum_fold(addresses + __builtin_bswap32(header.protocol + upper_bytes)) == found;
  }
  return checksum_fold(pseudo_header_add(header.source, header.destination, header.protocol,
                                         upper_bytes)) == base::load_be16(field);
}

/// Computes the checksum of a TCP segment or UDP datagram.
/// @param upper  its header
/// @param at     offset of the field, which holds the pseudo-header's sum
void write_checksum(uint8_t* upper, uint32_t at, const IpHeader& header);

/// Completes a TCP or UDP checksum that was left to the network card: then the field holds the
/// sum over the pseudo-header only. Packets between namespaces and from a local stack arrive so.
///
/// A whole and intact packet whose checksum happens to equal that sum keeps it: its completion is
/// the same number.
/// @param ip  first byte of the packet that `header` was read from
/// @return true if the checksum was rewritten
inline bool complete_checksum(uint8_t* ip, const IpHeader& header) {
  const uint32_t at = checksum_offset(header);
  if (at == 0 || !holds_pseudo_header_sum(ip + header.header_bytes + at, header)) [[likely]]
    return false;
  write_checksum(ip + header.header_bytes, at, header);
  return true;
}

/// Computes the TCP or UDP checksum anew, where there is one: a NAT has rewritten the addresses
/// that it covers, and the packet is authentic (RFC 3948 §3.1.2).
void renew_checksum(uint8_t* ip, const IpHeader& header);

}  // namespace esplane::packet
