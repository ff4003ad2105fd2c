// Written to be checked against FIPS 197, not to be fast. Nothing branches or indexes on a secret:
// the S-box is computed in GF(2^8) instead of looked up.
#include "crypto/reference_aes.h"

#include <algorithm>

#include "base/bytes.h"

namespace esplane::crypto {
namespace {

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

/// InvSubBytes, FIPS 197 §5.3.2: the inverse affine transformation, then the inverse.
Bytes16 inv_sub_bytes(Bytes16 v) {
  return invert(rotate_left(v, 1) ^ rotate_left(v, 3) ^ rotate_left(v, 6) ^ 0x05);
}

/// InvShiftRows, FIPS 197 §5.3.1.
Bytes16 inv_shift_rows(Bytes16 v) {
  return __builtin_shufflevector(v, v, 0, 13, 10, 7, 4, 1, 14, 11, 8, 5, 2, 15, 12, 9, 6, 3);
}

/// InvMixColumns, FIPS 197 §5.3.3: MixColumns after a factor of its own, because
/// 0e 0b 0d 09 = 02 03 01 01 times 05 00 04 00.
Bytes16 inv_mix_columns(Bytes16 v) {
  const Bytes16 two_rows_on =
      __builtin_shufflevector(v, v, 2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13);
  return mix_columns(v ^ xtime(xtime(v ^ two_rows_on)));
}

}  // namespace

Bytes16 encrypt_block(const AesKey& key, Bytes16 block) {
  Bytes16 state = block ^ key.round[0];
  for (uint32_t r = 1; r < key.rounds; r++) {
    state = mix_columns(shift_rows(sub_bytes(state))) ^ key.round[r];
  }
  return shift_rows(sub_bytes(state)) ^ key.round[key.rounds];
}

Bytes16 decrypt_block(const AesKey& key, Bytes16 block) {
  Bytes16 state = block ^ key.round[key.rounds];
  for (uint32_t r = key.rounds - 1; r > 0; r--) {
    state = inv_mix_columns(inv_sub_bytes(inv_shift_rows(state)) ^ key.round[r]);
  }
  return inv_sub_bytes(inv_shift_rows(state)) ^ key.round[0];
}

/// On words as they lie in memory.
void expand_key(AesKey& out, std::span<const uint8_t> key) {
  out.rounds = static_cast<uint32_t>(key.size() / 4 + 6);
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

}  // namespace esplane::crypto
