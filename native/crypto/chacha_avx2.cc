// ChaCha20 (RFC 8439 §2.3) on eight blocks at a time, each in a lane of sixteen registers,
// and Poly1305 on four packets at a time.
//
// Blocks do not depend on each other. Eight of one packet are taken together where it has as many;
// what is left over of several packets shares a pass, and so do the one-time keys of Poly1305, so
// that small packets are not one pass each.
#include "crypto/chacha_avx2.h"

#include <immintrin.h>

#include <cstring>

#include "base/bytes.h"
#include "crypto/poly1305_avx2.h"

namespace esplane::crypto {
namespace {

constexpr uint32_t kLanes = 8;
constexpr uint32_t kBlockBytes = 64;

using State = __m256i[16];

// --- The block function -------------------------------------------------------------------------

template <int kBits>
[[gnu::always_inline]] inline __m256i rotate(__m256i v) {
  if constexpr (kBits == 16) {
    const __m256i by_two = _mm256_set_epi64x(0x0d0c0f0e09080b0a, 0x0504070601000302,
                                             0x0d0c0f0e09080b0a, 0x0504070601000302);
    return _mm256_shuffle_epi8(v, by_two);
  } else if constexpr (kBits == 8) {
    const __m256i by_one = _mm256_set_epi64x(0x0e0d0c0f0a09080b, 0x0605040702010003,
                                             0x0e0d0c0f0a09080b, 0x0605040702010003);
    return _mm256_shuffle_epi8(v, by_one);
  } else {
    return _mm256_or_si256(_mm256_slli_epi32(v, kBits), _mm256_srli_epi32(v, 32 - kBits));
  }
}

/// §2.1, a step of four quarter rounds at a time so that none waits for itself.
template <int kBits>
[[gnu::always_inline]] inline void step(State& v, const int (&a)[4], const int (&b)[4],
                                        const int (&d)[4]) {
#pragma GCC unroll 4
  for (int i = 0; i < 4; i++) {
    v[a[i]] = _mm256_add_epi32(v[a[i]], v[b[i]]);
    v[d[i]] = rotate<kBits>(_mm256_xor_si256(v[d[i]], v[a[i]]));
  }
}

[[gnu::always_inline]] inline void quarter_rounds(State& v, const int (&a)[4], const int (&b)[4],
                                                  const int (&c)[4], const int (&d)[4]) {
  step<16>(v, a, b, d);
  step<12>(v, c, d, b);
  step<8>(v, a, b, d);
  step<7>(v, c, d, b);
}

/// Twenty rounds and the sum with the start, §2.3.
[[gnu::always_inline]] inline void run_rounds(State& v, const State& start) {
  std::memcpy(v, start, sizeof v);
  for (int round = 0; round < 20; round += 2) {
    quarter_rounds(v, {0, 1, 2, 3}, {4, 5, 6, 7}, {8, 9, 10, 11}, {12, 13, 14, 15});
    quarter_rounds(v, {0, 1, 2, 3}, {5, 6, 7, 4}, {10, 11, 8, 9}, {15, 12, 13, 14});
  }
#pragma GCC unroll 16
  for (int i = 0; i < 16; i++) v[i] = _mm256_add_epi32(v[i], start[i]);
}

/// Rows become columns: word j of lane i is word i of lane j.
[[gnu::always_inline]] inline void transpose(__m256i* r) {
  __m256i a[8], b[8];
#pragma GCC unroll 4
  for (int i = 0; i < 4; i++) {
    a[2 * i] = _mm256_unpacklo_epi32(r[2 * i], r[2 * i + 1]);
    a[2 * i + 1] = _mm256_unpackhi_epi32(r[2 * i], r[2 * i + 1]);
  }
#pragma GCC unroll 2
  for (int i = 0; i < 8; i += 4) {
    b[i] = _mm256_unpacklo_epi64(a[i], a[i + 2]);
    b[i + 1] = _mm256_unpackhi_epi64(a[i], a[i + 2]);
    b[i + 2] = _mm256_unpacklo_epi64(a[i + 1], a[i + 3]);
    b[i + 3] = _mm256_unpackhi_epi64(a[i + 1], a[i + 3]);
  }
#pragma GCC unroll 4
  for (int i = 0; i < 4; i++) {
    r[i] = _mm256_permute2x128_si256(b[i], b[i + 4], 0x20);
    r[i + 4] = _mm256_permute2x128_si256(b[i], b[i + 4], 0x31);
  }
}

/// "expand 32-byte k".
[[gnu::always_inline]] inline void set_constants(State& start) {
  start[0] = _mm256_set1_epi32(0x61707865);
  start[1] = _mm256_set1_epi32(0x3320646e);
  start[2] = _mm256_set1_epi32(0x79622d32);
  start[3] = _mm256_set1_epi32(0x6b206574);
}

__m256i broadcast_word(const uint8_t* p) {
  int word;
  std::memcpy(&word, p, sizeof word);
  return _mm256_set1_epi32(word);
}

__m256i load(const uint8_t* p) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
}
void store(uint8_t* p, __m256i v) { _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), v); }

