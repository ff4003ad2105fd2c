// AEADs by OpenSSL's EVP interface: AES-GCM, AES-CCM, ChaCha20-Poly1305.
#include "crypto/openssl.h"

namespace esplane::crypto {
namespace {

int tag_bytes(const Batch& batch, uint32_t i) { return static_cast<int>(batch.icv_bytes[i]); }

/// Contexts of a thread by key size, which forget their keys when a batch is done.
template <typename Context>
struct BatchContexts {
  Context by_size[3];

  Context& for_key(const uint8_t* table) { return by_size[OpensslKey::at(table).size_index()]; }
  void forget() {
    for (Context& context : by_size) context.forget();
  }
};

template <typename Contexts>
void seal_all(Contexts& contexts, const Batch& batch) {
  for (uint32_t i = 0; i < batch.size; i++) contexts.for_key(batch.key[i]).seal(batch, i);
  contexts.forget();
}

template <typename Contexts>
uint64_t open_all(Contexts& contexts, const Batch& batch) {
  uint64_t authentic = 0;
  for (uint32_t i = 0; i < batch.size; i++) {
    authentic |= uint64_t{contexts.for_key(batch.key[i]).open(batch, i)} << i;
  }
  contexts.forget();
  return authentic;
}

void expand(uint8_t* table, const Suite&, const Keys& keys) {
  OpensslKey::expand(table, keys.encryption);
}

// --- GCM and ChaCha20-Poly1305, whose interface is the same -------------------------------------

void update(EVP_CIPHER_CTX* context, const Batch& batch, uint32_t i) {
  int written = 0;
  if (batch.aad_bytes[i] > 0) {
    require_openssl(EVP_CipherUpdate(context, nullptr, &written, batch.aad[i],
                                     static_cast<int>(batch.aad_bytes[i])) == 1);
  }
  if (batch.text_bytes[i] > 0) {
    require_openssl(EVP_CipherUpdate(context, batch.text[i], &written, batch.text[i],
                                     static_cast<int>(batch.text_bytes[i])) == 1);
  }
}

EVP_CIPHER_CTX* start(EvpContext& with, const Batch& batch, uint32_t i, int encrypt,
                      FetchCipher cipher) {
  EVP_CIPHER_CTX* context = with.use(OpensslKey::at(batch.key[i]), cipher);
  require_openssl(
      EVP_CipherInit_ex(context, nullptr, nullptr, nullptr, batch.nonce[i], encrypt) == 1);
  update(context, batch, i);
  return context;
}

void finish_seal(EVP_CIPHER_CTX* context, const Batch& batch, uint32_t i) {
  int written = 0;
  require_openssl(EVP_CipherFinal_ex(context, batch.text[i], &written) == 1);
  require_openssl(EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, tag_bytes(batch, i),
                                      batch.icv[i]) == 1);
}

bool finish_open(EVP_CIPHER_CTX* context, const Batch& batch, uint32_t i) {
  require_openssl(EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, tag_bytes(batch, i),
                                      batch.icv[i]) == 1);
  int written = 0;
  return EVP_CipherFinal_ex(context, batch.text[i], &written) == 1;
}

constexpr FetchCipher kGcm[] = {EVP_aes_128_gcm, EVP_aes_192_gcm, EVP_aes_256_gcm};

}  // namespace

EVP_CIPHER_CTX* OpensslContext::transform(const Batch& batch, uint32_t i, int encrypt) {
  return start(context_, batch, i, encrypt, kGcm[OpensslKey::at(batch.key[i]).size_index()]);
}

void OpensslContext::seal(const Batch& batch, uint32_t i) {
  finish_seal(transform(batch, i, 1), batch, i);
}

bool OpensslContext::open(const Batch& batch, uint32_t i) {
  return finish_open(transform(batch, i, 0), batch, i);
}

namespace {

thread_local BatchContexts<OpensslContext> gcm;

class ChaChaContext {
 public:
  void seal(const Batch& batch, uint32_t i) {
    finish_seal(start(context_, batch, i, 1, EVP_chacha20_poly1305), batch, i);
  }
  bool open(const Batch& batch, uint32_t i) {
    return finish_open(start(context_, batch, i, 0, EVP_chacha20_poly1305), batch, i);
  }
  void forget() { context_.forget(); }

