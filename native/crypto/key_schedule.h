// AES key expansion (FIPS 197 §5.2) with AES-NI.
//
// For kernels only, in an unnamed namespace like crypto/clmul.h.
#pragma once

#include <immintrin.h>

#include <cstdint>
#include <cstring>
#include <span>

#include "base/bytes.h"

namespace esplane::crypto {
namespace {

/// SubWord of FIPS 197 §5.2.
inline uint32_t sub_word(uint32_t word) {
  const __m128i v = _mm_set1_epi32(static_cast<int>(word));
  return static_cast<uint32_t>(_mm_cvtsi128_si32(_mm_aeskeygenassist_si128(v, 0)));
}

/// Writes the 11, 13 or 15 round keys of a key of 16, 24 or 32 bytes. Words are little-endian.
inline void expand_round_keys(__m128i* round, std::span<const uint8_t> key) {
  uint32_t words[4 * 15];
  std::memcpy(words, key.data(), key.size());
  const size_t key_words = key.size() / 4;
  const size_t count = 4 * (key_words + 7);
  uint32_t round_constant = 1;
  for (size_t i = key_words; i < count; i++) {
    uint32_t word = words[i - 1];
    if (i % key_words == 0) {
      word = sub_word(word >> 8 | word << 24) ^ round_constant;  // RotWord, SubWord, Rcon
      round_constant = round_constant << 1 ^ (round_constant >> 7) * 0x11b;
    } else if (key_words == 8 && i % 8 == 4) {
      word = sub_word(word);
    }
    words[i] = words[i - key_words] ^ word;
  }
  std::memcpy(round, words, 4 * count);
  base::wipe(words, sizeof words);
}

/// E(K, 0^128): the hash subkey H of SP 800-38D §7.1.
inline __m128i encrypt_zero_block(const __m128i* round, uint32_t rounds) {
  __m128i h = round[0];
  for (uint32_t r = 1; r < rounds; r++) h = _mm_aesenc_si128(h, round[r]);
  return _mm_aesenclast_si128(h, round[rounds]);
}

}  // namespace
}  // namespace esplane::crypto
