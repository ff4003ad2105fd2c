#include "net/too_big.h"

#include "base/bytes.h"
#include "packet/checksum.h"

namespace esplane::net {
namespace {

using base::load_be16;
using base::load_be32;

constexpr uint32_t kIcmpHeaderBytes = 8;
constexpr uint32_t kSpiBytes = 4;
constexpr uint32_t kFragmentHeaderBytes = 8;

/// RFC 1191 §7.1, table 7-1, without what is below any path that we believe in.
constexpr uint32_t kPlateaus[] = {32000, 17914, 8166, 4352, 2002, 1492, 1006, 508, 296, 68};

uint32_t plateau_below(uint32_t bytes) {
  for (const uint32_t plateau : kPlateaus) {
    if (plateau < bytes) return plateau;
  }
  return 68;
}

/// The ESP, AH or UDP header that is quoted, and what of it is there.
struct Quoted {
  const uint8_t* data;
  uint32_t bytes;
  uint8_t protocol;
  uint32_t packet_bytes;  ///< of the packet, as its header says
};

std::optional<Quoted> open_ipv4(const uint8_t* ip, uint32_t bytes, TooBig& out) {
  if (bytes < packet::kIpv4HeaderBytes || ip[0] >> 4 != 4) return {};
  const uint32_t header_bytes = (ip[0] & 0xfu) * 4;
  if (header_bytes < packet::kIpv4HeaderBytes || bytes < header_bytes) return {};
  if ((load_be16(ip + packet::kIpv4Fragment) & packet::kIpv4OffsetMask) != 0) return {};
  out.source = IpAddress::v4(ip + packet::kIpv4Source);
  out.destination = IpAddress::v4(ip + packet::kIpv4Destination);
  return Quoted{ip + header_bytes, bytes - header_bytes, ip[packet::kIpv4Protocol],
                load_be16(ip + packet::kIpv4TotalLength)};
}

/// What we send has no extension header but a Fragment header.
std::optional<Quoted> open_ipv6(const uint8_t* ip, uint32_t bytes, TooBig& out) {
  if (bytes < packet::kIpv6HeaderBytes || ip[0] >> 4 != 6) return {};
  out.source = IpAddress::v6(ip + packet::kIpv6Source);
  out.destination = IpAddress::v6(ip + packet::kIpv6Destination);
  Quoted quoted{ip + packet::kIpv6HeaderBytes, bytes - packet::kIpv6HeaderBytes,
                ip[packet::kIpv6NextHeader],
                packet::kIpv6HeaderBytes + load_be16(ip + packet::kIpv6PayloadLength)};
  if (quoted.protocol == packet::kFragmentHeader) {
    if (quoted.bytes < kFragmentHeaderBytes || (load_be16(quoted.data + 2) & 0xfff8) != 0)
      return {};
    quoted.protocol = quoted.data[0];
    quoted.data += kFragmentHeaderBytes;
    quoted.bytes -= kFragmentHeaderBytes;
  }
  return quoted;
}

/// SPI and sequence number: first in ESP (RFC 4303 §2), behind four bytes in AH (RFC 4302 §2),
/// behind the UDP header in UDP (RFC 3948 §2.1).
bool read_spi(const Quoted& quoted, uint16_t nat_port, TooBig& out) {
  uint32_t at = 0;
  switch (quoted.protocol) {
    case packet::kEsp:
      break;
    case packet::kAh:
      at = 4;
      break;
    case packet::kUdp:
      at = packet::kUdpHeaderBytes;
      if (quoted.bytes < at || load_be16(quoted.data + packet::kUdpSourcePort) != nat_port)
        return false;
      break;
    default:
      return false;
  }
  if (quoted.bytes < at + kSpiBytes) return false;
  out.spi = load_be32(quoted.data + at);
  if (quoted.bytes >= at + 8) out.sequence = load_be32(quoted.data + at + 4);
  return out.spi != 0;  // the non-ESP marker: IKE, whose errors are the kernel's
}

bool is_too_big(const uint8_t* icmp, const packet::IpHeader& header) {
  if (header.family == packet::Family::kV4)
    return header.protocol == packet::kIcmp && icmp[0] == 3 && icmp[1] == 4;
  return header.protocol == packet::kIcmpV6 && icmp[0] == 2;  // any code (RFC 4443 §3.2)
}

bool checksum_holds(const uint8_t* icmp, uint32_t bytes, const packet::IpHeader& header) {
  uint64_t sum = packet::checksum_add(icmp, bytes);
  if (header.family == packet::Family::kV6)
    sum += packet::pseudo_header_add(header.source, header.destination, packet::kIcmpV6, bytes);
  return packet::checksum_fold(sum) == 0xffff;
}

}  // namespace

std::optional<TooBig> read_too_big(const uint8_t* ip, const packet::IpHeader& header,
                                   uint16_t nat_port) {
  const uint8_t* icmp = ip + header.header_bytes;
  const uint32_t bytes = header.total_bytes - header.header_bytes;
  if (header.is_fragment() || bytes < kIcmpHeaderBytes || !is_too_big(icmp, header) ||
      !checksum_holds(icmp, bytes, header))
    return {};
  const bool is_v4 = header.family == packet::Family::kV4;
  TooBig out;
  const auto quoted = is_v4
                          ? open_ipv4(icmp + kIcmpHeaderBytes, bytes - kIcmpHeaderBytes, out)
                          : open_ipv6(icmp + kIcmpHeaderBytes, bytes - kIcmpHeaderBytes, out);
  if (!quoted || !read_spi(*quoted, nat_port, out)) return {};
  out.mtu_bytes = is_v4 ? load_be16(icmp + 6) : load_be32(icmp + 4);
  if (is_v4 && out.mtu_bytes == 0) out.mtu_bytes = plateau_below(quoted->packet_bytes);
  if (out.mtu_bytes >= quoted->packet_bytes) return {};
  return out;
}

}  // namespace esplane::net
