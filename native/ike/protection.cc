#include "ike/protection.h"

#include <openssl/evp.h>

#include <cstring>
#include <memory>

#include "base/bytes.h"
#include "base/freer.h"

namespace esplane::ike {
namespace {

using base::Freer;

int length(Bytes bytes) { return static_cast<int>(bytes.size()); }

/// One cipher in one direction. CCM has its lengths set before the key.
class CipherContext {
 public:
  CipherContext(Cipher cipher, bool encrypt)
      : cipher_(cipher), encrypt_(encrypt), context_(EVP_CIPHER_CTX_new()) {
    std::unique_ptr<EVP_CIPHER, Freer<EVP_CIPHER_free>> found(
        EVP_CIPHER_fetch(nullptr, kCipherNames[cipher], nullptr));
    require(found != nullptr && context_ != nullptr);
    require(EVP_CipherInit_ex2(context_.get(), found.get(), nullptr, nullptr, encrypt, nullptr) == 1);
    require(EVP_CIPHER_CTX_set_padding(context_.get(), 0) == 1);
  }

  /// @param tag  of an AEAD: to be checked where this decrypts
  void begin(Bytes sk_e, const uint8_t* iv, Bytes tag) {
    EVP_CIPHER_CTX* context = context_.get();
    const size_t salt = cipher_salt_bytes(cipher_);
    const size_t iv_bytes = cipher_iv_bytes(cipher_);
    // Salt and IV; of CTR the first counter follows, 1 (RFC 5930 §2.3).
    uint8_t nonce[16] = {};
    nonce[sizeof nonce - 1] = 1;
    std::memcpy(nonce, sk_e.data() + cipher_key_bytes(cipher_), salt);
    std::memcpy(nonce + salt, iv, iv_bytes);
    if (is_ccm(cipher_)) {
      const int nonce_bytes = static_cast<int>(salt + iv_bytes);
      require(EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_IVLEN, nonce_bytes, nullptr) == 1);
      set_tag(tag);
    }
    require(EVP_CipherInit_ex2(context, nullptr, sk_e.data(), nonce, encrypt_, nullptr) == 1);
    if (is_aead(cipher_) && !is_ccm(cipher_) && encrypt_ == 0) set_tag(tag);
  }

  /// All of it at once; false where the tag does not hold.
  bool transform(Bytes aad, Bytes in, uint8_t* out) {
    EVP_CIPHER_CTX* context = context_.get();
    int written = 0;
    if (is_ccm(cipher_)) require(EVP_CipherUpdate(context, nullptr, &written, nullptr, length(in)) == 1);
    if (is_aead(cipher_)) require(EVP_CipherUpdate(context, nullptr, &written, aad.data(), length(aad)) == 1);
    const bool done = EVP_CipherUpdate(context, out, &written, in.data(), length(in)) == 1;
    // CCM has checked the tag with that.
    if (is_ccm(cipher_) && encrypt_ == 0) return done;
    require(done);
    uint8_t nothing[16];
    return EVP_CipherFinal_ex(context, nothing, &written) == 1;
  }

  void tag(Room out) {
    const int bytes = static_cast<int>(out.size());
    require(EVP_CIPHER_CTX_ctrl(context_.get(), EVP_CTRL_AEAD_GET_TAG, bytes, out.data()) == 1);
  }

  void forget() {
    static constexpr uint8_t kZero[32] = {};
    require(EVP_CipherInit_ex2(context_.get(), nullptr, kZero, nullptr, encrypt_, nullptr) == 1);
  }

 private:
  /// Of what is encrypted it is the length that counts.
  void set_tag(Bytes tag) {
    void* expected = encrypt_ != 0 ? nullptr : const_cast<uint8_t*>(tag.data());
    require(EVP_CIPHER_CTX_ctrl(context_.get(), EVP_CTRL_AEAD_SET_TAG, length(tag), expected) == 1);
  }

  Cipher cipher_;
  int encrypt_;
  std::unique_ptr<EVP_CIPHER_CTX, Freer<EVP_CIPHER_CTX_free>> context_;
};

CipherContext& context_of(Cipher cipher, bool encrypt) {
  thread_local std::unique_ptr<CipherContext> made[kCiphers][2];
  auto& one = made[cipher][encrypt ? 1 : 0];
  if (one == nullptr) one = std::make_unique<CipherContext>(cipher, encrypt);
  return *one;
}

/// What a message consists of.
template <typename Octets>
struct Parts {
  Parts(const Protection& with, Octets message, size_t body_at)
      : covered(message.first(message.size() - with.icv_bytes)),
        aad(message.first(body_at)),
        iv(message.data() + body_at),
        text(message.subspan(body_at + cipher_iv_bytes(with.cipher),
                             covered.size() - body_at - cipher_iv_bytes(with.cipher))),
        icv(message.last(with.icv_bytes)) {}

  /// By a MAC.
  Bytes covered;
  Bytes aad;
  const uint8_t* iv;
  Octets text;
  Octets icv;
};

/// The first octets of the MAC.
void icv_of(const Protection& with, Bytes covered, Room out) {
  uint8_t whole[kMostDigestBytes];
  const Bytes chunks[] = {covered};
  mac(with.mac, with.sk_a, chunks, {whole, mac_bytes(with.mac)});
  std::memcpy(out.data(), whole, out.size());
}

bool holds(const Protection& with, Bytes covered, Bytes icv) {
  uint8_t expected[kMostIcvBytes];
  icv_of(with, covered, {expected, icv.size()});
  return base::equal_constant_time(expected, icv.data(), icv.size());
}

}  // namespace

size_t cipher_key_bytes(Cipher cipher) {
  constexpr size_t kBytes[kCiphers] = {16, 24, 32, 16, 24, 32, 32, 16, 24, 32, 16, 24, 32};
  return kBytes[cipher];
}

void seal(const Protection& with, Room message, size_t body_at) {
  const Parts<Room> parts(with, message, body_at);
  CipherContext& context = context_of(with.cipher, true);
  context.begin(with.sk_e, parts.iv, parts.icv);
  require(context.transform(parts.aad, parts.text, parts.text.data()));
  if (is_aead(with.cipher)) {
    context.tag(parts.icv);
  } else {
    icv_of(with, parts.covered, parts.icv);
  }
  context.forget();
}

bool open(const Protection& with, Bytes message, size_t body_at, Room plaintext) {
  const Parts<Bytes> parts(with, message, body_at);
  bool authentic = is_aead(with.cipher) || holds(with, parts.covered, parts.icv);
  if (authentic) {
    CipherContext& context = context_of(with.cipher, false);
    context.begin(with.sk_e, parts.iv, parts.icv);
    authentic = context.transform(parts.aad, parts.text, plaintext.data());
    context.forget();
  }
  if (!authentic) base::wipe(plaintext.data(), plaintext.size());
  return authentic;
}

}  // namespace esplane::ike
