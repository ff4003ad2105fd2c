// AES (FIPS 197) and GCM (NIST SP 800-38D) as the two documents define them.
//
// Written to be checked against the documents, not to be fast. Nothing branches or indexes on a
// secret: the S-box is computed in GF(2^8) instead of looked up, and the multiplication in
// GF(2^128) takes the same 128 steps for every value. Left out: nonces that are not 96 bits long,
// which ESP does not use (RFC 4106 §4).
#include "crypto/reference.h"

#include <algorithm>
#include <new>

#include "base/bytes.h"

namespace esplane::crypto {
namespace {

using Word128 = unsigned __int128;

/// 16 bytes that are worked on side by side: a block, a state or a round key.
typedef uint8_t Bytes16 __attribute__((vector_size(16)));

struct ReferenceKey {
  uint32_t rounds;    ///< 10, 12 or 14
  Bytes16 round[15];  ///< round keys, FIPS 197 §5.2
  Word128 h;          ///< the hash subkey H = E(K, 0^128), SP 800-38D §6.4
};

const ReferenceKey& layout(const uint8_t* table) {
  return *std::launder(reinterpret_cast<const ReferenceKey*>(table));
}

Bytes16 load(const uint8_t* p) {
  Bytes16 v;
  std::memcpy(&v, p, sizeof v);
  return v;
}

void store(uint8_t* p, Bytes16 v) { std::memcpy(p, &v, sizeof v); }

// --- AES ----------------------------------------------------------------------------------------

/// 0xff in every byte whose bit 0 is set, else 0.
Bytes16 mask_of_low_bit(Bytes16 v) { return Bytes16{} - (v & 1); }

/// Multiplies every byte by x, FIPS 197 §4.2.1.
Bytes16 xtime(Bytes16 v) { return (v << 1) ^ (mask_of_low_bit(v >> 7) & 0x1b); }

/// Multiplies bytes in GF(2^8) modulo x^8 + x^4 + x^3 + x + 1, FIPS 197 §4.2.
Bytes16 multiply(Bytes16 a, Bytes16 b) {
  Bytes16 product{};
  for (int bit = 0; bit < 8; bit++) {
    product ^= a & mask_of_low_bit(b);
    a = xtime(a);
    b >>= 1;
  }
  return product;
}

Bytes16 square(Bytes16 v) { return multiply(v, v); }

/// v^254: the inverse of every byte, and 0 for 0.
Bytes16 invert(Bytes16 v) {
  const Bytes16 v2 = square(v);
  const Bytes16 v3 = multiply(v2, v);
  const Bytes16 v12 = square(square(v3));
  const Bytes16 v15 = multiply(v12, v3);
  const Bytes16 v240 = square(square(square(square(v15))));
  return multiply(multiply(v240, v12), v2);
}

Bytes16 rotate_left(Bytes16 v, int bits) { return (v << bits) | (v >> (8 - bits)); }

/// SubBytes, FIPS 197 §5.1.1: inverse, then the affine transformation.
Bytes16 sub_bytes(Bytes16 v) {
  const Bytes16 b = invert(v);
  return b ^ rotate_left(b, 1) ^ rotate_left(b, 2) ^ rotate_left(b, 3) ^ rotate_left(b, 4) ^ 0x63;
}

/// ShiftRows, FIPS 197 §5.1.2. Byte 4c + r of a state is row r, column c.
Bytes16 shift_rows(Bytes16 v) {
  return __builtin_shufflevector(v, v, 0, 5, 10, 15, 4, 9, 14, 3, 8, 13, 2, 7, 12, 1, 6, 11);
}

/// MixColumns, FIPS 197 §5.1.3: row r becomes 2 r + 3 (r+1) + (r+2) + (r+3).
Bytes16 mix_columns(Bytes16 v) {
  const Bytes16 next =
      __builtin_shufflevector(v, v, 1, 2, 3, 0, 5, 6, 7, 4, 9, 10, 11, 8, 13, 14, 15, 12);
  const Bytes16 pair = v ^ next;  // row r + row (r+1)
  const Bytes16 opposite =
      __builtin_shufflevector(pair, pair, 2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13);
  return xtime(pair) ^ next ^ opposite;
}

/// Cipher, FIPS 197 §5.1.
Bytes16 encrypt_block(const ReferenceKey& key, Bytes16 block) {
  Bytes16 state = block ^ key.round[0];
  for (uint32_t r = 1; r < key.rounds; r++) {
    state = mix_columns(shift_rows(sub_bytes(state))) ^ key.round[r];
  }
  return shift_rows(sub_bytes(state)) ^ key.round[key.rounds];
}

/// KeyExpansion, FIPS 197 §5.2, on words as they lie in memory.
void expand_round_keys(ReferenceKey& out, std::span<const uint8_t> key) {
  uint8_t words[4 * 15][4];
  std::memcpy(words, key.data(), key.size());
  const size_t key_words = key.size() / 4;
  uint8_t round_constant = 1;
  for (size_t i = key_words; i < 4 * (out.rounds + 1); i++) {
    uint8_t word[4];
    std::memcpy(word, words[i - 1], 4);
    const bool first = i % key_words == 0;
    if (first) std::rotate(word, word + 1, word + 4);  // RotWord
    if (first || (key_words == 8 && i % 8 == 4)) {      // SubWord
      Bytes16 lanes{};
      std::memcpy(&lanes, word, 4);
      lanes = sub_bytes(lanes);
      std::memcpy(word, &lanes, 4);
    }
    if (first) {
      word[0] ^= round_constant;
      round_constant = static_cast<uint8_t>(round_constant << 1 ^ (round_constant >> 7) * 0x1b);
    }
    for (int b = 0; b < 4; b++) words[i][b] = words[i - key_words][b] ^ word[b];
    base::wipe(word, sizeof word);
  }
  std::memcpy(out.round, words, 16 * (out.rounds + 1));
  base::wipe(words, sizeof words);
}

// --- GCM ----------------------------------------------------------------------------------------

Word128 load_be128(const uint8_t* p) {
  return static_cast<Word128>(base::load_be64(p)) << 64 | base::load_be64(p + 8);
}

/// X • Y of SP 800-38D §6.3: bit 0 is the leftmost.
Word128 multiply(Word128 x, Word128 y) {
  constexpr Word128 kR = static_cast<Word128>(0xe1) << 120;
  Word128 z = 0;
  Word128 v = y;
  for (int i = 127; i >= 0; i--) {
    z ^= v & -(x >> i & 1);
    v = v >> 1 ^ (kR & -(v & 1));
  }
  return z;
}

/// GHASH over a range padded with zeros to whole blocks, SP 800-38D §6.4 and §7.1 step 5.
Word128 hash(Word128 h, Word128 y, const uint8_t* data, size_t bytes) {
  while (bytes > 0) {
    const size_t n = std::min<size_t>(bytes, 16);
    uint8_t block[16] = {};
    std::memcpy(block, data, n);
    y = multiply(y ^ load_be128(block), h);
    data += n;
    bytes -= n;
  }
  return y;
}

/// The counter block of a 96-bit nonce: J0 for 1, SP 800-38D §7.1 step 2.
Bytes16 counter_block(const uint8_t* nonce, uint32_t counter) {
  uint8_t block[16];
  std::memcpy(block, nonce, 12);
  base::store_be32(block + 12, counter);
  return load(block);
}

/// GCTR, SP 800-38D §6.5, from the counter 2 on (inc32(J0)).
void apply_keystream(const ReferenceKey& key, const uint8_t* nonce, uint8_t* text, size_t bytes) {
  for (uint32_t counter = 2; bytes > 0; counter++) {
    const size_t n = std::min<size_t>(bytes, 16);
    uint8_t stream[16];
    store(stream, encrypt_block(key, counter_block(nonce, counter)));
    for (size_t i = 0; i < n; i++) text[i] ^= stream[i];
    text += n;
    bytes -= n;
  }
}

/// The ICV of operation i, from its ciphertext; SP 800-38D §7.1 steps 5 and 6.
void compute_icv(const Batch& batch, uint32_t i, uint8_t icv[16]) {
  const ReferenceKey& k = layout(batch.key[i]);
  Word128 s = hash(k.h, 0, batch.aad[i], batch.aad_bytes[i]);
  s = hash(k.h, s, batch.text[i], batch.text_bytes[i]);
  uint8_t lengths[16];
  base::store_be64(lengths, uint64_t{batch.aad_bytes[i]} * 8);
  base::store_be64(lengths + 8, uint64_t{batch.text_bytes[i]} * 8);
  s = hash(k.h, s, lengths, sizeof lengths);
  uint8_t mask[16];
  store(mask, encrypt_block(k, counter_block(batch.nonce[i], 1)));
  base::store_be64(icv, static_cast<uint64_t>(s >> 64) ^ base::load_be64(mask));
  base::store_be64(icv + 8, static_cast<uint64_t>(s) ^ base::load_be64(mask + 8));
}

void expand(uint8_t* table, const Suite&, const Keys& keys) {
  auto& k = *new (table) ReferenceKey;
  k.rounds = static_cast<uint32_t>(keys.encryption.size() / 4 + 6);
  expand_round_keys(k, keys.encryption);
  uint8_t h[16];
  store(h, encrypt_block(k, Bytes16{}));
  k.h = load_be128(h);
  base::wipe(h, sizeof h);
}

void seal(const Batch& batch) {
  for (uint32_t i = 0; i < batch.size; i++) {
    apply_keystream(layout(batch.key[i]), batch.nonce[i], batch.text[i], batch.text_bytes[i]);
    uint8_t icv[16];
    compute_icv(batch, i, icv);
    std::memcpy(batch.icv[i], icv, batch.icv_bytes[i]);
  }
}

uint64_t open(const Batch& batch) {
  uint64_t authentic = 0;
  for (uint32_t i = 0; i < batch.size; i++) {
    uint8_t icv[16];
    compute_icv(batch, i, icv);
    authentic |= uint64_t{base::equal_constant_time(icv, batch.icv[i], batch.icv_bytes[i])} << i;
    apply_keystream(layout(batch.key[i]), batch.nonce[i], batch.text[i], batch.text_bytes[i]);
    base::wipe(icv, sizeof icv);  // the right ICV of a forged packet is worth something
  }
  return authentic;
}

}  // namespace

const Engine kReferenceEngine = {"reference", sizeof(ReferenceKey), expand, seal, open};

}  // namespace esplane::crypto
