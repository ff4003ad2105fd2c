// What protects IKE itself, each in one call of OpenSSL's libcrypto, which Node exports: hashes, HMAC
// (RFC 2104) and prf+ over it (RFC 7296 §2.13), AEADs (RFC 5282, RFC 7634). X25519 and X448 are in
// curves.h.
//
// node:crypto has all of it, at several times the cost; and a key that it has made can hold up its
// thread for ever where garbage is collected while the key is exported as a JWK (Node 20).
//
// A thread keeps one context for each algorithm. Its key is overwritten before a call returns.
#pragma once

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <span>

namespace esplane::ike {

using Bytes = std::span<const uint8_t>;
using Room = std::span<uint8_t>;

/// Throws what is our own mistake, or memory that is out: peers' values are checked before.
void require(bool ok);

enum class Digest : uint8_t { kSha1, kSha256, kSha384, kSha512 };
constexpr size_t kDigests = 4;
constexpr size_t kMostDigestBytes = 64;
constexpr size_t digest_bytes(Digest digest) {
  constexpr size_t kBytes[kDigests] = {20, 32, 48, 64};
  return kBytes[static_cast<size_t>(digest)];
}

/// The hash of the chunks, one after the other.
/// @param out  digest_bytes(digest)
void hash(Digest digest, std::span<const Bytes> chunks, Room out);

/// HMAC of the chunks, one after the other.
/// @param out  digest_bytes(digest)
void hmac(Digest digest, Bytes key, std::span<const Bytes> chunks, Room out);

/// The first octets of prf+(key, seed), as many as there is room for, at most 255 times the digest's.
void prf_plus(Digest digest, Bytes key, Bytes seed, Room out);

/// Those of kAeadNames.
using Aead = uint8_t;
constexpr const char* kAeadNames[] = {"aes-128-gcm", "aes-192-gcm", "aes-256-gcm",
                                      "aes-128-ccm", "aes-192-ccm", "aes-256-ccm",
                                      "chacha20-poly1305"};
constexpr size_t kAeads = std::size(kAeadNames);
/// Octets of the key itself, and of the salt that follows it in SK_e; an explicit IV of 8 completes
/// the nonce.
size_t aead_key_bytes(Aead aead);
constexpr size_t aead_salt_bytes(Aead aead) { return aead >= 3 && aead <= 5 ? 3 : 4; }
constexpr size_t kExplicitIvBytes = 8;
constexpr size_t kMostIcvBytes = 16;

/// Encrypts `plaintext` into `body`, which is explicit IV | ciphertext | ICV and holds the IV.
/// @param sk_e  key and salt
void seal(Aead aead, Bytes sk_e, Bytes aad, Bytes plaintext, Room body);

/// Decrypts `body` into `plaintext`; false, and zeros, where the ICV does not hold.
/// @param plaintext  as long as the ciphertext
bool open(Aead aead, Bytes sk_e, Bytes aad, Bytes body, Room plaintext);

}  // namespace esplane::ike
