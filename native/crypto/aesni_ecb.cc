#include "crypto/aesni_ecb.h"

#include <immintrin.h>

#include "crypto/key_schedule.h"

namespace esplane::crypto {
namespace {

constexpr uint32_t kRounds = 10;

template <uint32_t kBlocks>
void encrypt(const __m128i* round, __m128i* block) {
  __m128i b[kBlocks];
  for (uint32_t i = 0; i < kBlocks; i++) b[i] = _mm_loadu_si128(block + i) ^ round[0];
  for (uint32_t r = 1; r < kRounds; r++) {
    for (__m128i& each : b) each = _mm_aesenc_si128(each, round[r]);
  }
  for (uint32_t i = 0; i < kBlocks; i++) {
    _mm_storeu_si128(block + i, _mm_aesenclast_si128(b[i], round[kRounds]));
  }
}

}  // namespace

void aesni_expand(EcbKey& key, const uint8_t raw[16]) {
  expand_round_keys(reinterpret_cast<__m128i*>(key.round), {raw, 16});
}

void aesni_encrypt_blocks(const EcbKey& key, uint8_t (*block)[16], uint32_t count) {
  const auto* round = reinterpret_cast<const __m128i*>(key.round);
  auto* at = reinterpret_cast<__m128i*>(block);
  uint32_t i = 0;
  for (; i + 8 <= count; i += 8) encrypt<8>(round, at + i);
  for (; i < count; i++) encrypt<1>(round, at + i);
}

}  // namespace esplane::crypto
