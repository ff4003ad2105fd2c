// Independent blocks of AES-128 under one key, eight at a time: for IVs (crypto/iv.cc).
#pragma once

#include <cstdint>

namespace esplane::crypto {

/// The 11 round keys of FIPS 197 §5.2.
struct alignas(16) EcbKey {
  uint8_t round[11][16];
};

void aesni_expand(EcbKey& key, const uint8_t raw[16]);

/// Encrypts each block in place.
void aesni_encrypt_blocks(const EcbKey& key, uint8_t (*block)[16], uint32_t count);

}  // namespace esplane::crypto