void add_to(uint8_t* text, __m256i low, __m256i high) {
  store(text, _mm256_xor_si256(load(text), low));
  store(text + 32, _mm256_xor_si256(load(text + 32), high));
}

// --- Eight blocks -------------------------------------------------------------------------------

/// Blocks counter .. counter + 7 of one packet, onto 512 bytes of text.
void apply_eight(const uint8_t* key, const uint8_t* nonce, uint32_t counter, uint8_t* text) {
  State start, v;
  set_constants(start);
  for (int i = 0; i < 8; i++) start[4 + i] = broadcast_word(key + 4 * i);
  start[12] = _mm256_add_epi32(_mm256_set1_epi32(static_cast<int>(counter)),
                               _mm256_set_epi32(7, 6, 5, 4, 3, 2, 1, 0));
  for (int i = 0; i < 3; i++) start[13 + i] = broadcast_word(nonce + 4 * i);
  run_rounds(v, start);
  transpose(v);
  transpose(v + 8);
  for (uint32_t l = 0; l < kLanes; l++) add_to(text + kBlockBytes * l, v[l], v[8 + l]);
}

/// Blocks of several packets, in one pass.
class MixedBlocks {
 public:
  ~MixedBlocks() { base::wipe(stream_, sizeof stream_); }

  bool full() const { return count_ == kLanes; }
  bool empty() const { return count_ == 0; }

  /// @param to     text that the key stream is added to, or where its first bytes go
  /// @param bytes  1 to 64
  void add(const uint8_t* key, const uint8_t* nonce, uint32_t counter, uint8_t* to,
           uint32_t bytes) {
    key_[count_] = key;
    std::memcpy(tail_[count_], &counter, 4);
    std::memcpy(tail_[count_] + 4, nonce, 12);
    to_[count_] = to;
    bytes_[count_] = bytes;
    count_++;
  }

  void apply_key_streams() {
    run();
    for (uint32_t l = 0; l < count_; l++) {
      const uint8_t* stream = stream_ + kBlockBytes * l;
      if (bytes_[l] == kBlockBytes) {
        add_to(to_[l], load(stream), load(stream + 32));
      } else {
        for (uint32_t i = 0; i < bytes_[l]; i++) to_[l][i] ^= stream[i];
      }
    }
    count_ = 0;
  }
  void copy_key_streams() {
    run();
    for (uint32_t l = 0; l < count_; l++) std::memcpy(to_[l], stream_ + kBlockBytes * l, bytes_[l]);
    count_ = 0;
  }

