#include "ike/libcrypto.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/params.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <stdexcept>

#include "base/bytes.h"
#include "base/freer.h"

namespace esplane::ike {
namespace {

using base::Freer;

using KeyPtr = std::unique_ptr<EVP_PKEY, Freer<EVP_PKEY_free>>;
using KeyContextPtr = std::unique_ptr<EVP_PKEY_CTX, Freer<EVP_PKEY_CTX_free>>;
using MacContextPtr = std::unique_ptr<EVP_MAC_CTX, Freer<EVP_MAC_CTX_free>>;
using CipherContextPtr = std::unique_ptr<EVP_CIPHER_CTX, Freer<EVP_CIPHER_CTX_free>>;

/// What is refused is our own mistake, or memory is out: peers' values are checked before.
void require(bool ok) {
  if (ok) return;
  ERR_clear_error();
  throw std::runtime_error("libcrypto failed");
}

int length(Bytes bytes) { return static_cast<int>(bytes.size()); }

// --- X25519, X448 -----------------------------------------------------------------------------

int type_of(Curve curve) { return curve == Curve::kX25519 ? EVP_PKEY_X25519 : EVP_PKEY_X448; }

KeyPtr private_key_of(Curve curve, Bytes octets) {
  KeyPtr key(EVP_PKEY_new_raw_private_key(type_of(curve), nullptr, octets.data(), octets.size()));
  require(key != nullptr);
  return key;
}

/// A private key for a derivation alone. Where it comes without its public value, libcrypto works
/// that out, at the cost of a derivation, and does not use it then: so it is given one, whichever.
KeyPtr deriving_key_of(Curve curve, Bytes octets, Bytes any_public) {
  thread_local KeyContextPtr makers[kCurves];
  auto& maker = makers[static_cast<size_t>(curve)];
  if (maker == nullptr) {
    const char* name = curve == Curve::kX25519 ? "X25519" : "X448";
    maker.reset(EVP_PKEY_CTX_new_from_name(nullptr, name, nullptr));
    require(maker != nullptr && EVP_PKEY_fromdata_init(maker.get()) == 1);
  }
  const auto parameter = [](const char* name, Bytes value) {
    return OSSL_PARAM_construct_octet_string(name, const_cast<uint8_t*>(value.data()), value.size());
  };
  OSSL_PARAM parameters[] = {parameter(OSSL_PKEY_PARAM_PRIV_KEY, octets),
                             parameter(OSSL_PKEY_PARAM_PUB_KEY, any_public),
                             OSSL_PARAM_construct_end()};
  EVP_PKEY* key = nullptr;
  require(EVP_PKEY_fromdata(maker.get(), &key, EVP_PKEY_KEYPAIR, parameters) == 1);
  return KeyPtr(key);
}

/// The peer's half for one derivation. Making a key takes libcrypto as long as half of that.
EVP_PKEY* peer_key_of(Curve curve, Bytes octets) {
  thread_local KeyPtr made[kCurves];
  auto& key = made[static_cast<size_t>(curve)];
  if (key == nullptr) {
    key.reset(EVP_PKEY_new_raw_public_key(type_of(curve), nullptr, octets.data(), octets.size()));
    require(key != nullptr);
  } else {
    require(EVP_PKEY_set1_encoded_public_key(key.get(), octets.data(), octets.size()) == 1);
  }
  return key.get();
}

// --- HMAC -------------------------------------------------------------------------------------

constexpr const char* kDigestNames[kDigests] = {"SHA1", "SHA256", "SHA384", "SHA512"};

/// HMAC over one digest. libcrypto keeps what it makes of the key until the next one is set.
class Hmac {
 public:
  explicit Hmac(Digest digest) : bytes_(digest_bytes(digest)) {
    std::unique_ptr<EVP_MAC, Freer<EVP_MAC_free>> mac(EVP_MAC_fetch(nullptr, "HMAC", nullptr));
    require(mac != nullptr);
    context_.reset(EVP_MAC_CTX_new(mac.get()));
    char* name = const_cast<char*>(kDigestNames[static_cast<size_t>(digest)]);
    const OSSL_PARAM parameters[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, name, 0), OSSL_PARAM_construct_end()};
    require(context_ != nullptr && EVP_MAC_CTX_set_params(context_.get(), parameters) == 1);
  }

