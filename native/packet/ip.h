// Header layouts of IPv4 (RFC 791), IPv6 (RFC 8200), UDP (RFC 768), TCP (RFC 9293 §3.1) and ESP
// (RFC 4303 §2), and the one reader of IP headers: bounds-checked, into a small struct.
//
// IPv6 extension headers are walked to the upper-layer header (RFC 8200 §4.1). Left out: options
// inside extension headers and IPv4 options are skipped unread; a Routing header's final
// destination is not looked up (the address that the packet is now sent to decides).
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "packet/address.h"
#include "packet/verdict.h"

namespace esplane::packet {

/// Protocol numbers (IANA), as far as the dataplane treats them specially.
enum Protocol : uint8_t {
  kHopByHop = 0,
  kIcmp = 1,
  kIgmp = 2,
  kIpv4InIp = 4,
  kTcp = 6,
  kUdp = 17,
  kDccp = 33,
  kIpv6InIp = 41,
  kRouting = 43,
  kFragmentHeader = 44,
  kEsp = 50,
  kAh = 51,
  kIcmpV6 = 58,
  kNoNextHeader = 59,
  kDestinationOptions = 60,
  kSctp = 132,
  kMobility = 135,
  kUdpLite = 136,
};

// Offsets and sizes in bytes. Fields are read and written with base/bytes.h, never through casts.
inline constexpr uint32_t kIpv4HeaderBytes = 20;
inline constexpr uint32_t kIpv4Tos = 1, kIpv4TotalLength = 2, kIpv4Id = 4, kIpv4Fragment = 6,
                          kIpv4Ttl = 8, kIpv4Protocol = 9, kIpv4Checksum = 10, kIpv4Source = 12,
                          kIpv4Destination = 16;
inline constexpr uint16_t kIpv4DontFragment = 0x4000, kIpv4MoreFragments = 0x2000,
                          kIpv4OffsetMask = 0x1fff;

inline constexpr uint32_t kIpv6HeaderBytes = 40;
inline constexpr uint32_t kIpv6PayloadLength = 4, kIpv6NextHeader = 6, kIpv6HopLimit = 7,
                          kIpv6Source = 8, kIpv6Destination = 24;

inline constexpr uint32_t kUdpHeaderBytes = 8;
inline constexpr uint32_t kUdpSourcePort = 0, kUdpDestinationPort = 2, kUdpLength = 4,
                          kUdpChecksum = 6;

inline constexpr uint32_t kTcpHeaderBytes = 20;
inline constexpr uint32_t kTcpSequence = 4, kTcpAcknowledgement = 8, kTcpDataOffset = 12,
                          kTcpFlags = 13, kTcpWindow = 14, kTcpChecksum = 16, kTcpUrgent = 18;
inline constexpr uint8_t kTcpFin = 0x01, kTcpSyn = 0x02, kTcpPsh = 0x08, kTcpAck = 0x10,
                         kTcpCwr = 0x80;

inline constexpr uint32_t kEspHeaderBytes = 8;  ///< SPI | sequence number (low 32 bits)
inline constexpr uint32_t kEspSpi = 0, kEspSequence = 4;
inline constexpr uint32_t kEspTrailerBytes = 2;  ///< pad length | next header, behind the padding

/// What the headers of one IP packet say. Numbers are in host order.
struct IpHeader {
  // First what selectors look at, without a gap: flow().
  IpAddress source;
  IpAddress destination;
  uint8_t protocol = 0;      ///< of the upper layer, behind all IPv6 extension headers
  /// False where there are none to be seen: another protocol, or a fragment other than the first.
  /// OPAQUE in the words of RFC 4301 §4.4.1.1.
  bool has_ports = false;
  /// Ports of TCP, UDP, UDP-Lite, SCTP and DCCP. For ICMP and ICMPv6 both hold type << 8 | code,
  /// for Mobility (RFC 6275) both hold type << 8 (RFC 7296 §3.13.1).
  uint16_t source_port = 0;
  uint16_t destination_port = 0;
  static constexpr uint32_t kFlowBytes = 40, kHasPortsAt = 35;

  uint16_t fragment_offset = 0;  ///< in bytes
  Family family = Family::kNone;
  uint8_t tos = 0;           ///< IPv4 TOS, IPv6 traffic class: DSCP in the high six bits, ECN in two
  uint8_t ttl = 0;           ///< TTL, hop limit
  uint16_t header_bytes = 0; ///< from the first byte to the upper-layer header
  uint32_t total_bytes = 0;  ///< of the packet as its header says; at most what was handed in
  bool dont_fragment = false;  ///< IPv4 DF
  bool more_fragments = false;

  bool is_fragment() const { return more_fragments || fragment_offset != 0; }

  /// All that selectors look at, as words: addresses, protocol, ports, and whether it is a fragment
  /// other than the first.
  struct Flow {
    uint64_t word[kFlowBytes / 8];
    /// Of the last word: has_ports has a byte, of which two bits are used.
    static constexpr uint32_t kLaterFragmentBit = 8 * (kHasPortsAt % 8) + 1;
    static constexpr uint32_t kFreeBits = kLaterFragmentBit + 1, kFreeBitCount = 6;

    bool operator==(const Flow& o) const {
      return ((word[0] ^ o.word[0]) | (word[1] ^ o.word[1]) | (word[2] ^ o.word[2]) |
              (word[3] ^ o.word[3]) | (word[4] ^ o.word[4])) == 0;
    }
  };
  Flow flow() const {
    Flow f;
    std::memcpy(f.word, this, sizeof f.word);
    f.word[4] |= uint64_t{fragment_offset != 0} << Flow::kLaterFragmentBit;
    return f;
  }
};
static_assert(offsetof(IpHeader, has_ports) == IpHeader::kHasPortsAt);
static_assert(offsetof(IpHeader, destination_port) + 2 == IpHeader::kFlowBytes);

/// Reads the headers of the packet at `data`. Touches nothing beyond `length` bytes.
///
/// The packet may be longer than its header says (Ethernet padding, TFC padding): the caller cuts
/// it to `total_bytes`.
/// @param length  bytes that may be read
/// @return kPending; or kTooShort, kBadIpVersion, kBadIpLength, kBadIpChecksum (IPv4 header,
///         RFC 1812 §5.2.2), with `out` unspecified. A packet that ends within the ports, ICMP
///         type or extension header that its protocol must have is kTooShort, so that it cannot
///         slip past an entry with ports.
Verdict parse_ip(const uint8_t* data, uint32_t length, IpHeader& out);

}  // namespace esplane::packet
