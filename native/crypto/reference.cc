// AES-GCM (NIST SP 800-38D) as the document defines it, on the AES of crypto/reference_aes.h.
//
// Written to be checked against the document, not to be fast. Nothing branches or indexes on a
// secret: the multiplication in GF(2^128) takes the same 128 steps for every value. Left out:
// nonces that are not 96 bits long, which ESP does not use (RFC 4106 §4).
#include "crypto/reference.h"

#include <algorithm>
#include <new>

#include "base/bytes.h"
#include "crypto/reference_aes.h"

namespace esplane::crypto {
namespace {

using Word128 = unsigned __int128;

struct ReferenceKey {
  AesKey aes;
  Word128 h;  ///< the hash subkey H = E(K, 0^128), SP 800-38D §6.4
};

const ReferenceKey& layout(const uint8_t* table) {
  return *std::launder(reinterpret_cast<const ReferenceKey*>(table));
}

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
    store(stream, encrypt_block(key.aes, counter_block(nonce, counter)));
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
  store(mask, encrypt_block(k.aes, counter_block(batch.nonce[i], 1)));
  base::store_be64(icv, static_cast<uint64_t>(s >> 64) ^ base::load_be64(mask));
  base::store_be64(icv + 8, static_cast<uint64_t>(s) ^ base::load_be64(mask + 8));
}

void expand(uint8_t* table, const Suite&, const Keys& keys) {
  auto& k = *new (table) ReferenceKey;
  expand_key(k.aes, keys.encryption);
  uint8_t h[16];
  store(h, encrypt_block(k.aes, Bytes16{}));
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
