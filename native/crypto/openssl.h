// AES-GCM of OpenSSL's libcrypto, which Node itself exports: always there, and the tests' oracle.
//
// An EVP_CIPHER_CTX holds the state of one operation, so it cannot be shared by the workers that
// use one SA at the same time. The kernel has one for each thread and key size instead: its key is
// set where the key changes from one operation to the next and overwritten at the end of the
// batch, so that it lives no longer than its GcmKey. Only a thread's first batch allocates.
#pragma once

#include <openssl/evp.h>

#include "crypto/aead.h"

namespace esplane::crypto {

/// One EVP_CIPHER_CTX, for keys of one size that kOpensslKernel expanded.
class OpensslContext {
 public:
  OpensslContext() = default;
  OpensslContext(const OpensslContext&) = delete;
  OpensslContext& operator=(const OpensslContext&) = delete;
  ~OpensslContext() { EVP_CIPHER_CTX_free(context_); }

  /// Does operation i of the batch; sets the key if it is another than the last time.
  void seal(const GcmBatch& batch, uint32_t i);
  bool open(const GcmBatch& batch, uint32_t i);
  /// Overwrites the key schedule. To be called before the GcmKey used last goes away.
  void forget();

 private:
  void use(const GcmKey& key);
  void allocate(uint32_t rounds);
  void transform(const GcmBatch& batch, uint32_t i, int encrypt);

  EVP_CIPHER_CTX* context_ = nullptr;
  const GcmKey* current_ = nullptr;
};

extern const GcmKernel kOpensslKernel;

}  // namespace esplane::crypto
