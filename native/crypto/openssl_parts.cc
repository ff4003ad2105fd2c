// Ciphers and MACs of OpenSSL: AES-CBC and AES-CTR by EVP, HMAC on the hash functions themselves,
// XCBC and CMAC on AES-CBC.
//
// HMAC and EVP_MAC would hash the key anew for each packet, which costs as much as a small packet
// does: a key table holds the states after the key's block instead (RFC 2104 §4).
#define OPENSSL_SUPPRESS_DEPRECATED  // SHA*_Init and its like, and nothing replaces what they can
#include <openssl/sha.h>

#include <algorithm>

#include "base/bytes.h"
#include "crypto/cbc_mac.h"
#include "crypto/openssl.h"

namespace esplane::crypto {
namespace {

// --- AES-CBC, AES-CTR ---------------------------------------------------------------------------

constexpr FetchCipher kCbc[] = {EVP_aes_128_cbc, EVP_aes_192_cbc, EVP_aes_256_cbc};
constexpr FetchCipher kCtr[] = {EVP_aes_128_ctr, EVP_aes_192_ctr, EVP_aes_256_ctr};

template <const FetchCipher* kCiphers, int kEncrypt>
void transform(const Batch& batch, uint32_t offset) {
  thread_local EvpContext contexts[3];
  for (uint32_t i = 0; i < batch.size; i++) {
    if (batch.text_bytes[i] == 0) continue;
    const OpensslKey& key = OpensslKey::at(batch.key[i] + offset);
    const uint32_t size = key.size_index();
    EVP_CIPHER_CTX* context = contexts[size].use(key, kCiphers[size], kEncrypt);
    require_openssl(
        EVP_CipherInit_ex(context, nullptr, nullptr, nullptr, batch.nonce[i], kEncrypt) == 1);
    int written = 0;
    require_openssl(EVP_CipherUpdate(context, batch.text[i], &written, batch.text[i],
                                     static_cast<int>(batch.text_bytes[i])) == 1);
  }
  for (EvpContext& context : contexts) context.forget();
}

// --- HMAC ---------------------------------------------------------------------------------------

template <typename Context, int (*kInit)(Context*), int (*kUpdate)(Context*, const void*, size_t),
          int (*kFinal)(uint8_t*, Context*), uint32_t kBlock, uint32_t kDigest>
struct Hmac {
  /// The hash after one block: key xor ipad, key xor opad.
  struct Table {
    Context inner, outer;
  };

  static void expand(uint8_t* memory, std::span<const uint8_t> key) {
    auto& table = *new (memory) Table;
    absorb(table.inner, key, 0x36);
    absorb(table.outer, key, 0x5c);
  }

  static void sign(const Batch& batch, uint32_t offset, Icvs& out) {
    Context context;
    uint8_t digest[kDigest];
    for (uint32_t i = 0; i < batch.size; i++) {
      const Table& table = *std::launder(reinterpret_cast<const Table*>(batch.key[i] + offset));
      context = table.inner;
      kUpdate(&context, batch.aad[i], batch.aad_bytes[i]);
      kFinal(digest, &context);
      context = table.outer;
      kUpdate(&context, digest, kDigest);
      kFinal(digest, &context);
      std::memcpy(out.of[i], digest, std::min(kDigest, Batch::kMostIcvBytes));
    }
    base::wipe(&context, sizeof context);
    base::wipe(digest, sizeof digest);
  }