 private:
  /// Lanes without a block repeat the first.
  void run() {
    State start, v;
    set_constants(start);
    for (uint32_t l = 0; l < kLanes; l++) start[4 + l] = load(key_[l < count_ ? l : 0]);
    transpose(start + 4);
    // Counter and nonce of two lanes in a register, then rows to columns.
    __m256i rows[8];
    for (uint32_t l = 0; l < kLanes; l++) {
      const auto* tail = reinterpret_cast<const __m128i*>(tail_[l < count_ ? l : 0]);
      rows[l] = _mm256_castsi128_si256(_mm_load_si128(tail));
    }
    transpose(rows);
    for (int i = 0; i < 4; i++) start[12 + i] = rows[i];
    run_rounds(v, start);
    transpose(v);
    transpose(v + 8);
    for (uint32_t l = 0; l < kLanes; l++) {
      store(stream_ + kBlockBytes * l, v[l]);
      store(stream_ + kBlockBytes * l + 32, v[8 + l]);
    }
  }

  uint32_t count_ = 0;
  const uint8_t* key_[kLanes];
  uint8_t* to_[kLanes];
  uint32_t bytes_[kLanes];
  alignas(16) uint8_t tail_[kLanes][16];
  alignas(32) uint8_t stream_[kLanes * kBlockBytes];
};

// --- Batches ------------------------------------------------------------------------------------

/// The one-time keys of Poly1305, §2.6: the first half of block 0.
struct OneTimeKeys {
  uint8_t of[Batch::kCapacity][32];

  explicit OneTimeKeys(const Batch& batch) {
    MixedBlocks mixed;
    for (uint32_t i = 0; i < batch.size; i++) {
      mixed.add(batch.key[i], batch.nonce[i], 0, of[i], 32);
      if (mixed.full()) mixed.copy_key_streams();
    }
    if (!mixed.empty()) mixed.copy_key_streams();
  }
  ~OneTimeKeys() { base::wipe(of, sizeof of); }
};

/// Encrypts or decrypts every text, from block 1 on (§2.8).
void apply_key_streams(const Batch& batch) {
  MixedBlocks mixed;
  for (uint32_t i = 0; i < batch.size; i++) {
    const uint8_t* key = batch.key[i];
    const uint8_t* nonce = batch.nonce[i];
    uint8_t* text = batch.text[i];
    uint32_t bytes = batch.text_bytes[i];
    uint32_t counter = 1;
    for (; bytes >= kLanes * kBlockBytes; counter += kLanes) {
      apply_eight(key, nonce, counter, text);
      text += kLanes * kBlockBytes;
      bytes -= kLanes * kBlockBytes;
    }
    while (bytes > 0) {
      const uint32_t n = std::min(bytes, kBlockBytes);
      mixed.add(key, nonce, counter++, text, n);
      if (mixed.full()) mixed.apply_key_streams();
      text += n;
      bytes -= n;
    }
  }
  if (!mixed.empty()) mixed.apply_key_streams();
}

void expand(uint8_t* table, const Suite&, const Keys& keys) {
  std::memcpy(table, keys.encryption.data(), 32);
}

void seal(const Batch& batch) {
  const OneTimeKeys keys(batch);
  apply_key_streams(batch);
  uint8_t tag[Batch::kCapacity][16];
  poly1305(batch, keys.of, tag);
  for (uint32_t i = 0; i < batch.size; i++) std::memcpy(batch.icv[i], tag[i], 16);
}

uint64_t open(const Batch& batch) {
  const OneTimeKeys keys(batch);
  uint8_t tag[Batch::kCapacity][16];
  poly1305(batch, keys.of, tag);
  uint64_t authentic = 0;
  for (uint32_t i = 0; i < batch.size; i++) {
    authentic |= uint64_t{base::equal_constant_time(tag[i], batch.icv[i], 16)} << i;
  }
  base::wipe(tag, sizeof tag);  // the right ICV of a forged packet is worth something
  apply_key_streams(batch);
  return authentic;
}

}  // namespace

const Engine kAvx2ChaCha20Poly1305 = {"avx2", 32, expand, seal, open};

}  // namespace esplane::crypto
