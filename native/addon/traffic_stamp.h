// What the generator of benchmarks writes into its packets, and the sink reads: a number and the
// time, behind the headers of UDP in IPv4.
#pragma once

#include <cstdint>
#include <cstring>

#include "base/bytes.h"
#include "packet/ip.h"

namespace esplane::addon {

inline constexpr uint32_t kStampOffset = 14 + packet::kIpv4HeaderBytes + packet::kUdpHeaderBytes;
inline constexpr uint32_t kStampMagic = 0x45535047;
inline constexpr uint32_t kStampBytes = 20;  ///< magic, number, nanoseconds of CLOCK_MONOTONIC

inline void write_stamp(uint8_t* frame, uint64_t number, uint64_t ns) {
  uint8_t* p = frame + kStampOffset;
  base::store_be32(p, kStampMagic);
  base::store_be64(p + 4, number);
  base::store_be64(p + 12, ns);
}

struct Stamp {
  uint64_t number, ns;
};

/// @return false if the frame has none
inline bool read_stamp(const uint8_t* frame, uint32_t length, Stamp& stamp) {
  if (length < kStampOffset + kStampBytes) return false;
  const uint8_t* p = frame + kStampOffset;
  if (base::load_be32(p) != kStampMagic) return false;
  stamp = {base::load_be64(p + 4), base::load_be64(p + 12)};
  return true;
}

}  // namespace esplane::addon