 private:
  /// Keys of IPsec are never longer than a block (RFC 2404 §3, RFC 4868 §2.1.1).
  static void absorb(Context& context, std::span<const uint8_t> key, uint8_t pad) {
    uint8_t block[kBlock];
    std::memset(block, pad, sizeof block);
    for (size_t i = 0; i < key.size(); i++) block[i] ^= key[i];
    require_openssl(kInit(&context) == 1 && kUpdate(&context, block, sizeof block) == 1);
    base::wipe(block, sizeof block);
  }
};

using HmacSha1 = Hmac<SHA_CTX, SHA1_Init, SHA1_Update, SHA1_Final, 64, 20>;
using HmacSha256 = Hmac<SHA256_CTX, SHA256_Init, SHA256_Update, SHA256_Final, 64, 32>;
using HmacSha384 = Hmac<SHA512_CTX, SHA384_Init, SHA384_Update, SHA384_Final, 128, 48>;
using HmacSha512 = Hmac<SHA512_CTX, SHA512_Init, SHA512_Update, SHA512_Final, 128, 64>;

template <typename Hash>
constexpr MacPart hmac_part() {
  return {"openssl", sizeof(typename Hash::Table), Hash::expand, Hash::sign};
}

constexpr MacPart kHmacSha1 = hmac_part<HmacSha1>();
constexpr MacPart kHmacSha256 = hmac_part<HmacSha256>();
constexpr MacPart kHmacSha384 = hmac_part<HmacSha384>();
constexpr MacPart kHmacSha512 = hmac_part<HmacSha512>();

// --- XCBC, CMAC ---------------------------------------------------------------------------------

struct CbcMacTable {
  OpensslKey key;
  CbcMacKeys keys;
};

template <CbcMacKeys (*kDerive)(std::span<const uint8_t>)>
void expand_cbc_mac(uint8_t* memory, std::span<const uint8_t> key) {
  auto& table = *new (memory) CbcMacTable;
  table.keys = kDerive(key);
  OpensslKey::expand(reinterpret_cast<uint8_t*>(&table.key), table.keys.key);
}

/// CBC over all blocks but the last, then over that; what comes out last is the MAC.
void cbc_mac(EVP_CIPHER_CTX* context, const CbcMacKeys& keys, const uint8_t* data, uint32_t bytes,
             uint8_t mac[16]) {
  constexpr uint32_t kChunk = 1024;
  static constexpr uint8_t kZeroIv[16] = {};
  uint8_t scratch[kChunk];
  int written = 0;
  require_openssl(EVP_CipherInit_ex(context, nullptr, nullptr, nullptr, kZeroIv, 1) == 1);
  uint32_t whole = bytes == 0 ? 0 : (bytes - 1) / 16 * 16;
  bytes -= whole;
  while (whole > 0) {
    const uint32_t n = std::min(whole, kChunk);
    require_openssl(EVP_CipherUpdate(context, scratch, &written, data, static_cast<int>(n)) == 1);
    data += n;
    whole -= n;
  }
  uint8_t last[16];
  make_last_block(keys, data, bytes, last);
  require_openssl(EVP_CipherUpdate(context, mac, &written, last, 16) == 1);
}

void sign_cbc_mac(const Batch& batch, uint32_t offset, Icvs& out) {
  thread_local EvpContext evp;
  for (uint32_t i = 0; i < batch.size; i++) {
    const auto& table = *std::launder(reinterpret_cast<const CbcMacTable*>(batch.key[i] + offset));
    EVP_CIPHER_CTX* context = evp.use(table.key, EVP_aes_128_cbc, 1);
    cbc_mac(context, table.keys, batch.aad[i], batch.aad_bytes[i], out.of[i]);
  }
  evp.forget();
}

constexpr MacPart kXcbc = {"openssl", sizeof(CbcMacTable), expand_cbc_mac<xcbc_keys>, sign_cbc_mac};
constexpr MacPart kCmac = {"openssl", sizeof(CbcMacTable), expand_cbc_mac<cmac_keys>, sign_cbc_mac};

}  // namespace

const CipherPart kOpensslCbc = {"openssl", sizeof(OpensslKey), OpensslKey::expand,
                                transform<kCbc, 1>, transform<kCbc, 0>};
const CipherPart kOpensslCtr = {"openssl", sizeof(OpensslKey), OpensslKey::expand,
                                transform<kCtr, 1>, transform<kCtr, 1>};

const MacParts kOpensslMacs = {&kHmacSha1,   &kHmacSha256, &kHmacSha384,
                               &kHmacSha512, &kXcbc,       &kCmac};

}  // namespace esplane::crypto
