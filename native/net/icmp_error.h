// ICMP errors that a gateway owes the sender of a packet which it cannot forward: time exceeded,
// and fragmentation needed or packet too big (RFC 792, RFC 1191 §4, RFC 4443 §3.2 and §3.3).
//
// The offending packet itself becomes the error: the new headers go into its headroom, its own
// beginning stays as the quotation (RFC 1812 §4.3.2.3, RFC 4443 §2.4 c), what is too long is cut.
#pragma once

#include <cstdint>

#include "net/address.h"

namespace esplane::net {

struct IcmpError {
  enum class Kind : uint8_t { kTimeExceeded, kTooBig };
  Kind kind;
  uint32_t mtu_bytes = 0;  ///< kTooBig: the largest packet that would pass
};

/// True if an error may be sent about this packet: not about an ICMP error, not about a later
/// fragment, not to or from an address that is no single host's (RFC 1812 §4.3.2.7, RFC 4443
/// §2.4 e).
bool may_answer_with_error(const uint8_t* ip, uint32_t bytes);

/// Turns the packet at `data` into the error about it.
/// @param data    its IP header, checked; on return the new one. Needs 48 bytes of headroom.
/// @param bytes   its length; on return the error's
/// @param source  our address, of the packet's family
void make_icmp_error(uint8_t*& data, uint32_t& bytes, const IcmpError& error,
                     const IpAddress& source);

}  // namespace esplane::net
