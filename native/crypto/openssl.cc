// AES-GCM by OpenSSL's EVP interface, one packet after another.
#include "crypto/openssl.h"

#include <cstdio>
#include <cstdlib>
#include <new>

#include "base/bytes.h"

namespace esplane::crypto {
namespace {

/// libcrypto refuses valid parameters only where it is broken or out of memory.
void require(bool ok) {
  if (ok) return;
  std::fputs("esplane: libcrypto failed in AES-GCM\n", stderr);
  std::abort();
}

/// The key itself: contexts expand it.
struct OpensslKey {
  uint32_t rounds;
  uint8_t key[32];
};

const OpensslKey& layout(const uint8_t* table) {
  return *std::launder(reinterpret_cast<const OpensslKey*>(table));
}

}  // namespace

void OpensslContext::use(const uint8_t* table) {
  if (table == current_) return;
  const OpensslKey& key = layout(table);
  if (context_ == nullptr) allocate(key.rounds);
  require(EVP_CipherInit_ex(context_, nullptr, nullptr, key.key, nullptr, -1) == 1);
  current_ = table;
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

void OpensslContext::transform(const Batch& batch, uint32_t i, int encrypt) {
  use(batch.key[i]);
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

namespace {

int tag_bytes(const Batch& batch, uint32_t i) { return static_cast<int>(batch.icv_bytes[i]); }

}  // namespace

void OpensslContext::seal(const Batch& batch, uint32_t i) {
  transform(batch, i, 1);
  int written = 0;
  require(EVP_CipherFinal_ex(context_, batch.text[i], &written) == 1);
  require(EVP_CIPHER_CTX_ctrl(context_, EVP_CTRL_AEAD_GET_TAG, tag_bytes(batch, i), batch.icv[i]) == 1);
}

bool OpensslContext::open(const Batch& batch, uint32_t i) {
  transform(batch, i, 0);
  require(EVP_CIPHER_CTX_ctrl(context_, EVP_CTRL_AEAD_SET_TAG, tag_bytes(batch, i), batch.icv[i]) == 1);
  int written = 0;
  return EVP_CipherFinal_ex(context_, batch.text[i], &written) == 1;
}

namespace {

/// This thread's contexts for 128, 192 and 256 bits.
thread_local OpensslContext contexts[3];

OpensslContext& context_for(const uint8_t* table) {
  return contexts[(layout(table).rounds - 10) / 2];
}

void forget_keys() {
  for (OpensslContext& context : contexts) context.forget();
}

void expand(uint8_t* table, const Suite&, const Keys& keys) {
  auto& k = *new (table) OpensslKey;
  std::memcpy(k.key, keys.encryption.data(), keys.encryption.size());
  k.rounds = static_cast<uint32_t>(keys.encryption.size() / 4 + 6);
}

void seal(const Batch& batch) {
  for (uint32_t i = 0; i < batch.size; i++) context_for(batch.key[i]).seal(batch, i);
  forget_keys();
}

uint64_t open(const Batch& batch) {
  uint64_t authentic = 0;
  for (uint32_t i = 0; i < batch.size; i++) {
    authentic |= uint64_t{context_for(batch.key[i]).open(batch, i)} << i;
  }
  forget_keys();
  return authentic;
}

}  // namespace

const Engine kOpensslEngine = {"openssl", sizeof(OpensslKey), expand, seal, open};

}  // namespace esplane::crypto
