// ICVs of AES-GCM: 16 bytes, or their first 12 or 8 (RFC 4106 §6).
//
// For kernels only, in an unnamed namespace like crypto/clmul.h. Needs SSE4.1.
#pragma once

#include <immintrin.h>

#include <cstdint>
#include <cstring>

#include "crypto/batch.h"

namespace esplane::crypto {
namespace {

inline void write_icv(const Batch& batch, uint32_t i, __m128i tag) {
  auto* to = reinterpret_cast<__m128i*>(batch.icv[i]);
  if (batch.icv_bytes[i] == 16) return _mm_storeu_si128(to, tag);
  _mm_storel_epi64(to, tag);
  if (batch.icv_bytes[i] == 8) return;
  const int32_t third = _mm_extract_epi32(tag, 2);
  std::memcpy(batch.icv[i] + 8, &third, sizeof third);
}

/// A bit at place i if the ICV received is the one computed. Takes the same time either way.
inline uint64_t icv_holds(const Batch& batch, uint32_t i, __m128i tag) {
  const uint8_t* icv = batch.icv[i];
  const uint32_t bytes = batch.icv_bytes[i];
  __m128i received;
  if (bytes == 16) {
    received = _mm_loadu_si128(reinterpret_cast<const __m128i*>(icv));
  } else {
    received = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(icv));
    int32_t third = 0;
    if (bytes == 12) std::memcpy(&third, icv + 8, sizeof third);
    received = _mm_insert_epi32(received, third, 2);
  }
  const auto differ = ~static_cast<uint32_t>(_mm_movemask_epi8(_mm_cmpeq_epi8(received, tag)));
  return uint64_t{(differ << (32 - bytes)) == 0} << i;
}

}  // namespace
}  // namespace esplane::crypto
