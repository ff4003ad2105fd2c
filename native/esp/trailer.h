// The ESP trailer: padding 1, 2, 3, ..., pad length, next header (RFC 4303 §2.4 to §2.6).
#pragma once

#include <cstdint>
#include <cstring>

#include "base/bytes.h"
#include "packet/ip.h"

namespace esplane::esp {

/// Up to a whole block. @param block_bytes  a power of two
inline uint32_t padding_bytes(uint32_t block_bytes, uint32_t payload_bytes) {
  return (0u - (payload_bytes + packet::kEspTrailerBytes)) & (block_bytes - 1u);
}

inline uint32_t trailer_bytes(uint32_t block_bytes, uint32_t payload_bytes) {
  return padding_bytes(block_bytes, payload_bytes) + packet::kEspTrailerBytes;
}

inline constexpr uint64_t kPadding1to8 = 0x0807060504030201;  // little-endian
inline constexpr uint64_t kPadding9to16 = 0x100f0e0d0c0b0a09;

/// @param end      behind the payload; the ICV's room, eight bytes at least, follows the trailer
/// @param padding  at most 15
inline void write_trailer(uint8_t* end, uint32_t padding, uint8_t next_header) {
  // Whole words cost less than loops; what is too much is overwritten.
  std::memcpy(end, &kPadding1to8, 8);
  if (padding > 8) [[unlikely]] std::memcpy(end + 8, &kPadding9to16, 8);
  end[padding] = static_cast<uint8_t>(padding);
  end[padding + 1] = next_header;
}

/// Takes the trailer off.
/// @param text_bytes  in: payload and trailer, the ICV's room behind it; out: the payload
/// @return false where pad length or padding is wrong; §2.4: the receiver should inspect it
inline bool strip_trailer(const uint8_t* text, uint32_t& text_bytes, uint8_t& next_header) {
  const uint32_t padding = text[text_bytes - 2];
  next_header = text[text_bytes - 1];
  if (padding + packet::kEspTrailerBytes > text_bytes) return false;
  text_bytes -= padding + packet::kEspTrailerBytes;
  const uint8_t* pad = text + text_bytes;
  if (padding <= 8) [[likely]] {
    uint64_t found;
    std::memcpy(&found, pad, 8);
    const uint64_t different = found ^ kPadding1to8;
    return padding == 0 || different << (64 - 8 * padding) == 0;
  }
  for (uint32_t k = 0; k < padding; k++) {
    if (pad[k] != k + 1) return false;
  }
  return true;
}

}  // namespace esplane::esp
