// Big-endian loads and stores, constant-time comparison and wiping of secrets.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace esplane::base {

inline uint16_t load_be16(const void* p) {
  uint16_t v;
  std::memcpy(&v, p, sizeof v);
  return __builtin_bswap16(v);
}

inline uint32_t load_be32(const void* p) {
  uint32_t v;
  std::memcpy(&v, p, sizeof v);
  return __builtin_bswap32(v);
}

inline uint64_t load_be64(const void* p) {
  uint64_t v;
  std::memcpy(&v, p, sizeof v);
  return __builtin_bswap64(v);
}

inline void store_be16(void* p, uint16_t v) {
  v = __builtin_bswap16(v);
  std::memcpy(p, &v, sizeof v);
}

inline void store_be32(void* p, uint32_t v) {
  v = __builtin_bswap32(v);
  std::memcpy(p, &v, sizeof v);
}

inline void store_be64(void* p, uint64_t v) {
  v = __builtin_bswap64(v);
  std::memcpy(p, &v, sizeof v);
}

/// True if both ranges hold the same bytes. Its time depends on `bytes` only.
inline bool equal_constant_time(const void* a, const void* b, size_t bytes) {
  const auto* x = static_cast<const volatile uint8_t*>(a);
  const auto* y = static_cast<const volatile uint8_t*>(b);
  uint8_t difference = 0;
  for (size_t i = 0; i < bytes; i++) difference = static_cast<uint8_t>(difference | (x[i] ^ y[i]));
  return difference == 0;
}

/// Overwrites a secret with zeros in a way that the compiler cannot leave out.
inline void wipe(void* p, size_t bytes) { explicit_bzero(p, bytes); }

}  // namespace esplane::base
