// The AH header (RFC 4302 §2): its layout and its length.
//
//   next header | length | reserved
//   SPI
//   sequence number (low 32 bits)
//   ICV: with GMAC the IV first (RFC 4543 §4.2); padding to whole words
#pragma once

#include <cstdint>
#include <cstring>

#include "base/bytes.h"
#include "sad/protection.h"

namespace esplane::ah {

inline constexpr uint32_t kNextHeader = 0, kLength = 1, kSpi = 4, kSequence = 8, kIcvField = 12;

/// Without padding. The ICV ends there.
inline uint32_t bytes_to_icv_end(const sad::Protection& p) {
  return kIcvField + p.iv_bytes + p.icv_bytes;
}

/// As we send it: a multiple of 4 bytes over IPv4, of 8 over IPv6 (§3.3.3.2.1).
inline uint32_t header_bytes(const sad::Protection& p, bool outer_is_v4) {
  const uint32_t unit = outer_is_v4 ? 4 : 8;
  return (bytes_to_icv_end(p) + unit - 1) / unit * unit;
}

/// The whole header, as its length field says: 32-bit words minus two (§2.2).
inline uint32_t claimed_bytes(const uint8_t* ah) { return (ah[kLength] + 2u) * 4; }

/// Writes it with an ICV field of zeros, but for GMAC's IV, which is the sequence number.
/// @param bytes  of the whole header
inline void write_header(uint8_t* ah, const sad::Protection& p, uint32_t bytes,
                         uint8_t next_header, uint32_t spi, uint64_t sequence) {
  std::memset(ah, 0, bytes);
  ah[kNextHeader] = next_header;
  ah[kLength] = static_cast<uint8_t>(bytes / 4 - 2);
  base::store_be32(ah + kSpi, spi);
  base::store_be32(ah + kSequence, static_cast<uint32_t>(sequence));
  if (p.iv_bytes == 8) base::store_be64(ah + kIcvField, sequence);
}

}  // namespace esplane::ah
