// GHASH (NIST SP 800-38D §6.4) by carry-less multiplication on 128-bit registers.
//
// For kernels only: needs PCLMULQDQ and SSSE3. Everything is in an unnamed namespace, so that no
// two ISA tiers, compiled with different flags, share a copy.
//
// GCM numbers bits from the left, the instruction from the right. Blocks are therefore byte-
// reversed on the way in; the product of two bit-reflected values comes out one bit low, which is
// made up for by keeping the powers of H multiplied by x (S. Gueron, M. Kounavis: Intel
// Carry-Less Multiplication Instruction and its Usage for Computing the GCM Mode, 2010).
#pragma once

#include <immintrin.h>

#include <cstdint>

#define ESPLANE_INLINE inline __attribute__((always_inline))

namespace esplane::crypto {
namespace {

/// H^k · x and, for Karatsuba's middle product, the sum of its halves in both halves.
struct GhashPower {
  __m128i value;
  __m128i folded;
};

/// An unreduced sum of products, as Karatsuba's three parts.
struct GhashSum {
  __m128i low, middle, high;
};

ESPLANE_INLINE __m128i reverse_bytes(__m128i v) {
  return _mm_shuffle_epi8(v, _mm_set_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15));
}

ESPLANE_INLINE __m128i swap_halves(__m128i v) { return _mm_shuffle_epi32(v, 0x4e); }

ESPLANE_INLINE __m128i fold(__m128i v) { return _mm_xor_si128(v, swap_halves(v)); }

ESPLANE_INLINE GhashSum multiply(__m128i x, const GhashPower& h) {
  return {_mm_clmulepi64_si128(x, h.value, 0x00), _mm_clmulepi64_si128(fold(x), h.folded, 0x00),
          _mm_clmulepi64_si128(x, h.value, 0x11)};
}

ESPLANE_INLINE void add_product(GhashSum& sum, __m128i x, const GhashPower& h) {
  const GhashSum p = multiply(x, h);
  sum.low = _mm_xor_si128(sum.low, p.low);
  sum.middle = _mm_xor_si128(sum.middle, p.middle);
  sum.high = _mm_xor_si128(sum.high, p.high);
}

/// The products of two blocks with two successive powers; one operation less than one by one.
ESPLANE_INLINE void add_two_products(GhashSum& sum, __m128i a, __m128i b, const GhashPower* h) {
  const __m128i folded = _mm_xor_si128(_mm_unpacklo_epi64(a, b), _mm_unpackhi_epi64(a, b));
  sum.low = _mm_xor_si128(sum.low, _mm_clmulepi64_si128(a, h[0].value, 0x00));
  sum.high = _mm_xor_si128(sum.high, _mm_clmulepi64_si128(a, h[0].value, 0x11));
  sum.middle = _mm_xor_si128(sum.middle, _mm_clmulepi64_si128(folded, h[0].folded, 0x00));
  sum.low = _mm_xor_si128(sum.low, _mm_clmulepi64_si128(b, h[1].value, 0x00));
  sum.high = _mm_xor_si128(sum.high, _mm_clmulepi64_si128(b, h[1].value, 0x11));
  sum.middle = _mm_xor_si128(sum.middle, _mm_clmulepi64_si128(folded, h[1].folded, 0x11));
}

/// x^127 + x^126 + x^121 of the reflected GCM polynomial in the high half, 1 in the low one.
ESPLANE_INLINE __m128i ghash_polynomial() {
  return _mm_set_epi64x(static_cast<int64_t>(0xc200000000000000), 1);
}

/// high · x^128 + low modulo the GCM polynomial.
ESPLANE_INLINE __m128i reduce_halves(__m128i low, __m128i high) {
  const __m128i polynomial = ghash_polynomial();
  for (int half = 0; half < 2; half++) {
    low = _mm_xor_si128(swap_halves(low), _mm_clmulepi64_si128(low, polynomial, 0x10));
  }
  return _mm_xor_si128(low, high);
}

/// The sum modulo the GCM polynomial.
ESPLANE_INLINE __m128i reduce(const GhashSum& sum) {
  const __m128i middle = _mm_xor_si128(sum.middle, _mm_xor_si128(sum.low, sum.high));
  return reduce_halves(_mm_xor_si128(sum.low, _mm_slli_si128(middle, 8)),
                       _mm_xor_si128(sum.high, _mm_srli_si128(middle, 8)));
}

/// v · x, in the same time for every v.
ESPLANE_INLINE __m128i multiply_by_x(__m128i v) {
  const __m128i carries = _mm_srli_epi64(v, 63);
  const __m128i shifted = _mm_or_si128(_mm_slli_epi64(v, 1), _mm_slli_si128(carries, 8));
  const __m128i overflow = _mm_shuffle_epi32(_mm_srai_epi32(v, 31), 0xff);
  return _mm_xor_si128(shifted, _mm_and_si128(overflow, ghash_polynomial()));
}

/// Fills `power` with H^count ... H^1, so that n blocks meet their powers from power[count - n] on.
ESPLANE_INLINE void fill_powers(GhashPower* power, uint32_t count, __m128i h) {
  const auto set = [&](uint32_t k, __m128i v) { power[count - k] = {v, fold(v)}; };
  set(1, multiply_by_x(reverse_bytes(h)));
  for (uint32_t k = 2; k <= count; k++) {
    set(k, reduce(multiply(power[count - k / 2].value, power[count - (k - k / 2)])));
  }
}

}  // namespace
}  // namespace esplane::crypto
