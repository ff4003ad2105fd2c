// SHA-1, SHA-256, SHA-384 and SHA-512 (FIPS 180-4), for the reference HMAC.
#pragma once

#include <cstdint>
#include <cstring>

#include "base/bytes.h"

namespace esplane::crypto {

/// One step of each hash: `state` and a block of 64 or 128 bytes (§6.1.2, §6.2.2, §6.4.2).
void sha1_block(uint32_t state[5], const uint8_t block[64]);
void sha256_block(uint32_t state[8], const uint8_t block[64]);
void sha512_block(uint64_t state[8], const uint8_t block[128]);

inline constexpr uint32_t kSha1Start[5] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476,
                                           0xc3d2e1f0};
inline constexpr uint32_t kSha256Start[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                             0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
inline constexpr uint64_t kSha384Start[8] = {0xcbbb9d5dc1059ed8, 0x629a292a367cd507,
                                             0x9159015a3070dd17, 0x152fecd8f70e5939,
                                             0x67332667ffc00b31, 0x8eb44a8768581511,
                                             0xdb0c2e0d64f98fa7, 0x47b5481dbefa4fa4};
inline constexpr uint64_t kSha512Start[8] = {0x6a09e667f3bcc908, 0xbb67ae8584caa73b,
                                             0x3c6ef372fe94f82b, 0xa54ff53a5f1d36f1,
                                             0x510e527fade682d1, 0x9b05688c2b3e6c1f,
                                             0x1f83d9abfb41bd6b, 0x5be0cd19137e2179};

/// A hash under way, of words of 32 or 64 bits.
template <typename Word, uint32_t kWords, uint32_t kBlock, uint32_t kDigest,
          void (*kStep)(Word*, const uint8_t*)>
struct Sha {
  static constexpr uint32_t kBlockBytes = kBlock;
  static constexpr uint32_t kDigestBytes = kDigest;

  Word state[kWords];
  uint64_t bytes = 0;  ///< absorbed, of which the last bytes % kBlock are in `rest`
  uint8_t rest[kBlock];

  explicit Sha(const Word (&start)[kWords]) { std::memcpy(state, start, sizeof state); }

  void update(const uint8_t* data, uint64_t count) {
    for (uint64_t i = 0; i < count; i++) {
      rest[bytes++ % kBlock] = data[i];
      if (bytes % kBlock == 0) kStep(state, rest);
    }
  }

  /// Pads with 1, zeros and the length in bits (§5.1), and writes kDigest bytes.
  void finish(uint8_t* digest) {
    const uint64_t bits = bytes * 8;
    constexpr uint8_t kOne = 0x80, kZero = 0;
    update(&kOne, 1);
    uint8_t length[kBlock / 8] = {};  // 64 or 128 bits
    while (bytes % kBlock != kBlock - sizeof length) update(&kZero, 1);
    base::store_be64(length + sizeof length - 8, bits);
    update(length, sizeof length);
    for (uint32_t i = 0; i < kDigest / sizeof(Word); i++) {
      for (uint32_t b = 0; b < sizeof(Word); b++) {
        *digest++ = static_cast<uint8_t>(state[i] >> (8 * (sizeof(Word) - 1 - b)));
      }
    }
  }
};

}  // namespace esplane::crypto
