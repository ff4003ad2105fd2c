// AES-CBC and AES-CTR (NIST SP 800-38A), HMAC (RFC 2104), XCBC-MAC (RFC 3566) and CMAC (RFC 4493),
// as the documents define them.
#include <algorithm>
#include <new>

#include "base/bytes.h"
#include "crypto/cbc_mac.h"
#include "crypto/reference.h"
#include "crypto/reference_aes.h"
#include "crypto/reference_hash.h"

namespace esplane::crypto {
namespace {

// --- Ciphers ------------------------------------------------------------------------------------

const AesKey& aes_key(const uint8_t* table) {
  return *std::launder(reinterpret_cast<const AesKey*>(table));
}

void expand_aes(uint8_t* table, std::span<const uint8_t> key) {
  expand_key(*new (table) AesKey, key);
}

/// SP 800-38A §6.2.
void cbc_encrypt(const Batch& batch, uint32_t offset) {
  for (uint32_t i = 0; i < batch.size; i++) {
    Bytes16 previous = load(batch.nonce[i]);
    for (uint32_t at = 0; at + 16 <= batch.text_bytes[i]; at += 16) {
      uint8_t* block = batch.text[i] + at;
      previous = encrypt_block(aes_key(batch.key[i] + offset), load(block) ^ previous);
      store(block, previous);
    }
  }
}

void cbc_decrypt(const Batch& batch, uint32_t offset) {
  for (uint32_t i = 0; i < batch.size; i++) {
    Bytes16 previous = load(batch.nonce[i]);
    for (uint32_t at = 0; at + 16 <= batch.text_bytes[i]; at += 16) {
      uint8_t* block = batch.text[i] + at;
      const Bytes16 encrypted = load(block);
      store(block, decrypt_block(aes_key(batch.key[i] + offset), encrypted) ^ previous);
      previous = encrypted;
    }
  }
}

/// SP 800-38A §6.5; the counter is the block's last 32 bits (RFC 3686 §4).
void ctr(const Batch& batch, uint32_t offset) {
  for (uint32_t i = 0; i < batch.size; i++) {
    uint8_t counter[16];
    std::memcpy(counter, batch.nonce[i], sizeof counter);
    for (uint32_t at = 0; at < batch.text_bytes[i]; at += 16) {
      uint8_t stream[16];
      store(stream, encrypt_block(aes_key(batch.key[i] + offset), load(counter)));
      const uint32_t n = std::min(batch.text_bytes[i] - at, 16u);
      for (uint32_t b = 0; b < n; b++) batch.text[i][at + b] ^= stream[b];
      base::store_be32(counter + 12, base::load_be32(counter + 12) + 1);
    }
  }
}

// --- HMAC ---------------------------------------------------------------------------------------

using Sha1 = Sha<uint32_t, 5, 64, 20, sha1_block>;
using Sha256 = Sha<uint32_t, 8, 64, 32, sha256_block>;
using Sha384 = Sha<uint64_t, 8, 128, 48, sha512_block>;
using Sha512 = Sha<uint64_t, 8, 128, 64, sha512_block>;

/// RFC 2104 §2. The key table is the key, padded with zeros to a block.
template <typename Hash, const auto& kStart>
struct Hmac {
  static void expand(uint8_t* table, std::span<const uint8_t> key) {
    std::memset(table, 0, Hash::kBlockBytes);
    std::memcpy(table, key.data(), key.size());
  }

  static Hash start(const uint8_t* key, uint8_t pad) {
    uint8_t block[Hash::kBlockBytes];
    for (uint32_t i = 0; i < sizeof block; i++) block[i] = key[i] ^ pad;
    Hash hash(kStart);
    hash.update(block, sizeof block);
    base::wipe(block, sizeof block);
    return hash;
  }

  static void sign(const Batch& batch, uint32_t offset, Icvs& out) {
    for (uint32_t i = 0; i < batch.size; i++) {
      uint8_t digest[Hash::kDigestBytes];
      Hash inner = start(batch.key[i] + offset, 0x36);
      inner.update(batch.aad[i], batch.aad_bytes[i]);
      inner.finish(digest);
      Hash outer = start(batch.key[i] + offset, 0x5c);
      outer.update(digest, sizeof digest);
      outer.finish(digest);
      std::memcpy(out.of[i], digest, std::min<size_t>(sizeof digest, Batch::kMostIcvBytes));
      base::wipe(&inner, sizeof inner);
      base::wipe(&outer, sizeof outer);
      base::wipe(digest, sizeof digest);
    }
  }

  static constexpr MacPart kPart = {"reference", Hash::kBlockBytes, expand, sign};
};

// --- XCBC, CMAC ---------------------------------------------------------------------------------

struct CbcMacTable {
  AesKey aes;
  CbcMacKeys keys;
};

template <CbcMacKeys (*kDerive)(std::span<const uint8_t>)>
void expand_cbc_mac(uint8_t* memory, std::span<const uint8_t> key) {
  auto& table = *new (memory) CbcMacTable;
  table.keys = kDerive(key);
  expand_key(table.aes, table.keys.key);
}

void sign_cbc_mac(const Batch& batch, uint32_t offset, Icvs& out) {
  for (uint32_t i = 0; i < batch.size; i++) {
    const auto& table = *std::launder(reinterpret_cast<const CbcMacTable*>(batch.key[i] + offset));
    const uint8_t* data = batch.aad[i];
    uint32_t bytes = batch.aad_bytes[i];
    Bytes16 state{};
    for (; bytes > 16; data += 16, bytes -= 16) {
      state = encrypt_block(table.aes, state ^ load(data));
    }
    uint8_t last[16];
    make_last_block(table.keys, data, bytes, last);
    store(out.of[i], encrypt_block(table.aes, state ^ load(last)));
  }
}

constexpr MacPart kXcbc = {"reference", sizeof(CbcMacTable), expand_cbc_mac<xcbc_keys>,
                           sign_cbc_mac};
constexpr MacPart kCmac = {"reference", sizeof(CbcMacTable), expand_cbc_mac<cmac_keys>,
                           sign_cbc_mac};

}  // namespace

const CipherPart kReferenceCbc = {"reference", sizeof(AesKey), expand_aes, cbc_encrypt,
                                  cbc_decrypt};
const CipherPart kReferenceCtr = {"reference", sizeof(AesKey), expand_aes, ctr, ctr};

const MacParts kReferenceMacs = {
    &Hmac<Sha1, kSha1Start>::kPart,     &Hmac<Sha256, kSha256Start>::kPart,
    &Hmac<Sha384, kSha384Start>::kPart, &Hmac<Sha512, kSha512Start>::kPart,
    &kXcbc,                             &kCmac};

}  // namespace esplane::crypto
