// The headers before AH as its integrity check sees them (RFC 4302 §3.3.3.1, Appendix A).
#pragma once

#include <cstdint>

namespace esplane::ah {

/// Zeroes what may change on the way, and makes what changes predictably as it will be when the
/// packet arrives: a source route that has not been followed to its end yet.
/// @param ip     an IP header that parse_ip has checked, with options or extension headers
/// @param bytes  up to the AH header
/// @return false where that cannot be said, or the options are malformed; `ip` is then garbage
bool mask_mutable_fields(uint8_t* ip, uint32_t bytes);

}  // namespace esplane::ah
