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

// --- MACs of AES ------------------------------------------------------------------------------

constexpr size_t kBlockBytes = 16;

/// AES-128 of single blocks.
class BlockCipher {
 public:
  BlockCipher() : context_(EVP_CIPHER_CTX_new()) {
    std::unique_ptr<EVP_CIPHER, Freer<EVP_CIPHER_free>> cipher(
        EVP_CIPHER_fetch(nullptr, "aes-128-ecb", nullptr));
    require(cipher != nullptr && context_ != nullptr);
    require(EVP_EncryptInit_ex2(context_.get(), cipher.get(), nullptr, nullptr, nullptr) == 1);
  }

  void use(const uint8_t* key) {
    require(EVP_EncryptInit_ex2(context_.get(), nullptr, key, nullptr, nullptr) == 1);
  }
  void encrypt(uint8_t* block) {
    int written = 0;
    require(EVP_EncryptUpdate(context_.get(), block, &written, block, kBlockBytes) == 1);
  }
  void forget() {
    static constexpr uint8_t kZero[kBlockBytes] = {};
    use(kZero);
  }

 private:
  std::unique_ptr<EVP_CIPHER_CTX, Freer<EVP_CIPHER_CTX_free>> context_;
};

BlockCipher& block_cipher() {
  thread_local BlockCipher made;
  return made;
}

/// In GF(2^128), most significant bit first (RFC 4493 §2.3); without a branch on what is secret.
void double_block(uint8_t* block) {
  const auto carry = static_cast<uint8_t>(0x87 & -(block[0] >> 7));
  for (size_t i = 0; i + 1 < kBlockBytes; i++) {
    block[i] = static_cast<uint8_t>(block[i] << 1 | block[i + 1] >> 7);
  }
  block[kBlockBytes - 1] = static_cast<uint8_t>(block[kBlockBytes - 1] << 1 ^ carry);
}

/// CBC with a zero IV, of which the last block counts; it is masked by whether it is whole.
class AesMac {
 public:
  AesMac(Mac mac, Bytes key) : aes_(block_cipher()) {
    require(key.size() == kBlockBytes);
    aes_.use(key.data());
    if (mac == Mac::kXcbc) {
      derive_xcbc();
    } else {
      derive_cmac();
    }
  }
  ~AesMac() {
    aes_.forget();
    base::wipe(whole_, sizeof whole_);
    base::wipe(padded_, sizeof padded_);
    base::wipe(state_, sizeof state_);
  }
  AesMac(const AesMac&) = delete;
  AesMac& operator=(const AesMac&) = delete;

  void begin() {
    std::memset(state_, 0, sizeof state_);
    held_ = 0;
  }
  void update(Bytes data) {
    for (const uint8_t octet : data) {
      if (held_ == kBlockBytes) {
        aes_.encrypt(state_);
        held_ = 0;
      }
      state_[held_++] ^= octet;
    }
  }
  void finish(uint8_t* out) {
    const uint8_t* mask = held_ == kBlockBytes ? whole_ : padded_;
    if (held_ < kBlockBytes) state_[held_] ^= 0x80;
    for (size_t i = 0; i < kBlockBytes; i++) state_[i] ^= mask[i];
    aes_.encrypt(state_);
    std::memcpy(out, state_, kBlockBytes);
  }

 private:
  /// RFC 3566 §4: three keys from one, the first for the blocks.
  void derive_xcbc() {
    uint8_t key[kBlockBytes];
    std::memset(key, 1, kBlockBytes);
    std::memset(whole_, 2, kBlockBytes);
    std::memset(padded_, 3, kBlockBytes);
    for (uint8_t* block : {key, whole_, padded_}) aes_.encrypt(block);
    aes_.use(key);
    base::wipe(key, sizeof key);
  }
  /// RFC 4493 §2.3: the encrypted zero block, doubled once and twice.
  void derive_cmac() {
    aes_.encrypt(whole_);
    double_block(whole_);
    std::memcpy(padded_, whole_, kBlockBytes);
    double_block(padded_);
  }

  BlockCipher& aes_;
  uint8_t whole_[kBlockBytes] = {};
  uint8_t padded_[kBlockBytes] = {};
  uint8_t state_[kBlockBytes] = {};
  /// Octets of the block that `state_` has taken.
  size_t held_ = 0;
};

// --- either -----------------------------------------------------------------------------------

/// Calls `work` with the MAC under this key.
template <typename Work>
void with_mac(Mac mac, Bytes key, Work work) {
  if (is_of_aes(mac)) {
    AesMac one(mac, key);
    work(one);
  } else {
    Hmac one(static_cast<Digest>(mac), key);
    work(one);
  }
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

void mac(Mac mac, Bytes key, std::span<const Bytes> chunks, Room out) {
  with_mac(mac, key, [&](auto& one) {
    one.begin();
    for (const Bytes chunk : chunks) one.update(chunk);
    one.finish(out.data());
  });
}

void prf_plus(Mac mac, Bytes key, std::span<const Bytes> seed, Room out) {
  with_mac(mac, key, [&](auto& one) {
    const size_t block_bytes = mac_bytes(mac);
    uint8_t block[kMostDigestBytes];
    uint8_t count = 1;
    for (size_t at = 0; at < out.size(); at += block_bytes, count++) {
      one.begin();
      if (at > 0) one.update({block, block_bytes});
      for (const Bytes chunk : seed) one.update(chunk);
      one.update({&count, 1});
      one.finish(block);
      std::memcpy(out.data() + at, block, std::min(block_bytes, out.size() - at));
    }
    base::wipe(block, sizeof block);
  });
}

}  // namespace esplane::ike
