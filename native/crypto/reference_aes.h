// AES as FIPS 197 defines it, and blocks of 16 bytes, for the reference engines.
#pragma once

#include <cstdint>
#include <cstring>
#include <span>

namespace esplane::crypto {

/// 16 bytes that are worked on side by side: a block, a state or a round key.
typedef uint8_t Bytes16 __attribute__((vector_size(16)));

struct AesKey {
  uint32_t rounds;    ///< 10, 12 or 14
  Bytes16 round[15];  ///< round keys, FIPS 197 §5.2
};

inline Bytes16 load(const uint8_t* p) {
  Bytes16 v;
  std::memcpy(&v, p, sizeof v);
  return v;
}

inline void store(uint8_t* p, Bytes16 v) { std::memcpy(p, &v, sizeof v); }

/// KeyExpansion, FIPS 197 §5.2.
/// @param key  16, 24 or 32 bytes
void expand_key(AesKey& out, std::span<const uint8_t> key);

/// Cipher, FIPS 197 §5.1.
Bytes16 encrypt_block(const AesKey& key, Bytes16 block);
/// InvCipher, FIPS 197 §5.3.
Bytes16 decrypt_block(const AesKey& key, Bytes16 block);

}  // namespace esplane::crypto
