// Checksums as a receiver sees them, written without the code under test.
#pragma once

#include <cstddef>
#include <cstdint>

namespace esplane::test {

/// RFC 1071, word by word.
inline uint32_t ones_sum(const uint8_t* p, size_t bytes, uint32_t sum = 0) {
  for (size_t i = 0; i < bytes; i++) sum += i % 2 ? p[i] : uint32_t{p[i]} << 8;
  while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
  return sum;
}

/// True if the TCP or UDP checksum of an IP packet holds.
inline bool upper_checksum_holds(const uint8_t* ip, size_t bytes) {
  const bool v4 = ip[0] >> 4 == 4;
  const size_t header = v4 ? 4u * (ip[0] & 15) : 40;
  const uint8_t protocol = v4 ? ip[9] : ip[6];
  uint32_t sum = v4 ? ones_sum(ip + 12, 8) : ones_sum(ip + 8, 32);
  sum += protocol + static_cast<uint32_t>(bytes - header);
  return ones_sum(ip + header, bytes - header, sum) == 0xffff;
}

}  // namespace esplane::test
