// ChaCha20-Poly1305 as RFC 8439 defines it, for ESP by RFC 7634.
#include <algorithm>
#include <bit>

#include "base/bytes.h"
#include "crypto/reference.h"

namespace esplane::crypto {
namespace {

using Word128 = unsigned __int128;

uint32_t load_le32(const uint8_t* p) { return __builtin_bswap32(base::load_be32(p)); }
uint64_t load_le64(const uint8_t* p) { return __builtin_bswap64(base::load_be64(p)); }
void store_le32(uint8_t* p, uint32_t v) { base::store_be32(p, __builtin_bswap32(v)); }
void store_le64(uint8_t* p, uint64_t v) { base::store_be64(p, __builtin_bswap64(v)); }

/// §2.1.
void quarter_round(uint32_t& a, uint32_t& b, uint32_t& c, uint32_t& d) {
  a += b;
  d = std::rotl(d ^ a, 16);
  c += d;
  b = std::rotl(b ^ c, 12);
  a += b;
  d = std::rotl(d ^ a, 8);
  c += d;
  b = std::rotl(b ^ c, 7);
}

/// 64 bytes of key stream, §2.3.
void chacha20_block(const uint8_t* key, uint32_t counter, const uint8_t* nonce, uint8_t out[64]) {
  uint32_t start[16] = {0x61707865, 0x3320646e, 0x79622d32, 0x6b206574};
  for (int i = 0; i < 8; i++) start[4 + i] = load_le32(key + 4 * i);
  start[12] = counter;
  for (int i = 0; i < 3; i++) start[13 + i] = load_le32(nonce + 4 * i);
  uint32_t v[16];
  std::memcpy(v, start, sizeof v);
  for (int round = 0; round < 20; round += 2) {
    for (int i = 0; i < 4; i++) quarter_round(v[i], v[4 + i], v[8 + i], v[12 + i]);
    for (int i = 0; i < 4; i++) {
      quarter_round(v[i], v[4 + (i + 1) % 4], v[8 + (i + 2) % 4], v[12 + (i + 3) % 4]);
    }
  }
  for (int i = 0; i < 16; i++) store_le32(out + 4 * i, v[i] + start[i]);
}

/// §2.4, from block 1 on (§2.8).
void apply_key_stream(const Batch& batch, uint32_t i) {
  for (uint32_t at = 0, counter = 1; at < batch.text_bytes[i]; at += 64, counter++) {
    uint8_t stream[64];
    chacha20_block(batch.key[i], counter, batch.nonce[i], stream);
    const uint32_t n = std::min(batch.text_bytes[i] - at, 64u);
    for (uint32_t b = 0; b < n; b++) batch.text[i][at + b] ^= stream[b];
  }
}

/// §2.5: h = (h + block) r modulo 2^130 - 5, on five digits of 26 bits.
class Poly1305 {
 public:
  explicit Poly1305(const uint8_t key[32]) {
    constexpr Word128 kClamp =
        static_cast<Word128>(0x0ffffffc0ffffffc) << 64 | 0x0ffffffc0fffffff;
    const Word128 r =
        (static_cast<Word128>(load_le64(key + 8)) << 64 | load_le64(key)) & kClamp;
    for (int i = 0; i < 5; i++) r_[i] = static_cast<uint64_t>(r >> (26 * i)) & kDigit;
    std::memcpy(s_, key + 16, sizeof s_);
  }

  /// Whole blocks, the last padded with zeros (§2.8).
  void update_padded(const uint8_t* data, uint32_t bytes) {
    for (; bytes > 0; data += std::min(bytes, 16u), bytes -= std::min(bytes, 16u)) {
      uint8_t block[16] = {};
      std::memcpy(block, data, std::min(bytes, 16u));
      add_block(block);
    }
  }