  void set_key(Bytes key) {
    // Without octets it would go on with the key before; one of zeros is the same (RFC 2104 §2).
    static constexpr uint8_t kNone[1] = {};
    if (key.empty()) key = kNone;
    require(EVP_MAC_init(context_.get(), key.data(), key.size(), nullptr) == 1);
  }
  /// Begins anew with the same key.
  void restart() { require(EVP_MAC_init(context_.get(), nullptr, 0, nullptr) == 1); }
  void update(Bytes data) { require(EVP_MAC_update(context_.get(), data.data(), data.size()) == 1); }
  void finish(uint8_t* out) {
    size_t written = 0;
    require(EVP_MAC_final(context_.get(), out, &written, bytes_) == 1 && written == bytes_);
  }
  void forget() { set_key({}); }

 private:
  size_t bytes_;
  MacContextPtr context_;
};

Hmac& hmac_of(Digest digest) {
  thread_local std::unique_ptr<Hmac> made[kDigests];
  auto& one = made[static_cast<size_t>(digest)];
  if (one == nullptr) one = std::make_unique<Hmac>(digest);
  return *one;
}

// --- AEADs ------------------------------------------------------------------------------------

bool is_ccm(Aead aead) { return aead >= 3 && aead <= 5; }

/// One AEAD in one direction. CCM has its lengths set before the key.
class Cipher {
 public:
  Cipher(Aead aead, bool encrypt) : aead_(aead), encrypt_(encrypt), context_(EVP_CIPHER_CTX_new()) {
    std::unique_ptr<EVP_CIPHER, Freer<EVP_CIPHER_free>> cipher(
        EVP_CIPHER_fetch(nullptr, kAeadNames[aead], nullptr));
    require(cipher != nullptr && context_ != nullptr);
    require(EVP_CipherInit_ex2(context_.get(), cipher.get(), nullptr, nullptr, encrypt, nullptr) == 1);
  }

  /// @param icv  to be checked where this decrypts
  void begin(Bytes sk_e, Bytes explicit_iv, Room icv) {
    EVP_CIPHER_CTX* context = context_.get();
    const size_t key = aead_key_bytes(aead_);
    const size_t salt = aead_salt_bytes(aead_);
    uint8_t nonce[4 + kExplicitIvBytes];
    std::memcpy(nonce, sk_e.data() + key, salt);
    std::memcpy(nonce + salt, explicit_iv.data(), kExplicitIvBytes);
    if (is_ccm(aead_)) {
      const int nonce_bytes = static_cast<int>(salt + kExplicitIvBytes);
      require(EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_IVLEN, nonce_bytes, nullptr) == 1);
    }
    if (is_ccm(aead_)) set_icv(icv);
    require(EVP_CipherInit_ex2(context, nullptr, sk_e.data(), nonce, encrypt_, nullptr) == 1);
    if (!is_ccm(aead_) && !encrypt_) set_icv(icv);
  }

  /// All of it at once; false where the ICV does not hold.
  bool transform(Bytes aad, Bytes in, uint8_t* out) {
    EVP_CIPHER_CTX* context = context_.get();
    int written = 0;
    if (is_ccm(aead_)) require(EVP_CipherUpdate(context, nullptr, &written, nullptr, length(in)) == 1);
    require(EVP_CipherUpdate(context, nullptr, &written, aad.data(), length(aad)) == 1);
    const bool done = EVP_CipherUpdate(context, out, &written, in.data(), length(in)) == 1;
    // CCM has checked the ICV with that.
    if (is_ccm(aead_) && !encrypt_) return done;
    require(done);
    uint8_t nothing[1];
    return EVP_CipherFinal_ex(context, nothing, &written) == 1;
  }

  void icv(Room out) {
    const int bytes = static_cast<int>(out.size());
    require(EVP_CIPHER_CTX_ctrl(context_.get(), EVP_CTRL_AEAD_GET_TAG, bytes, out.data()) == 1);
  }

  void forget() {
    static constexpr uint8_t kZero[32] = {};
    require(EVP_CipherInit_ex2(context_.get(), nullptr, kZero, nullptr, encrypt_, nullptr) == 1);
  }

 private:
  /// Of what is encrypted it is the length that counts.
  void set_icv(Room icv) {
    const int bytes = static_cast<int>(icv.size());
    void* expected = encrypt_ != 0 ? nullptr : icv.data();
    require(EVP_CIPHER_CTX_ctrl(context_.get(), EVP_CTRL_AEAD_SET_TAG, bytes, expected) == 1);
  }

