// Written to be checked against FIPS 180-4, not to be fast.
#include "crypto/reference_hash.h"

#include <bit>

namespace esplane::crypto {
namespace {

using std::rotl;
using std::rotr;

/// §4.2.3: the first 64 bits of the fractions of the cube roots of the first eighty primes. The
/// constants of SHA-256 (§4.2.2) are the upper halves of the first sixty-four.
constexpr uint64_t kK512[80] = {
    0x428a2f98d728ae22, 0x7137449123ef65cd, 0xb5c0fbcfec4d3b2f, 0xe9b5dba58189dbbc,
    0x3956c25bf348b538, 0x59f111f1b605d019, 0x923f82a4af194f9b, 0xab1c5ed5da6d8118,
    0xd807aa98a3030242, 0x12835b0145706fbe, 0x243185be4ee4b28c, 0x550c7dc3d5ffb4e2,
    0x72be5d74f27b896f, 0x80deb1fe3b1696b1, 0x9bdc06a725c71235, 0xc19bf174cf692694,
    0xe49b69c19ef14ad2, 0xefbe4786384f25e3, 0x0fc19dc68b8cd5b5, 0x240ca1cc77ac9c65,
    0x2de92c6f592b0275, 0x4a7484aa6ea6e483, 0x5cb0a9dcbd41fbd4, 0x76f988da831153b5,
    0x983e5152ee66dfab, 0xa831c66d2db43210, 0xb00327c898fb213f, 0xbf597fc7beef0ee4,
    0xc6e00bf33da88fc2, 0xd5a79147930aa725, 0x06ca6351e003826f, 0x142929670a0e6e70,
    0x27b70a8546d22ffc, 0x2e1b21385c26c926, 0x4d2c6dfc5ac42aed, 0x53380d139d95b3df,
    0x650a73548baf63de, 0x766a0abb3c77b2a8, 0x81c2c92e47edaee6, 0x92722c851482353b,
    0xa2bfe8a14cf10364, 0xa81a664bbc423001, 0xc24b8b70d0f89791, 0xc76c51a30654be30,
    0xd192e819d6ef5218, 0xd69906245565a910, 0xf40e35855771202a, 0x106aa07032bbd1b8,
    0x19a4c116b8d2d0c8, 0x1e376c085141ab53, 0x2748774cdf8eeb99, 0x34b0bcb5e19b48a8,
    0x391c0cb3c5c95a63, 0x4ed8aa4ae3418acb, 0x5b9cca4f7763e373, 0x682e6ff3d6b2b8a3,
    0x748f82ee5defb2fc, 0x78a5636f43172f60, 0x84c87814a1f0ab72, 0x8cc702081a6439ec,
    0x90befffa23631e28, 0xa4506cebde82bde9, 0xbef9a3f7b2c67915, 0xc67178f2e372532b,
    0xca273eceea26619c, 0xd186b8c721c0c207, 0xeada7dd6cde0eb1e, 0xf57d4f7fee6ed178,
    0x06f067aa72176fba, 0x0a637dc5a2c898a6, 0x113f9804bef90dae, 0x1b710b35131c471b,
    0x28db77f523047d84, 0x32caab7b40c72493, 0x3c9ebe0a15c9bebc, 0x431d67c49c100d4c,
    0x4cc5d4becb3e42b6, 0x597f299cfc657e2a, 0x5fcb6fab3ad6faec, 0x6c44198c4a475817};

constexpr uint32_t k256(int t) { return static_cast<uint32_t>(kK512[t] >> 32); }

template <typename Word>
Word choose(Word x, Word y, Word z) {
  return (x & y) ^ (~x & z);
}

template <typename Word>
Word majority(Word x, Word y, Word z) {
  return (x & y) ^ (x & z) ^ (y & z);
}

}  // namespace

void sha1_block(uint32_t state[5], const uint8_t block[64]) {
  uint32_t w[80];
  for (int t = 0; t < 16; t++) w[t] = base::load_be32(block + 4 * t);
  for (int t = 16; t < 80; t++) w[t] = rotl(w[t - 3] ^ w[t - 8] ^ w[t - 14] ^ w[t - 16], 1);
  uint32_t a = state[0], b = state[1], c = state[2], d = state[3], e = state[4];
  for (int t = 0; t < 80; t++) {
    const uint32_t f = t < 20 ? choose(b, c, d) : t < 40 || t >= 60 ? b ^ c ^ d : majority(b, c, d);
    const uint32_t k = t < 20   ? 0x5a827999
                       : t < 40 ? 0x6ed9eba1
                       : t < 60 ? 0x8f1bbcdc
                                : 0xca62c1d6;
    const uint32_t next = rotl(a, 5) + f + e + k + w[t];
    e = d;
    d = c;
    c = rotl(b, 30);
    b = a;
    a = next;
  }
  state[0] += a;
  state[1] += b;
  state[2] += c;
  state[3] += d;
  state[4] += e;
}

namespace {

/// §6.2.2 and §6.4.2, which differ in rotations and in the number of rounds.
/// @param w  message schedule, already extended
template <typename Word, int kRounds, typename Sum0, typename Sum1, typename Constant>
void sha2_rounds(Word state[8], const Word* w, Sum0 sum0, Sum1 sum1, Constant constant) {
  Word v[8];
  std::memcpy(v, state, sizeof v);
  for (int t = 0; t < kRounds; t++) {
    const Word t1 = v[7] + sum1(v[4]) + choose(v[4], v[5], v[6]) + constant(t) + w[t];
    const Word t2 = sum0(v[0]) + majority(v[0], v[1], v[2]);
    for (int i = 7; i > 0; i--) v[i] = v[i - 1];
    v[4] += t1;
    v[0] = t1 + t2;
  }
  for (int i = 0; i < 8; i++) state[i] += v[i];
}

}  // namespace

void sha256_block(uint32_t state[8], const uint8_t block[64]) {
  uint32_t w[64];
  for (int t = 0; t < 16; t++) w[t] = base::load_be32(block + 4 * t);
  for (int t = 16; t < 64; t++) {
    const uint32_t s0 = rotr(w[t - 15], 7) ^ rotr(w[t - 15], 18) ^ w[t - 15] >> 3;
    const uint32_t s1 = rotr(w[t - 2], 17) ^ rotr(w[t - 2], 19) ^ w[t - 2] >> 10;
    w[t] = s1 + w[t - 7] + s0 + w[t - 16];
  }
  sha2_rounds<uint32_t, 64>(
      state, w, [](uint32_t x) { return rotr(x, 2) ^ rotr(x, 13) ^ rotr(x, 22); },
      [](uint32_t x) { return rotr(x, 6) ^ rotr(x, 11) ^ rotr(x, 25); }, k256);
}

void sha512_block(uint64_t state[8], const uint8_t block[128]) {
  uint64_t w[80];
  for (int t = 0; t < 16; t++) w[t] = base::load_be64(block + 8 * t);
  for (int t = 16; t < 80; t++) {
    const uint64_t s0 = rotr(w[t - 15], 1) ^ rotr(w[t - 15], 8) ^ w[t - 15] >> 7;
    const uint64_t s1 = rotr(w[t - 2], 19) ^ rotr(w[t - 2], 61) ^ w[t - 2] >> 6;
    w[t] = s1 + w[t - 7] + s0 + w[t - 16];
  }
  sha2_rounds<uint64_t, 80>(
      state, w, [](uint64_t x) { return rotr(x, 28) ^ rotr(x, 34) ^ rotr(x, 39); },
      [](uint64_t x) { return rotr(x, 14) ^ rotr(x, 18) ^ rotr(x, 41); },
      [](int t) { return kK512[t]; });
}

}  // namespace esplane::crypto
