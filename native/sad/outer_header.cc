#include "sad/outer_header.h"

#include <cstring>

#include "base/bytes.h"
#include "packet/checksum.h"
#include "packet/ip.h"

namespace esplane::sad {
namespace {

constexpr uint8_t kEcnBits = 0x03;

}  // namespace

OuterHeader::OuterHeader(const Endpoint& local, const Endpoint& remote, uint8_t protocol,
                         bool udp_encapsulation, const OuterPolicy& policy) {
  const uint8_t next = udp_encapsulation ? uint8_t{packet::kUdp} : protocol;
  if (remote.address.is_v4()) {
    ip_bytes = packet::kIpv4HeaderBytes;
    bytes[0] = 0x45;
    bytes[packet::kIpv4Ttl] = policy.ttl;
    bytes[packet::kIpv4Protocol] = next;
  } else {
    ip_bytes = packet::kIpv6HeaderBytes;
    base::store_be32(bytes, 0x60000000u | policy.flow_label);
    bytes[packet::kIpv6NextHeader] = next;
    bytes[packet::kIpv6HopLimit] = policy.ttl;
  }
  size = static_cast<uint8_t>(ip_bytes + (udp_encapsulation ? packet::kUdpHeaderBytes : 0));
  if (policy.dscp) {
    tos_copied = kEcnBits;
    tos_set = static_cast<uint8_t>(*policy.dscp << 2);
  }
  if (policy.dont_fragment != OuterPolicy::DontFragment::kCopy) fragment_copied = 0;
  if (policy.dont_fragment == OuterPolicy::DontFragment::kSet) {
    fragment_set = packet::kIpv4DontFragment;
  }
  write_ends(local, remote);
}

void OuterHeader::write_ends(const Endpoint& local, const Endpoint& remote) {
  if (is_v4()) {
    std::memcpy(bytes + packet::kIpv4Source, local.address.bytes, 4);
    std::memcpy(bytes + packet::kIpv4Destination, remote.address.bytes, 4);
    sum = packet::checksum_fold(packet::checksum_add(bytes, ip_bytes));
  } else {
    std::memcpy(bytes + packet::kIpv6Source, local.address.bytes, 16);
    std::memcpy(bytes + packet::kIpv6Destination, remote.address.bytes, 16);
  }
  if (size > ip_bytes) {
    base::store_be16(bytes + ip_bytes + packet::kUdpSourcePort, local.port);
    base::store_be16(bytes + ip_bytes + packet::kUdpDestinationPort, remote.port);
  }
}

packet::IpAddress OuterHeader::source() const {
  return is_v4() ? packet::IpAddress::v4(bytes + packet::kIpv4Source)
                 : packet::IpAddress::v6(bytes + packet::kIpv6Source);
}

packet::IpAddress OuterHeader::destination() const {
  return is_v4() ? packet::IpAddress::v4(bytes + packet::kIpv4Destination)
                 : packet::IpAddress::v6(bytes + packet::kIpv6Destination);
}

std::unique_ptr<const OuterHeader> OuterHeader::between(const Endpoint& local,
                                                              const Endpoint& remote) const {
  auto fresh = std::make_unique<OuterHeader>(*this);
  fresh->write_ends(local, remote);
  return fresh;
}

}  // namespace esplane::sad
