// The MSS option of TCP (RFC 9293 §3.7.1), lowered to what fits a tunnel: the ends of a connection
// then never send what would have to be cut or answered with ICMP, which not every network lets
// through.
#pragma once

#include <cstdint>

#include "packet/ip.h"

namespace esplane::packet {

/// A TCP segment that opens a connection: the only kind that has the option.
inline bool is_tcp_syn(const uint8_t* ip, const IpHeader& header) {
  return header.protocol == kTcp && header.fragment_offset == 0 &&
         header.total_bytes > header.header_bytes + kTcpFlags &&
         (ip[header.header_bytes + kTcpFlags] & kTcpSyn) != 0;
}

/// Lowers every MSS option of a SYN to what an IP packet of `mtu_bytes` holds behind headers without
/// options (RFC 6691 §2), and updates the TCP checksum (RFC 1624). Never raises one, adds none, and
/// leaves alone what stands behind an option that is malformed.
/// @param ip  first byte of the packet that `header` was read from; is_tcp_syn()
/// @return    whether an option was changed
bool clamp_mss(uint8_t* ip, const IpHeader& header, uint32_t mtu_bytes);

}  // namespace esplane::packet
