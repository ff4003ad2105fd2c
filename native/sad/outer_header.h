// The outer header of tunnel mode, and what policy makes of its fields (RFC 4301 §5.1.2, §8.1), and
// the UDP header of RFC 3948.
//
// The header of an SA never changes: where one of its ends gets another address, a new one is
// published in its place (Sad::move). So a worker reads either the old or the new one
// and never a mixture, takes no lock for it, and the old one is freed when no worker can hold it
// (base/epoch.h). The SA itself stays, with its sequence numbers, keys and counters.
#pragma once

#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>

#include "base/pool.h"
#include "packet/ip.h"

namespace esplane::sad {

/// Where the outer header does not follow from the inner one (RFC 4301 §5.1.2.1 and .2).
struct OuterPolicy {
  enum class DontFragment : uint8_t { kCopy, kSet, kClear };

  /// IPv4 outer headers. Copied from inner IPv6, it is set: no router fragments that (§8.1).
  DontFragment dont_fragment = DontFragment::kCopy;
  /// 0 to 63; none: the inner packet's.
  std::optional<uint8_t> dscp;
  /// IPv6 outer headers. Never the inner packet's (§5.1.2.1, note 9).
  uint32_t flow_label = 0;
  uint8_t ttl = 64;
};

/// One end of the outer path.
struct Endpoint {
  packet::IpAddress address;
  uint16_t port = 0;  ///< of the UDP encapsulation

  bool operator==(const Endpoint& other) const {
    return port == other.port && address == other.address;
  }
};

/// What the outer headers of all packets of an SA have in common, one cache line. Lengths, IPv4 ID
/// and checksum are the packet's, and so are the bits of TOS and DF that policy copies.
struct alignas(64) OuterHeader : base::Pooled {
  uint8_t bytes[48] = {};      ///< IP header, and UDP header where the SA has one
  uint8_t size = 0;            ///< 20, 28, 40 or 48
  uint8_t ip_bytes = 0;        ///< 20 or 40
  uint16_t sum = 0;            ///< IPv4: over the header, for its checksum (packet/checksum.h)
  uint8_t tos_copied = 0xff;   ///< bits of the inner TOS or traffic class that are copied ...
  uint8_t tos_set = 0;         ///< ... and those that are set
  uint16_t fragment_copied = 0x4000;  ///< likewise of IPv4 flags and fragment offset: DF
  uint16_t fragment_set = 0;

  /// @param protocol           of what follows the headers: ESP or AH
  /// @param udp_encapsulation  with the endpoints' ports
  OuterHeader(const Endpoint& local, const Endpoint& remote, uint8_t protocol,
              bool udp_encapsulation, const OuterPolicy& policy);

  bool is_v4() const { return ip_bytes == 20; }
  /// Whether an ESP packet must not be fragmented: DF of IPv4 outside, and by the same policy IPv6.
  /// @param inner  likewise of the packet inside; that of IPv6 must not
  bool dont_fragment(bool inner) const {
    return fragment_set != 0 || (inner && fragment_copied != 0);
  }
  packet::IpAddress source() const;
  packet::IpAddress destination() const;
  bool has_destination_of(const OuterHeader& other) const {
    if (ip_bytes != other.ip_bytes) return false;
    return is_v4() ? std::memcmp(bytes + packet::kIpv4Destination,
                                 other.bytes + packet::kIpv4Destination, 4) == 0
                   : std::memcmp(bytes + packet::kIpv6Destination,
                                 other.bytes + packet::kIpv6Destination, 16) == 0;
  }
  /// The same header between other addresses and ports, of the same family.
  std::unique_ptr<const OuterHeader> between(const Endpoint& local, const Endpoint& remote) const;

 private:
  void write_ends(const Endpoint& local, const Endpoint& remote);
};
static_assert(sizeof(OuterHeader) == 64);

}  // namespace esplane::sad
