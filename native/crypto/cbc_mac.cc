#include "crypto/cbc_mac.h"

#include "base/bytes.h"
#include "crypto/reference_aes.h"

namespace esplane::crypto {
namespace {

/// Times x in GF(2^128), the leftmost bit being the highest (SP 800-38B §6.1).
void double_block(const uint8_t from[16], uint8_t to[16]) {
  const uint64_t high = base::load_be64(from);
  const uint64_t low = base::load_be64(from + 8);
  base::store_be64(to, high << 1 | low >> 63);
  base::store_be64(to + 8, low << 1 ^ (0x87 & (0 - (high >> 63))));
}

}  // namespace

CbcMacKeys xcbc_keys(std::span<const uint8_t> key) {
  AesKey aes;
  expand_key(aes, key);
  const auto encrypted = [&](uint8_t byte, uint8_t to[16]) {
    store(to, encrypt_block(aes, Bytes16{} + byte));
  };
  CbcMacKeys keys;
  encrypted(0x01, keys.key);
  encrypted(0x02, keys.whole);
  encrypted(0x03, keys.padded);
  base::wipe(&aes, sizeof aes);
  return keys;
}

CbcMacKeys cmac_keys(std::span<const uint8_t> key) {
  AesKey aes;
  expand_key(aes, key);
  uint8_t l[16];
  store(l, encrypt_block(aes, Bytes16{}));
  CbcMacKeys keys;
  std::memcpy(keys.key, key.data(), sizeof keys.key);
  double_block(l, keys.whole);
  double_block(keys.whole, keys.padded);
  base::wipe(&aes, sizeof aes);
  base::wipe(l, sizeof l);
  return keys;
}

void make_last_block(const CbcMacKeys& keys, const uint8_t* tail, uint32_t tail_bytes,
                     uint8_t block[16]) {
  std::memset(block, 0, 16);
  if (tail_bytes > 0) std::memcpy(block, tail, tail_bytes);
  if (tail_bytes < 16) block[tail_bytes] = 0x80;
  store(block, load(block) ^ load(tail_bytes < 16 ? keys.padded : keys.whole));
}

}  // namespace esplane::crypto
