// Selectors: which packets an SPD entry or an SA is for (RFC 4301 §4.4.1.1).
#pragma once

#include <cstdint>
#include <span>

#include "base/bytes.h"
#include "packet/address.h"
#include "packet/ip.h"

namespace esplane::packet {

/// Whether a packet fits. kUnknown: it would, but for ports that this packet does not show
/// (a fragment other than the first).
enum class Match : uint8_t { kNo, kUnknown, kYes };

/// One side of a traffic selector (RFC 7296 §3.13.1): an address range, a protocol, a port range.
struct Selector {
  IpAddress start;              ///< first and last address, inclusive, of one family
  IpAddress end;
  uint8_t protocol = 0;         ///< 0: any
  uint16_t start_port = 0;      ///< ICMP: type << 8 | code
  uint16_t end_port = 65535;

  /// Any port, and also packets without ports: ANY encompasses OPAQUE (RFC 4301 §4.4.1.1).
  bool any_port() const { return start_port == 0 && end_port == 65535; }
  /// OPAQUE: only packets whose ports cannot be seen (RFC 7296 §3.13.1: start 65535, end 0).
  bool opaque_port() const { return start_port == 65535 && end_port == 0; }

  bool contains(const IpAddress& address) const {
    return address.family == start.family && !(address < start) && !(end < address);
  }

  /// @param address  the packet's address on this selector's side
  /// @param port     likewise; read only if the packet has ports
  Match matches(const IpHeader& packet, const IpAddress& address, uint16_t port) const {
    if (protocol != 0 && protocol != packet.protocol) return Match::kNo;
    if (!contains(address)) return Match::kNo;
    if (any_port()) return Match::kYes;
    if (opaque_port()) return packet.has_ports ? Match::kNo : Match::kYes;
    if (!packet.has_ports) return packet.fragment_offset != 0 ? Match::kUnknown : Match::kNo;
    return start_port <= port && port <= end_port ? Match::kYes : Match::kNo;
  }
};

/// The most frequent kind of selectors, one IPv4 network on each side and nothing else, as numbers:
/// checked in a few instructions. Others never fit and are left to match_pair.
class Ipv4Networks {
 public:
  Ipv4Networks(std::span<const Selector> source_side, std::span<const Selector> destination_side);

  /// True: so match_pair() says kYes. False: ask it.
  bool contain(const IpHeader& packet) const {
    return packet.family == Family::kV4 &&
           base::load_be32(packet.source.bytes) - source_start_ <= source_span_ &&
           base::load_be32(packet.destination.bytes) - destination_start_ <= destination_span_ &&
           usable_;
  }

 private:
  uint32_t source_start_ = 0, source_span_ = 0;  ///< first address, and the last one's distance
  uint32_t destination_start_ = 0, destination_span_ = 0;
  bool usable_ = false;
};

/// A packet against alternatives of both sides: it fits if it fits one of each.
Match match_pair(const IpHeader& packet, std::span<const Selector> source_side,
                 std::span<const Selector> destination_side);

}  // namespace esplane::packet
