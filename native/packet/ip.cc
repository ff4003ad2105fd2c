#include "packet/ip.h"

#include "base/bytes.h"
#include "packet/checksum.h"

namespace esplane::packet {
namespace {

using base::load_be16;

void set_ports(IpHeader& out, uint16_t source, uint16_t destination) {
  out.source_port = source;
  out.destination_port = destination;
  out.has_ports = true;
}

/// Reads what the upper layer shows of itself at `data`, of which `bytes` belong to the packet, where
/// that is not two ports.
Verdict parse_upper_without_ports(const uint8_t* data, uint32_t bytes, IpHeader& out) {
  switch (out.protocol) {
    case kIcmp:
    case kIcmpV6:
      if (bytes < 2) return Verdict::kTooShort;
      set_ports(out, load_be16(data), load_be16(data));
      break;
    case kMobility: {  // RFC 6275 §6.1.1: MH Type is the third byte
      if (bytes < 3) return Verdict::kTooShort;
      const auto type = static_cast<uint16_t>(data[2] << 8);
      set_ports(out, type, type);
      break;
    }
    default:
      break;
  }
  return Verdict::kPending;
}

inline bool begins_with_ports(uint8_t protocol) {
  return protocol == kUdp || protocol == kTcp || protocol == kUdpLite || protocol == kSctp ||
         protocol == kDccp;
}

inline Verdict parse_upper(const uint8_t* data, uint32_t bytes, IpHeader& out) {
  if (out.fragment_offset == 0 && begins_with_ports(out.protocol)) {
    if (bytes < 4) return Verdict::kTooShort;
    set_ports(out, load_be16(data), load_be16(data + 2));
    return Verdict::kPending;
  }
  set_ports(out, 0, 0);
  out.has_ports = false;
  if (out.protocol == kEsp || out.fragment_offset != 0) return Verdict::kPending;
  return parse_upper_without_ports(data, bytes, out);
}

Verdict parse_ipv4(const uint8_t* data, uint32_t length, IpHeader& out) {
  if (length < kIpv4HeaderBytes) return Verdict::kTooShort;
  const uint32_t header_bytes = (data[0] & 0x0fu) * 4;
  if (header_bytes < kIpv4HeaderBytes) return Verdict::kBadIpVersion;
  const uint32_t total_bytes = load_be16(data + kIpv4TotalLength);
  if (total_bytes < header_bytes || total_bytes > length) return Verdict::kBadIpLength;
  const bool plain = header_bytes == kIpv4HeaderBytes;
  const bool holds = plain ? ipv4_header_holds(data) : internet_checksum(data, header_bytes) == 0;
  if (!holds) return Verdict::kBadIpChecksum;

  out.source.set_v4(data + kIpv4Source);
  out.destination.set_v4(data + kIpv4Destination);
  out.family = Family::kV4;
  out.tos = data[kIpv4Tos];
  out.ttl = data[kIpv4Ttl];
  out.protocol = data[kIpv4Protocol];
  out.header_bytes = static_cast<uint16_t>(header_bytes);
  out.total_bytes = total_bytes;
  const uint16_t fragment = load_be16(data + kIpv4Fragment);
  out.dont_fragment = (fragment & kIpv4DontFragment) != 0;
  out.more_fragments = (fragment & kIpv4MoreFragments) != 0;
  out.fragment_offset = static_cast<uint16_t>(fragment * 8);  // the flags fall off
  return parse_upper(data + header_bytes, total_bytes - header_bytes, out);
}

/// Where an upper-layer header, and what is read behind it, lies within 16 bits.
constexpr uint32_t kMostHeaderBytes = 0xff00;

/// Walks the extension headers of RFC 8200 §4 from `at` to the upper-layer header, which to IPsec
/// AH is one too (RFC 4301 §4.4.1.1). Every step moves forward by at least eight bytes.
Verdict walk_extensions(const uint8_t* data, uint32_t at, IpHeader& out) {
  uint8_t next = data[kIpv6NextHeader];
  for (;;) {
    const bool is_extension = next == kHopByHop || next == kRouting || next == kFragmentHeader ||
                              next == kDestinationOptions;
    // Behind a later fragment's header stand bytes from the middle of something.
    if (!is_extension || out.fragment_offset != 0) break;
    if (out.total_bytes - at < 8) return Verdict::kTooShort;

    uint32_t bytes = 8 + data[at + 1] * 8u;
    if (next == kFragmentHeader) {
      const uint16_t field = load_be16(data + at + 2);
      bytes = 8;
      out.more_fragments = (field & 1) != 0;
      out.fragment_offset = field & 0xfff8;
    }
    if (out.total_bytes - at < bytes) return Verdict::kTooShort;
    next = data[at];
    at += bytes;
  }
  if (at > kMostHeaderBytes) return Verdict::kBadIpLength;
  out.protocol = next;
  out.header_bytes = static_cast<uint16_t>(at);
  return Verdict::kPending;
}

Verdict parse_ipv6(const uint8_t* data, uint32_t length, IpHeader& out) {
  if (length < kIpv6HeaderBytes) return Verdict::kTooShort;
  out.total_bytes = kIpv6HeaderBytes + load_be16(data + kIpv6PayloadLength);
  if (out.total_bytes > length) return Verdict::kBadIpLength;

  out.family = Family::kV6;
  out.source.set_v6(data + kIpv6Source);
  out.destination.set_v6(data + kIpv6Destination);
  out.tos = static_cast<uint8_t>(load_be16(data) >> 4);
  out.ttl = data[kIpv6HopLimit];
  out.dont_fragment = false;
  out.more_fragments = false;
  out.fragment_offset = 0;
  const Verdict verdict = walk_extensions(data, kIpv6HeaderBytes, out);
  if (verdict != Verdict::kPending) return verdict;
  return parse_upper(data + out.header_bytes, out.total_bytes - out.header_bytes, out);
}

}  // namespace

Verdict parse_ip(const uint8_t* data, uint32_t length, IpHeader& out) {
  if (length < 1) return Verdict::kTooShort;
  switch (data[0] >> 4) {
    case 4:
      return parse_ipv4(data, length, out);
    case 6:
      return parse_ipv6(data, length, out);
    default:
      return Verdict::kBadIpVersion;
  }
}

}  // namespace esplane::packet