 private:
  EvpContext context_;
};

thread_local BatchContexts<ChaChaContext> chacha;

// --- CCM ----------------------------------------------------------------------------------------

constexpr FetchCipher kCcm[] = {EVP_aes_128_ccm, EVP_aes_192_ccm, EVP_aes_256_ccm};

/// CCM wants lengths before anything else, because they are in the first block (RFC 3610 §2.2).
/// libcrypto takes the tag's length with the key, so keys are set for each packet.
class CcmContext {
 public:
  void seal(const Batch& batch, uint32_t i) {
    start(batch, i, 1, nullptr);
    require_openssl(text(batch, i));
    require_openssl(EVP_CIPHER_CTX_ctrl(context_, EVP_CTRL_AEAD_GET_TAG, tag_bytes(batch, i),
                                        batch.icv[i]) == 1);
  }
  bool open(const Batch& batch, uint32_t i) {
    start(batch, i, 0, batch.icv[i]);
    return text(batch, i);
  }
  /// Overwrites the key schedule, as EvpContext::forget.
  void forget() {
    static constexpr uint8_t kZero[32] = {};
    if (!keyed_) return;
    require_openssl(EVP_CipherInit_ex(context_, nullptr, nullptr, kZero, nullptr, -1) == 1);
    keyed_ = false;
  }
  CcmContext() = default;
  CcmContext(const CcmContext&) = delete;
  CcmContext& operator=(const CcmContext&) = delete;
  ~CcmContext() { EVP_CIPHER_CTX_free(context_); }

 private:
  void start(const Batch& batch, uint32_t i, int encrypt, uint8_t* tag) {
    const OpensslKey& key = OpensslKey::at(batch.key[i]);
    if (context_ == nullptr) {
      context_ = EVP_CIPHER_CTX_new();
      require_openssl(context_ != nullptr);
      const EVP_CIPHER* cipher = kCcm[key.size_index()]();
      require_openssl(EVP_CipherInit_ex(context_, cipher, nullptr, nullptr, nullptr, 1) == 1);
    }
    require_openssl(EVP_CipherInit_ex(context_, nullptr, nullptr, nullptr, nullptr, encrypt) == 1);
    require_openssl(EVP_CIPHER_CTX_ctrl(context_, EVP_CTRL_AEAD_SET_IVLEN, 11, nullptr) == 1);
    require_openssl(
        EVP_CIPHER_CTX_ctrl(context_, EVP_CTRL_AEAD_SET_TAG, tag_bytes(batch, i), tag) == 1);
    require_openssl(
        EVP_CipherInit_ex(context_, nullptr, nullptr, key.key, batch.nonce[i], encrypt) == 1);
    int written = 0;
    require_openssl(EVP_CipherUpdate(context_, nullptr, &written, nullptr,
                                     static_cast<int>(batch.text_bytes[i])) == 1);
    if (batch.aad_bytes[i] > 0) {
      require_openssl(EVP_CipherUpdate(context_, nullptr, &written, batch.aad[i],
                                       static_cast<int>(batch.aad_bytes[i])) == 1);
    }
    keyed_ = true;
  }

  /// @return false, for opening only, where the ICV does not hold
  bool text(const Batch& batch, uint32_t i) {
    int written = 0;
    uint8_t nothing;  // a null pointer would mean something else
    uint8_t* at = batch.text_bytes[i] > 0 ? batch.text[i] : &nothing;
    return EVP_CipherUpdate(context_, at, &written, at, static_cast<int>(batch.text_bytes[i])) == 1;
  }

  EVP_CIPHER_CTX* context_ = nullptr;
  bool keyed_ = false;
};

thread_local BatchContexts<CcmContext> ccm;

}  // namespace

const Engine kOpensslEngine = {"openssl", sizeof(OpensslKey), expand,
                               [](const Batch& batch) { seal_all(gcm, batch); },
                               [](const Batch& batch) { return open_all(gcm, batch); }};

const Engine kOpensslCcm = {"openssl", sizeof(OpensslKey), expand,
                            [](const Batch& batch) { seal_all(ccm, batch); },
                            [](const Batch& batch) { return open_all(ccm, batch); }};

const Engine kOpensslChaCha20Poly1305 = {"openssl", sizeof(OpensslKey), expand,
                                         [](const Batch& b) { seal_all(chacha, b); },
                                         [](const Batch& b) { return open_all(chacha, b); }};

}  // namespace esplane::crypto
