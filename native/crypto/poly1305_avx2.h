// Poly1305 (RFC 8439 §2.5) of four packets side by side, each in a lane of 64 bits.
//
// For kernels with AVX2 only, in an unnamed namespace like crypto/clmul.h. Numbers are five digits
// of 26 bits, so that products of 32-bit halves add up without overflow.
#pragma once

#include <immintrin.h>

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "base/bytes.h"
#include "crypto/batch.h"

namespace esplane::crypto {
namespace {

inline constexpr uint32_t kPolyLanes = 4;

/// What a packet's MAC is over (§2.8): associated data, text and lengths, the first two padded to
/// whole blocks of 16.
class PolyMessage {
 public:
  const uint8_t* data = nullptr;
  uint32_t blocks = 0;  ///< at `data`, to be worked on; 0: the message is at its end

  void begin(const Batch& batch, uint32_t i) {
    const uint32_t aad_bytes = batch.aad_bytes[i], text_bytes = batch.text_bytes[i];
    const uint32_t aad_tail = aad_bytes % 16, text_tail = text_bytes % 16;
    std::memset(scratch_, 0, sizeof scratch_);
    std::memcpy(scratch_, batch.aad[i] + aad_bytes - aad_tail, aad_tail);
    std::memcpy(scratch_ + 16, batch.text[i] + text_bytes - text_tail, text_tail);
    const uint64_t lengths[2] = {aad_bytes, text_bytes};
    std::memcpy(scratch_ + (text_tail > 0 ? 32 : 16), lengths, 16);
    parts_[0] = {batch.aad[i], aad_bytes / 16};
    parts_[1] = {scratch_, aad_tail > 0};
    parts_[2] = {batch.text[i], text_bytes / 16};
    parts_[3] = {scratch_ + 16, text_tail > 0 ? 2u : 1u};
    part_ = 0;
    next_part();
  }

  void advance(uint32_t n) {
    data += 16 * n;
    blocks -= n;
    if (blocks == 0) next_part();
  }

 private:
  void next_part() {
    while (part_ < 4 && blocks == 0) {
      data = parts_[part_].data;
      blocks = parts_[part_].blocks;
      part_++;
    }
  }

  struct Part {
    const uint8_t* data;
    uint32_t blocks;
  };
  Part parts_[4];
  uint32_t part_ = 4;
  uint8_t scratch_[48];
};

/// h and r of four packets: digit by digit, lane by lane.
class PolyLanes {
 public:
  ~PolyLanes() { base::wipe(this, sizeof *this); }

  /// Puts a fresh packet into a lane.
  /// @param key  r | s, 16 bytes each
  void start(uint32_t lane, const uint8_t key[32]) {
    uint64_t low, high;
    std::memcpy(&low, key, 8);
    std::memcpy(&high, key + 8, 8);
    low &= 0x0ffffffc0fffffff;
    high &= 0x0ffffffc0ffffffc;
    const uint64_t digits[5] = {low & kDigit, low >> 26 & kDigit,
                                (low >> 52 | high << 12) & kDigit, high >> 14 & kDigit, high >> 40};
    for (int i = 0; i < 5; i++) {
      h_[i][lane] = 0;
      r_[i][lane] = digits[i];
      r5_[i][lane] = 5 * digits[i];
    }
  }

  /// h = (h + block) r modulo 2^130 - 5, for `count` blocks of each lane.
  void add(const uint8_t* const (&data)[kPolyLanes], uint32_t count) {
    __m256i h[5];
    for (int i = 0; i < 5; i++) h[i] = load(h_[i]);
    for (uint32_t at = 0; at < 16 * count; at += 16) {
      add_block(h, data, at);
      multiply(h);
    }
    for (int i = 0; i < 5; i++) _mm256_store_si256(reinterpret_cast<__m256i*>(h_[i]), h[i]);
  }

  /// The tag of a lane: h modulo p, plus s modulo 2^128.
  void finish(uint32_t lane, const uint8_t key[32], uint8_t tag[16]) const {
    using Word128 = unsigned __int128;
    uint64_t h[5];
    for (int i = 0; i < 5; i++) h[i] = h_[i][lane];
    for (int pass = 0; pass < 2; pass++) {
      for (int i = 0; i < 4; i++) {
        h[i + 1] += h[i] >> 26;
        h[i] &= kDigit;
      }
      h[0] += 5 * (h[4] >> 26);
      h[4] &= kDigit;
    }
    // h or, if that is not negative, h - p = h + 5 - 2^130.
    uint64_t g[5], over = 5;
    for (int i = 0; i < 5; i++) {
      g[i] = h[i] + over;
      over = g[i] >> 26;
      g[i] &= kDigit;
    }
    Word128 sum = 0;
    for (int i = 0; i < 5; i++) {
      sum += Word128{h[i] ^ ((h[i] ^ g[i]) & (0 - over))} << (26 * i);  // modulo 2^128
    }
    Word128 s;
    std::memcpy(&s, key + 16, 16);
    sum += s;
    std::memcpy(tag, &sum, 16);
  }

 private:
  static constexpr uint64_t kDigit = (1 << 26) - 1;

