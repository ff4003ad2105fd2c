// What protects IKE messages (RFC 7296 §3.14), each in one call of OpenSSL's libcrypto: AEADs (RFC 5282,
// RFC 7634), or AES-CBC and AES-CTR (RFC 3602, RFC 5930) with a MAC over all before it.
//
// A thread keeps one context for each cipher. Its key is overwritten before a call returns.
#pragma once

#include <cstddef>
#include <cstdint>
#include <iterator>

#include "ike/libcrypto.h"

namespace esplane::ike {

/// Those of kCipherNames.
using Cipher = uint8_t;
constexpr const char* kCipherNames[] = {
    "aes-128-gcm", "aes-192-gcm", "aes-256-gcm", "aes-128-ccm", "aes-192-ccm",
    "aes-256-ccm", "chacha20-poly1305", "aes-128-cbc", "aes-192-cbc", "aes-256-cbc",
    "aes-128-ctr", "aes-192-ctr", "aes-256-ctr"};
constexpr size_t kCiphers = std::size(kCipherNames);

constexpr bool is_ccm(Cipher cipher) { return cipher >= 3 && cipher <= 5; }
constexpr bool is_aead(Cipher cipher) { return cipher <= 6; }
constexpr bool is_cbc(Cipher cipher) { return cipher >= 7 && cipher <= 9; }

/// Octets of the key itself, and of the salt that follows it in SK_e and begins the nonce.
size_t cipher_key_bytes(Cipher cipher);
constexpr size_t cipher_salt_bytes(Cipher cipher) {
  if (is_cbc(cipher)) return 0;
  return is_ccm(cipher) ? 3 : 4;
}
/// Of the IV that a message carries.
constexpr size_t cipher_iv_bytes(Cipher cipher) { return is_cbc(cipher) ? 16 : 8; }
constexpr size_t cipher_block_bytes(Cipher cipher) { return is_cbc(cipher) ? 16 : 1; }
constexpr size_t kMostIcvBytes = 32;
/// Of an AEAD.
constexpr size_t kMostTagBytes = 16;

/// How the messages of one direction are protected.
struct Protection {
  Cipher cipher;
  /// Not with an AEAD, no more is SK_a.
  Mac mac;
  /// Key and salt.
  Bytes sk_e;
  Bytes sk_a;
  size_t icv_bytes;
};

/// Encrypts and authenticates a message where it is.
/// @param message  from the IKE header on; ends with room for the ICV
/// @param body_at  where its IV is, and the padded plaintext after it
void seal(const Protection& with, Room message, size_t body_at);

/// Decrypts what is between IV and ICV; false, and zeros, where the ICV does not hold.
/// @param plaintext  as long as the ciphertext
bool open(const Protection& with, Bytes message, size_t body_at, Room plaintext);

}  // namespace esplane::ike