  Aead aead_;
  int encrypt_;
  CipherContextPtr context_;
};

Cipher& cipher_of(Aead aead, bool encrypt) {
  thread_local std::unique_ptr<Cipher> made[kAeads][2];
  auto& one = made[aead][encrypt ? 1 : 0];
  if (one == nullptr) one = std::make_unique<Cipher>(aead, encrypt);
  return *one;
}

}  // namespace

void public_value(Curve curve, Bytes private_key, Room out) {
  const KeyPtr key = private_key_of(curve, private_key);
  size_t bytes = out.size();
  require(EVP_PKEY_get_raw_public_key(key.get(), out.data(), &bytes) == 1);
}

bool shared_secret(Curve curve, Bytes private_key, Bytes peer_public, Room out) {
  const KeyPtr own = deriving_key_of(curve, private_key, peer_public);
  const KeyContextPtr context(EVP_PKEY_CTX_new_from_pkey(nullptr, own.get(), nullptr));
  require(context != nullptr && EVP_PKEY_derive_init(context.get()) == 1);
  // Any octets are a public value (RFC 7748 §5): there is nothing to validate.
  constexpr int kValidate = 0;
  EVP_PKEY* peer = peer_key_of(curve, peer_public);
  require(EVP_PKEY_derive_set_peer_ex(context.get(), peer, kValidate) == 1);
  uint8_t secret[key_bytes(Curve::kX448)];
  size_t bytes = sizeof secret;
  const bool derived = EVP_PKEY_derive(context.get(), secret, &bytes) == 1;
  if (!derived) ERR_clear_error();
  // OpenSSL refuses an all-zero result too; that is not relied upon.
  uint8_t any = 0;
  for (size_t i = 0; derived && i < bytes; i++) any = static_cast<uint8_t>(any | secret[i]);
  if (any != 0) std::memcpy(out.data(), secret, out.size());
  base::wipe(secret, sizeof secret);
  return any != 0;
}

void hmac(Digest digest, Bytes key, std::span<const Bytes> chunks, Room out) {
  Hmac& one = hmac_of(digest);
  one.set_key(key);
  for (const Bytes chunk : chunks) one.update(chunk);
  one.finish(out.data());
  one.forget();
}

void prf_plus(Digest digest, Bytes key, Bytes seed, Room out) {
  Hmac& one = hmac_of(digest);
  const size_t block_bytes = digest_bytes(digest);
  uint8_t block[kMostDigestBytes];
  uint8_t count = 1;
  one.set_key(key);
  for (size_t at = 0; at < out.size(); at += block_bytes, count++) {
    if (at > 0) {
      one.restart();
      one.update({block, block_bytes});
    }
    one.update(seed);
    one.update({&count, 1});
    one.finish(block);
    std::memcpy(out.data() + at, block, std::min(block_bytes, out.size() - at));
  }
  one.forget();
  base::wipe(block, sizeof block);
}

size_t aead_key_bytes(Aead aead) {
  constexpr size_t kBytes[kAeads] = {16, 24, 32, 16, 24, 32, 32};
  return kBytes[aead];
}

void seal(Aead aead, Bytes sk_e, Bytes aad, Bytes plaintext, Room body) {
  Cipher& cipher = cipher_of(aead, true);
  const Room icv = body.subspan(kExplicitIvBytes + plaintext.size());
  cipher.begin(sk_e, body.first(kExplicitIvBytes), icv);
  require(cipher.transform(aad, plaintext, body.data() + kExplicitIvBytes));
  cipher.icv(icv);
  cipher.forget();
}

bool open(Aead aead, Bytes sk_e, Bytes aad, Bytes body, Room plaintext) {
  Cipher& cipher = cipher_of(aead, false);
  const Bytes ciphertext = body.subspan(kExplicitIvBytes, plaintext.size());
  uint8_t icv[kMostIcvBytes];
  const size_t icv_bytes = body.size() - kExplicitIvBytes - plaintext.size();
  std::memcpy(icv, body.data() + kExplicitIvBytes + plaintext.size(), icv_bytes);
  cipher.begin(sk_e, body.first(kExplicitIvBytes), {icv, icv_bytes});
  const bool authentic = cipher.transform(aad, ciphertext, plaintext.data());
  cipher.forget();
  if (!authentic) base::wipe(plaintext.data(), plaintext.size());
  return authentic;
}

}  // namespace esplane::ike
