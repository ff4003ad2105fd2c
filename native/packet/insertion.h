// Where in a packet the header of transport mode IPsec goes: behind the headers that routers on the
// way look at, before all that is the receiver's (RFC 4303 §3.1.1, RFC 4302 §3.1.1).
#pragma once

#include <cstdint>

#include "packet/ip.h"

namespace esplane::packet {

struct Insertion {
  uint16_t offset;      ///< bytes of headers that stay in front
  uint16_t next_field;  ///< offset of the byte in them that says what follows: IPv4's protocol,
                        ///< or the next-header byte of the last one
};

/// IPv4: behind the options. IPv6: behind hop-by-hop options, routing and fragment headers, and
/// destination options that a routing header follows; other destination options are protected.
/// @param ip     of which `bytes` may be read
/// @return kPending; kTransportFragment where the packet is one; kTooShort, kBadIpVersion
Verdict find_insertion(const uint8_t* ip, uint32_t bytes, Insertion& out);

/// The byte that names the header at `offset` of a packet that parse_ip has walked to there.
/// @return 0 where no chain of headers leads to `offset`
uint16_t next_field_of(const uint8_t* ip, uint32_t offset);

/// Writes the length of a packet into its IP header, and IPv4's checksum.
/// @param bytes  the whole packet
void write_length(uint8_t* ip, uint32_t bytes);

}  // namespace esplane::packet
