// AES-GCM by OpenSSL's EVP interface, one packet after another.
#include "crypto/openssl.h"

#include <cstdio>
#include <cstdlib>

#include "base/bytes.h"

namespace esplane::crypto {
namespace {

/// libcrypto refuses valid parameters only where it is broken or out of memory.
void require(bool ok) {
  if (ok) return;
  std::fputs("esplane: libcrypto failed in AES-GCM\n", stderr);
  std::abort();
}

}  // namespace

void OpensslContext::use(const GcmKey& key) {
  if (&key == current_) return;
  if (context_ == nullptr) allocate(key.rounds);
  require(EVP_CipherInit_ex(context_, nullptr, nullptr, key.table, nullptr, -1) == 1);
  current_ = &key;
}

void OpensslContext::allocate(uint32_t rounds) {
  const EVP_CIPHER* cipher = rounds == 10   ? EVP_aes_128_gcm()
                             : rounds == 12 ? EVP_aes_192_gcm()
                                            : EVP_aes_256_gcm();
  context_ = EVP_CIPHER_CTX_new();
  require(context_ != nullptr);
  require(EVP_CipherInit_ex(context_, cipher, nullptr, nullptr, nullptr, 1) == 1);
}

void OpensslContext::forget() {
  static constexpr uint8_t kZero[32] = {};
  if (current_ == nullptr) return;
  require(EVP_CipherInit_ex(context_, nullptr, nullptr, kZero, nullptr, -1) == 1);
  current_ = nullptr;
}

void OpensslContext::transform(const GcmBatch& batch, uint32_t i, int encrypt) {
  use(*batch.key[i]);
  require(EVP_CipherInit_ex(context_, nullptr, nullptr, nullptr, batch.nonce[i], encrypt) == 1);
  int written = 0;
  if (batch.aad_bytes[i] > 0) {
    require(EVP_CipherUpdate(context_, nullptr, &written, batch.aad[i],
                             static_cast<int>(batch.aad_bytes[i])) == 1);
  }
  if (batch.text_bytes[i] > 0) {
    require(EVP_CipherUpdate(context_, batch.text[i], &written, batch.text[i],
                             static_cast<int>(batch.text_bytes[i])) == 1);
  }
}

void OpensslContext::seal(const GcmBatch& batch, uint32_t i) {
  transform(batch, i, 1);
  int written = 0;
  require(EVP_CipherFinal_ex(context_, batch.text[i], &written) == 1);
  require(EVP_CIPHER_CTX_ctrl(context_, EVP_CTRL_AEAD_GET_TAG, 16, batch.icv[i]) == 1);
}

bool OpensslContext::open(const GcmBatch& batch, uint32_t i) {
  transform(batch, i, 0);
  require(EVP_CIPHER_CTX_ctrl(context_, EVP_CTRL_AEAD_SET_TAG, 16, batch.icv[i]) == 1);
  int written = 0;
  return EVP_CipherFinal_ex(context_, batch.text[i], &written) == 1;
}

namespace {

/// This thread's contexts for 128, 192 and 256 bits.
thread_local OpensslContext contexts[3];

OpensslContext& context_for(const GcmKey& key) { return contexts[(key.rounds - 10) / 2]; }

void forget_keys() {
  for (OpensslContext& context : contexts) context.forget();
}

/// The table holds the key itself.
void expand(GcmKey& out, std::span<const uint8_t> key) {
  std::memcpy(out.table, key.data(), key.size());
  out.rounds = static_cast<uint32_t>(key.size() / 4 + 6);
}

void seal(const GcmBatch& batch) {
  for (uint32_t i = 0; i < batch.size; i++) context_for(*batch.key[i]).seal(batch, i);
  forget_keys();
}

uint64_t open(const GcmBatch& batch) {
  uint64_t authentic = 0;
  for (uint32_t i = 0; i < batch.size; i++) {
    authentic |= uint64_t{context_for(*batch.key[i]).open(batch, i)} << i;
  }
  forget_keys();
  return authentic;
}

}  // namespace

const GcmKernel kOpensslKernel = {"openssl", expand, seal, open};

}  // namespace esplane::crypto
