// OpenSSL's libcrypto, which Node itself exports: always there, on any CPU, and the tests' oracle.
// One packet after another.
//
// An EVP_CIPHER_CTX holds the state of one operation, so it cannot be shared by the workers that
// use one SA at the same time. An engine has one for each thread, key size and direction instead:
// its key is set where the key changes from one operation to the next and overwritten at the end of
// the batch, so that it lives no longer than its KeyTable. Only a thread's first batch allocates.
#pragma once

#include <openssl/evp.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>
#include <span>

#include "crypto/engine.h"
#include "crypto/parts.h"

namespace esplane::crypto {

/// libcrypto refuses valid parameters only where it is broken or out of memory.
inline void require_openssl(bool ok) {
  if (ok) return;
  std::fputs("esplane: libcrypto failed\n", stderr);
  std::abort();
}

/// The key itself: contexts expand it.
struct OpensslKey {
  uint32_t bytes;
  uint8_t key[32];

  /// 0, 1, 2 for keys of 128, 192, 256 bits.
  uint32_t size_index() const { return bytes / 8 - 2; }

  static const OpensslKey& at(const uint8_t* table) {
    return *std::launder(reinterpret_cast<const OpensslKey*>(table));
  }
  static void expand(uint8_t* table, std::span<const uint8_t> raw) {
    auto& key = *new (table) OpensslKey;
    key.bytes = static_cast<uint32_t>(raw.size());
    std::memcpy(key.key, raw.data(), raw.size());
  }
};

using FetchCipher = const EVP_CIPHER* (*)();

/// One EVP_CIPHER_CTX, for keys of one size, that remembers whose key it holds.
class EvpContext {
 public:
  EvpContext() = default;
  EvpContext(const EvpContext&) = delete;
  EvpContext& operator=(const EvpContext&) = delete;
  ~EvpContext() { EVP_CIPHER_CTX_free(context_); }

  /// Sets the key if it is another than the last time.
  /// @param encrypt  1 or 0; -1: as each operation's initialisation says
  EVP_CIPHER_CTX* use(const OpensslKey& key, FetchCipher cipher, int encrypt = -1) {
    if (&key == current_) return context_;
    if (context_ == nullptr) allocate(cipher, encrypt);
    require_openssl(EVP_CipherInit_ex(context_, nullptr, nullptr, key.key, nullptr, encrypt) == 1);
    current_ = &key;
    return context_;
  }

  /// Overwrites the key schedule. To be called before the KeyTable used last goes away.
  void forget() {
    static constexpr uint8_t kZero[32] = {};
    if (current_ == nullptr) return;
    require_openssl(EVP_CipherInit_ex(context_, nullptr, nullptr, kZero, nullptr, -1) == 1);
    current_ = nullptr;
  }

 private:
  void allocate(FetchCipher cipher, int encrypt) {
    context_ = EVP_CIPHER_CTX_new();
    require_openssl(context_ != nullptr);
    const int way = encrypt == 0 ? 0 : 1;
    require_openssl(EVP_CipherInit_ex(context_, cipher(), nullptr, nullptr, nullptr, way) == 1);
    require_openssl(EVP_CIPHER_CTX_set_padding(context_, 0) == 1);
  }

  EVP_CIPHER_CTX* context_ = nullptr;
  const OpensslKey* current_ = nullptr;
};

/// AES-GCM with keys of one size that kOpensslGcm expanded.
class OpensslContext {
 public:
  /// Does operation i of the batch; sets the key if it is another than the last time.
  void seal(const Batch& batch, uint32_t i);
  bool open(const Batch& batch, uint32_t i);
  void forget() { context_.forget(); }

 private:
  EVP_CIPHER_CTX* transform(const Batch& batch, uint32_t i, int encrypt);

  EvpContext context_;
};

extern const Engine kOpensslEngine;  ///< AES-GCM and GMAC
extern const Engine kOpensslCcm;
extern const Engine kOpensslChaCha20Poly1305;

extern const CipherPart kOpensslCbc;
extern const CipherPart kOpensslCtr;
extern const MacParts kOpensslMacs;

}  // namespace esplane::crypto