  void finish(uint8_t tag[16]) {
    carry();
    carry();
    // h or, if that is not negative, h - p = h + 5 - 2^130.
    uint64_t g[5], over = 5;
    for (int i = 0; i < 5; i++) {
      g[i] = h_[i] + over;
      over = g[i] >> 26;
      g[i] &= kDigit;
    }
    Word128 h = 0;
    for (int i = 0; i < 5; i++) {
      const uint64_t digit = h_[i] ^ ((h_[i] ^ g[i]) & (0 - over));
      h += static_cast<Word128>(digit) << (26 * i);  // modulo 2^128
    }
    h += static_cast<Word128>(load_le64(s_ + 8)) << 64 | load_le64(s_);
    store_le64(tag, static_cast<uint64_t>(h));
    store_le64(tag + 8, static_cast<uint64_t>(h >> 64));
  }

 private:
  static constexpr uint64_t kDigit = (1 << 26) - 1;

  void add_block(const uint8_t block[16]) {
    const Word128 n = static_cast<Word128>(load_le64(block + 8)) << 64 | load_le64(block);
    for (int i = 0; i < 5; i++) h_[i] += static_cast<uint64_t>(n >> (26 * i)) & kDigit;
    h_[4] += 1 << 24;  // 2^128, behind the block's end
    uint64_t product[5] = {};
    for (int i = 0; i < 5; i++) {
      for (int j = 0; j < 5; j++) {
        // 2^130 is 5 modulo p.
        product[(i + j) % 5] += h_[i] * r_[j] * (i + j < 5 ? 1 : 5);
      }
    }
    std::memcpy(h_, product, sizeof h_);
    carry();
  }

  void carry() {
    for (int i = 0; i < 4; i++) {
      h_[i + 1] += h_[i] >> 26;
      h_[i] &= kDigit;
    }
    h_[0] += (h_[4] >> 26) * 5;
    h_[4] &= kDigit;
    h_[1] += h_[0] >> 26;
    h_[0] &= kDigit;
  }

  uint64_t h_[5] = {};
  uint64_t r_[5];
  uint8_t s_[16];
};

/// §2.8, from the ciphertext; the one-time key is of §2.6.
void compute_icv(const Batch& batch, uint32_t i, uint8_t icv[16]) {
  uint8_t one_time_key[64];
  chacha20_block(batch.key[i], 0, batch.nonce[i], one_time_key);
  Poly1305 poly(one_time_key);
  poly.update_padded(batch.aad[i], batch.aad_bytes[i]);
  poly.update_padded(batch.text[i], batch.text_bytes[i]);
  uint8_t lengths[16];
  store_le64(lengths, batch.aad_bytes[i]);
  store_le64(lengths + 8, batch.text_bytes[i]);
  poly.update_padded(lengths, sizeof lengths);
  poly.finish(icv);
  base::wipe(one_time_key, sizeof one_time_key);
  base::wipe(&poly, sizeof poly);
}

void expand(uint8_t* table, const Suite&, const Keys& keys) {
  std::memcpy(table, keys.encryption.data(), 32);
}

void seal(const Batch& batch) {
  for (uint32_t i = 0; i < batch.size; i++) {
    apply_key_stream(batch, i);
    uint8_t icv[16];
    compute_icv(batch, i, icv);
    std::memcpy(batch.icv[i], icv, sizeof icv);
  }
}

uint64_t open(const Batch& batch) {
  uint64_t authentic = 0;
  for (uint32_t i = 0; i < batch.size; i++) {
    uint8_t icv[16];
    compute_icv(batch, i, icv);
    authentic |= uint64_t{base::equal_constant_time(icv, batch.icv[i], sizeof icv)} << i;
    base::wipe(icv, sizeof icv);  // the right ICV of a forged packet is worth something
    apply_key_stream(batch, i);
  }
  return authentic;
}

}  // namespace

const Engine kReferenceChaCha20Poly1305 = {"reference", 32, expand, seal, open};

}  // namespace esplane::crypto