  static __m256i load(const uint64_t* p) {
    return _mm256_load_si256(reinterpret_cast<const __m256i*>(p));
  }
  static __m256i two(const uint8_t* low, const uint8_t* high) {
    const __m128i first = _mm_loadu_si128(reinterpret_cast<const __m128i*>(low));
    return _mm256_inserti128_si256(_mm256_castsi128_si256(first),
                                   _mm_loadu_si128(reinterpret_cast<const __m128i*>(high)), 1);
  }

  /// Takes the blocks apart into digits; the fifth has 2^128, behind the block's end.
  [[gnu::always_inline]] static void add_block(__m256i (&h)[5],
                                               const uint8_t* const (&data)[kPolyLanes],
                                               uint32_t at) {
    const __m256i digit = _mm256_set1_epi64x(kDigit);
    const __m256i even = two(data[0] + at, data[2] + at), odd = two(data[1] + at, data[3] + at);
    const __m256i low = _mm256_unpacklo_epi64(even, odd), high = _mm256_unpackhi_epi64(even, odd);
    const __m256i middle = _mm256_or_si256(_mm256_srli_epi64(low, 52), _mm256_slli_epi64(high, 12));
    h[0] = _mm256_add_epi64(h[0], _mm256_and_si256(low, digit));
    h[1] = _mm256_add_epi64(h[1], _mm256_and_si256(_mm256_srli_epi64(low, 26), digit));
    h[2] = _mm256_add_epi64(h[2], _mm256_and_si256(middle, digit));
    h[3] = _mm256_add_epi64(h[3], _mm256_and_si256(_mm256_srli_epi64(high, 14), digit));
    h[4] = _mm256_add_epi64(h[4], _mm256_or_si256(_mm256_srli_epi64(high, 40),
                                                  _mm256_set1_epi64x(1 << 24)));
  }

  /// Digits i and j meet at digit i + j, or, as 2^130 is 5 modulo p, five times at i + j - 5.
  [[gnu::always_inline]] void multiply(__m256i (&h)[5]) const {
    __m256i d[5];
#pragma GCC unroll 5
    for (int k = 0; k < 5; k++) {
      d[k] = _mm256_mul_epu32(h[0], load(r_[k]));
#pragma GCC unroll 4
      for (int i = 1; i < 5; i++) {
        const uint64_t* factor = i <= k ? r_[k - i] : r5_[k - i + 5];
        d[k] = _mm256_add_epi64(d[k], _mm256_mul_epu32(h[i], load(factor)));
      }
    }
    // Two chains of carries at a time.
    carry(d[0], d[1]);
    carry(d[3], d[4]);
    carry(d[1], d[2]);
    const __m256i over = _mm256_srli_epi64(d[4], 26);
    d[4] = _mm256_and_si256(d[4], _mm256_set1_epi64x(kDigit));
    d[0] = _mm256_add_epi64(d[0], _mm256_add_epi64(over, _mm256_slli_epi64(over, 2)));
    carry(d[2], d[3]);
    carry(d[0], d[1]);
    carry(d[3], d[4]);
    for (int k = 0; k < 5; k++) h[k] = d[k];
  }

  [[gnu::always_inline]] static void carry(__m256i& from, __m256i& to) {
    to = _mm256_add_epi64(to, _mm256_srli_epi64(from, 26));
    from = _mm256_and_si256(from, _mm256_set1_epi64x(kDigit));
  }

  alignas(32) uint64_t h_[5][kPolyLanes] = {};
  alignas(32) uint64_t r_[5][kPolyLanes] = {};
  alignas(32) uint64_t r5_[5][kPolyLanes] = {};
};

/// The tags of a batch.
/// @param key  the one-time key of each packet
inline void poly1305(const Batch& batch, const uint8_t (*key)[32], uint8_t (*tag)[16]) {
  PolyLanes lanes;
  PolyMessage message[kPolyLanes];
  uint32_t packet[kPolyLanes] = {};
  uint32_t next = 0, busy = 0;
  const auto begin = [&](uint32_t lane) {
    if (next == batch.size) return;
    packet[lane] = next;
    lanes.start(lane, key[next]);
    message[lane].begin(batch, next);
    next++;
    busy++;
  };
  for (uint32_t lane = 0; lane < kPolyLanes; lane++) begin(lane);
  while (busy > 0) {
    // All go on together for as many blocks as each has at hand; idle lanes do as another does.
    uint32_t n = ~uint32_t{0};
    const uint8_t* any = nullptr;
    for (const PolyMessage& each : message) {
      if (each.blocks == 0) continue;
      n = std::min(n, each.blocks);
      any = each.data;
    }
    const uint8_t* data[kPolyLanes];
    for (uint32_t lane = 0; lane < kPolyLanes; lane++) {
      data[lane] = message[lane].blocks > 0 ? message[lane].data : any;
    }
    lanes.add(data, n);
    for (uint32_t lane = 0; lane < kPolyLanes; lane++) {
      if (message[lane].blocks == 0) continue;
      message[lane].advance(n);
      if (message[lane].blocks > 0) continue;
      lanes.finish(lane, key[packet[lane]], tag[packet[lane]]);
      busy--;
      begin(lane);
    }
  }
}

}  // namespace
}  // namespace esplane::crypto
