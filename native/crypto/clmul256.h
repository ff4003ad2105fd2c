// GHASH on 256-bit registers: crypto/clmul.h, two blocks at a time.
//
// For kernels only, in an unnamed namespace like crypto/clmul.h: needs AVX2 and VPCLMULQDQ.
// Karatsuba's three multiplications are taken because they share two ports with AES; the sums of
// halves that they need are made for two registers at once where there are two.
#pragma once

#include <immintrin.h>

#include <cstdint>

#include "base/bytes.h"
#include "crypto/clmul.h"

namespace esplane::crypto {
namespace {

ESPLANE_INLINE __m256i broadcast(__m128i v) { return _mm256_broadcastsi128_si256(v); }
ESPLANE_INLINE __m128i low_block(__m256i v) { return _mm256_castsi256_si128(v); }
ESPLANE_INLINE __m128i high_block(__m256i v) { return _mm256_extracti128_si256(v, 1); }
ESPLANE_INLINE __m256i two_blocks(__m128i low, __m128i high) {
  return _mm256_inserti128_si256(_mm256_castsi128_si256(low), high, 1);
}

ESPLANE_INLINE __m256i load_two(const void* p) {
  return _mm256_loadu_si256(static_cast<const __m256i*>(p));
}
ESPLANE_INLINE void store_two(void* p, __m256i v) {
  _mm256_storeu_si256(static_cast<__m256i*>(p), v);
}

ESPLANE_INLINE __m256i reverse_block_bytes(__m256i v) {
  return _mm256_shuffle_epi8(
      v, broadcast(_mm_set_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)));
}

/// H^kCount ... H^1, each times x, and the sum of each one's halves in both halves.
template <uint32_t kCount>
struct WidePowers {
  __m128i value[kCount];
  __m128i folded[kCount];

  void fill(__m128i h) {
    GhashPower power[kCount];
    fill_powers(power, kCount, h);
    for (uint32_t i = 0; i < kCount; i++) {
      value[i] = power[i].value;
      folded[i] = power[i].folded;
    }
    base::wipe(power, sizeof power);
  }
};

/// An unreduced sum of products, lane by lane.
struct WideSum {
  __m256i low = _mm256_setzero_si256(), middle = low, high = low;

  /// @param value, folded  two successive powers of H
  ESPLANE_INLINE void add(__m256i x, const __m128i* value, const __m128i* folded) {
    const __m256i h = load_two(value);
    const __m256i sums = _mm256_xor_si256(x, _mm256_shuffle_epi32(x, 0x4e));
    add_to(low, _mm256_clmulepi64_epi128(x, h, 0x00));
    add_to(high, _mm256_clmulepi64_epi128(x, h, 0x11));
    add_to(middle, _mm256_clmulepi64_epi128(sums, load_two(folded), 0x00));
  }

  /// @param value, folded  four successive powers of H
  ESPLANE_INLINE void add(__m256i a, __m256i b, const __m128i* value, const __m128i* folded) {
    const __m256i sums =
        _mm256_xor_si256(_mm256_unpacklo_epi64(a, b), _mm256_unpackhi_epi64(a, b));
    add_to(low, _mm256_clmulepi64_epi128(a, load_two(value), 0x00));
    add_to(high, _mm256_clmulepi64_epi128(a, load_two(value), 0x11));
    add_to(middle, _mm256_clmulepi64_epi128(sums, load_two(folded), 0x00));
    add_to(low, _mm256_clmulepi64_epi128(b, load_two(value + 2), 0x00));
    add_to(high, _mm256_clmulepi64_epi128(b, load_two(value + 2), 0x11));
    add_to(middle, _mm256_clmulepi64_epi128(sums, load_two(folded + 2), 0x11));
  }

 private:
  static ESPLANE_INLINE void add_to(__m256i& sum, __m256i v) { sum = _mm256_xor_si256(sum, v); }
};

/// Each lane modulo the GCM polynomial.
ESPLANE_INLINE __m256i reduce_lanes(const WideSum& sum) {
  const __m256i polynomial = broadcast(ghash_polynomial());
  const __m256i middle = _mm256_xor_si256(sum.middle, _mm256_xor_si256(sum.low, sum.high));
  const __m256i high = _mm256_xor_si256(sum.high, _mm256_bsrli_epi128(middle, 8));
  __m256i low = _mm256_xor_si256(sum.low, _mm256_bslli_epi128(middle, 8));
  for (int half = 0; half < 2; half++) {
    low = _mm256_xor_si256(_mm256_shuffle_epi32(low, 0x4e),
                           _mm256_clmulepi64_epi128(low, polynomial, 0x10));
  }
  return _mm256_xor_si256(low, high);
}

/// The sum of both lanes modulo the GCM polynomial.
ESPLANE_INLINE __m128i reduce(const WideSum& sum) {
  const __m256i v = reduce_lanes(sum);
  return _mm_xor_si128(low_block(v), high_block(v));
}

/// a's two lanes added up in the low one, b's in the high one.
ESPLANE_INLINE __m256i add_lanes(__m256i a, __m256i b) {
  return _mm256_xor_si256(_mm256_permute2x128_si256(a, b, 0x20),
                          _mm256_permute2x128_si256(a, b, 0x31));
}

/// Two sums modulo the GCM polynomial, a's in the low lane and b's in the high one.
ESPLANE_INLINE __m256i reduce_two(const WideSum& a, const WideSum& b) {
  return reduce_lanes({add_lanes(a.low, b.low), add_lanes(a.middle, b.middle),
                       add_lanes(a.high, b.high)});
}

}  // namespace
}  // namespace esplane::crypto
