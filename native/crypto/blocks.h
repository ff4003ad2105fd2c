// Blocks of 16 bytes and parts of them, in and out of memory.
//
// For kernels only, in an unnamed namespace like crypto/clmul.h. Needs SSE4.1. Nothing here touches
// a byte outside of what it was given.
#pragma once

#include <immintrin.h>

#include <cstdint>
#include <cstring>

#include "crypto/clmul.h"

namespace esplane::crypto {
namespace {

ESPLANE_INLINE __m128i load(const void* p) {
  return _mm_loadu_si128(static_cast<const __m128i*>(p));
}

ESPLANE_INLINE void store(void* p, __m128i v) { _mm_storeu_si128(static_cast<__m128i*>(p), v); }

/// Reads n <= 16 bytes; zeros follow them.
ESPLANE_INLINE __m128i load_partial(const uint8_t* p, uint32_t n) {
  alignas(16) uint8_t block[16] = {};
  for (uint32_t i = 0; i < n; i++) block[i] = p[i];
  return _mm_load_si128(reinterpret_cast<const __m128i*>(block));
}

/// Writes the first n < 16 bytes of v.
ESPLANE_INLINE void store_partial(uint8_t* p, __m128i v, uint32_t n) {
  if (n & 8) {
    _mm_storel_epi64(reinterpret_cast<__m128i*>(p), v);
    v = _mm_unpackhi_epi64(v, v);
    p += 8;
  }
  auto rest = static_cast<uint64_t>(_mm_cvtsi128_si64(v));
  if (n & 4) {
    std::memcpy(p, &rest, 4);
    rest >>= 32;
    p += 4;
  }
  if (n & 2) {
    std::memcpy(p, &rest, 2);
    rest >>= 16;
    p += 2;
  }
  if (n & 1) *p = static_cast<uint8_t>(rest);
}

/// The n <= 16 bytes in front of `end`; zeros follow them. There are at least 16 bytes to read.
ESPLANE_INLINE __m128i load_last(const uint8_t* end, uint32_t n) {
  alignas(16) static constexpr int8_t kIndex[32] = {
      0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13, 14, 15,
      -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1};
  return _mm_shuffle_epi8(load(end - 16), load(kIndex + 16 - n));
}

/// v with zeros behind its first n <= 16 bytes.
ESPLANE_INLINE __m128i first_bytes(__m128i v, uint32_t n) {
  alignas(16) static constexpr int8_t kMask[32] = {-1, -1, -1, -1, -1, -1, -1, -1,
                                                   -1, -1, -1, -1, -1, -1, -1, -1};
  return _mm_and_si128(v, load(kMask + 16 - n));
}

/// A nonce of 12 bytes; zeros follow them.
ESPLANE_INLINE __m128i load_nonce(const uint8_t* p) {
  int32_t last;
  std::memcpy(&last, p + 8, sizeof last);
  return _mm_insert_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p)), last, 2);
}

/// The last block of the AAD, n <= 16: 8 bytes of ESP header, or 12 with ESN (RFC 4106 §5).
ESPLANE_INLINE __m128i load_aad_block(const uint8_t* p, uint32_t n) {
  if (n == 8) [[likely]] return _mm_loadl_epi64(reinterpret_cast<const __m128i*>(p));
  if (n == 12) [[likely]] return load_nonce(p);
  return n == 16 ? load(p) : load_partial(p, n);
}

/// GHASH's last block (SP 800-38D §7.1), byte-reversed.
ESPLANE_INLINE __m128i length_block(uint32_t aad_bytes, uint32_t text_bytes) {
  const uint64_t bits = uint64_t{aad_bytes} << 35 | uint64_t{text_bytes} << 3;
  return _mm_cvtepu32_epi64(_mm_cvtsi64_si128(static_cast<int64_t>(bits)));
}

}  // namespace
}  // namespace esplane::crypto
