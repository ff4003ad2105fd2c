// What the fuzz targets share: reading a fuzzer's bytes piece by piece, and packets of exactly
// their own size, so that the sanitizer sees a read behind them.
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "base/bytes.h"
#include "packet/checksum.h"
#include "packet/ip.h"

namespace esplane::fuzz {

/// Ends the process, which the fuzzer reports with the input.
#define FUZZ_CHECK(condition)                                                        \
  do {                                                                               \
    if (!(condition)) {                                                              \
      std::fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);   \
      std::abort();                                                                  \
    }                                                                                \
  } while (false)

/// The bytes of one input, from the front; zeros behind their end.
class Input {
 public:
  Input(const uint8_t* data, size_t bytes) : data_(data), left_(bytes) {}

  size_t left() const { return left_; }
  uint8_t byte() {
    if (left_ == 0) return 0;
    left_--;
    return *data_++;
  }
  uint16_t u16() {
    const uint32_t high = byte();
    return static_cast<uint16_t>(high << 8 | byte());
  }
  uint32_t u32() {
    const uint32_t high = u16();
    return high << 16 | u16();
  }
  uint64_t u64() {
    const uint64_t high = u32();
    return high << 32 | u32();
  }
  /// @param most  as many, or all that is left
  std::vector<uint8_t> bytes(size_t most) {
    const size_t count = most < left_ ? most : left_;
    std::vector<uint8_t> taken(data_, data_ + count);
    data_ += count;
    left_ -= count;
    return taken;
  }

 private:
  const uint8_t* data_;
  size_t left_;
};

/// Gives an IPv4 header the checksum that it should have: without, hardly a mutated packet would
/// get any further.
inline void repair_ipv4_checksum(std::vector<uint8_t>& packet) {
  if (packet.empty() || packet[0] >> 4 != 4) return;
  const size_t header = (packet[0] & 15u) * 4;
  if (header < packet::kIpv4HeaderBytes || header > packet.size()) return;
  base::store_be16(&packet[packet::kIpv4Checksum], 0);
  base::store_be16(&packet[packet::kIpv4Checksum],
                   packet::internet_checksum(packet.data(), static_cast<uint32_t>(header)));
}

}  // namespace esplane::fuzz
