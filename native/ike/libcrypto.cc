#include "ike/libcrypto.h"

#include <openssl/err.h>
#include <openssl/evp.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <stdexcept>

#include "base/bytes.h"
#include "base/freer.h"

namespace esplane::ike {
namespace {

using base::Freer;

using CipherContextPtr = std::unique_ptr<EVP_CIPHER_CTX, Freer<EVP_CIPHER_CTX_free>>;

int length(Bytes bytes) { return static_cast<int>(bytes.size()); }

// --- hashes, HMAC -----------------------------------------------------------------------------

constexpr const char* kDigestNames[kDigests] = {"SHA1", "SHA256", "SHA384", "SHA512"};
constexpr size_t kMostBlockBytes = 128;

/// One hash, again and again in one context: libcrypto's HMAC copies three for each key.
class Hash {
 public:
  explicit Hash(Digest digest)
      : digest_(EVP_MD_fetch(nullptr, kDigestNames[static_cast<size_t>(digest)], nullptr)),
        context_(EVP_MD_CTX_new()) {
    require(digest_ != nullptr && context_ != nullptr);
    require(EVP_DigestInit_ex2(context_.get(), digest_.get(), nullptr) == 1);
  }

  size_t bytes() const { return static_cast<size_t>(EVP_MD_get_size(digest_.get())); }
  size_t block_bytes() const { return static_cast<size_t>(EVP_MD_get_block_size(digest_.get())); }

  void update(Bytes data) { require(EVP_DigestUpdate(context_.get(), data.data(), data.size()) == 1); }
  /// Begins anew with that; nothing of what was hashed is left.
  void finish(uint8_t* out) {
    require(EVP_DigestFinal_ex(context_.get(), out, nullptr) == 1);
    require(EVP_DigestInit_ex2(context_.get(), nullptr, nullptr) == 1);
  }

 private:
  std::unique_ptr<EVP_MD, Freer<EVP_MD_free>> digest_;
  std::unique_ptr<EVP_MD_CTX, Freer<EVP_MD_CTX_free>> context_;
};

Hash& hash_of(Digest digest) {
  thread_local std::unique_ptr<Hash> made[kDigests];
  auto& one = made[static_cast<size_t>(digest)];
  if (one == nullptr) one = std::make_unique<Hash>(digest);
  return *one;
}

/// HMAC under one key, which is overwritten with this: H(K ^ opad, H(K ^ ipad, data)) (RFC 2104 §2).
class Hmac {
 public:
  Hmac(Digest digest, Bytes key) : hash_(hash_of(digest)) {
    if (key.size() > hash_.block_bytes()) {
      hash_.update(key);
      hash_.finish(pad_);
    } else {
      std::copy(key.begin(), key.end(), pad_);
    }
    turn(kInner);
  }
  ~Hmac() { base::wipe(pad_, sizeof pad_); }
  Hmac(const Hmac&) = delete;
  Hmac& operator=(const Hmac&) = delete;

  void begin() { hash_.update({pad_, hash_.block_bytes()}); }
  void update(Bytes data) { hash_.update(data); }
  /// Of what has come since `begin`, with which it may go on.
  void finish(uint8_t* out) {
    hash_.finish(out);
    turn(kInner ^ kOuter);
    begin();
    hash_.update({out, hash_.bytes()});
    hash_.finish(out);
    turn(kInner ^ kOuter);
  }

 private:
  static constexpr uint8_t kInner = 0x36, kOuter = 0x5c;

  void turn(uint8_t mask) {
    for (uint8_t& octet : pad_) octet ^= mask;
  }

  Hash& hash_;
  /// The key, masked for the inner hash but for a moment.
  uint8_t pad_[kMostBlockBytes] = {};
};

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

void require(bool ok) {
  if (ok) return;
  ERR_clear_error();
  throw std::runtime_error("libcrypto failed");
}

void hash(Digest digest, std::span<const Bytes> chunks, Room out) {
  Hash& one = hash_of(digest);
  for (const Bytes chunk : chunks) one.update(chunk);
  one.finish(out.data());
}

void hmac(Digest digest, Bytes key, std::span<const Bytes> chunks, Room out) {
  Hmac one(digest, key);
  one.begin();
  for (const Bytes chunk : chunks) one.update(chunk);
  one.finish(out.data());
}

void prf_plus(Digest digest, Bytes key, Bytes seed, Room out) {
  Hmac one(digest, key);
  const size_t block_bytes = digest_bytes(digest);
  uint8_t block[kMostDigestBytes];
  uint8_t count = 1;
  for (size_t at = 0; at < out.size(); at += block_bytes, count++) {
    one.begin();
    if (at > 0) one.update({block, block_bytes});
    one.update(seed);
    one.update({&count, 1});
    one.finish(block);
    std::memcpy(out.data() + at, block, std::min(block_bytes, out.size() - at));
  }
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
