// AES-GCM of OpenSSL's libcrypto, which Node itself exports: always there, and the tests' oracle.
//
// An EVP_CIPHER_CTX holds the state of one operation, so it cannot be shared by the workers that
// use one SA at the same time. The engine has one for each thread and key size instead: its key is
// set where the key changes from one operation to the next and overwritten at the end of the
// batch, so that it lives no longer than its KeyTable. Only a thread's first batch allocates.
#pragma once

#include <openssl/evp.h>

#include "crypto/engine.h"

namespace esplane::crypto {

/// One EVP_CIPHER_CTX, for keys of one size that kOpensslEngine expanded.
class OpensslContext {
 public:
  OpensslContext() = default;
  OpensslContext(const OpensslContext&) = delete;
  OpensslContext& operator=(const OpensslContext&) = delete;
  ~OpensslContext() { EVP_CIPHER_CTX_free(context_); }

  /// Does operation i of the batch; sets the key if it is another than the last time.
  void seal(const Batch& batch, uint32_t i);
  bool open(const Batch& batch, uint32_t i);
  /// Overwrites the key schedule. To be called before the KeyTable used last goes away.
  void forget();

 private:
  void use(const uint8_t* table);
  void allocate(uint32_t rounds);
  void transform(const Batch& batch, uint32_t i, int encrypt);

  EVP_CIPHER_CTX* context_ = nullptr;
  const uint8_t* current_ = nullptr;
};

extern const Engine kOpensslEngine;

}  // namespace esplane::crypto
