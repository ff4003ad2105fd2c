// Hashes, message authentication codes and prf+ (RFC 7296 §2.13) of IKE, each in one call, by OpenSSL's
// libcrypto, which Node exports. The ciphers that protect messages are in protection.h, X25519 and X448
// in curves.h.
//
// node:crypto has nearly all of it, at several times the cost; and a key that it has made can hold up
// its thread for ever where garbage is collected while the key is exported as a JWK (Node 20).
//
// A thread keeps one context for each algorithm. Its key is overwritten before a call returns.
#pragma once

#include <cstddef>
#include <cstdint>
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

/// HMAC (RFC 2104) of each digest, AES-XCBC-MAC (RFC 3566), AES-CMAC (RFC 4493).
enum class Mac : uint8_t { kSha1, kSha256, kSha384, kSha512, kXcbc, kCmac };
constexpr size_t kMacs = 6;
constexpr size_t kAesMacBytes = 16;
constexpr bool is_of_aes(Mac mac) { return mac >= Mac::kXcbc; }
constexpr size_t mac_bytes(Mac mac) {
  return is_of_aes(mac) ? kAesMacBytes : digest_bytes(static_cast<Digest>(mac));
}

/// The MAC of the chunks, one after the other.
/// @param key  of AES, 16 octets
/// @param out  mac_bytes(mac)
void mac(Mac mac, Bytes key, std::span<const Bytes> chunks, Room out);

/// The first octets of prf+(key, seed), as many as there is room for, at most 255 times the MAC's.
/// @param seed  chunks, one after the other
void prf_plus(Mac mac, Bytes key, std::span<const Bytes> seed, Room out);

}  // namespace esplane::ike
