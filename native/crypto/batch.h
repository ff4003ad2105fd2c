// A batch of cryptographic operations, one for each packet: what every engine works on.
//
// An engine works on all packets of a batch in one call, so that it can interleave them. What a
// packet's associated data, nonce and text are is the affair of esp/ and ah/; crypto/suite.h says
// how long they are.
#pragma once

#include <cstdint>

namespace esplane::crypto {

/// Up to 64 independent operations, one array per field. `text` is transformed in place.
///
/// With an AEAD, `aad` is the associated data, and the ICV covers it and the ciphertext. In all
/// other suites the ICV covers exactly `aad`, which then holds the text (encrypt-then-MAC, RFC 4303
/// §3.2.3), and ends where the extended sequence number's high half was put, if there is one.
struct Batch {
  static constexpr uint32_t kCapacity = 64;
  /// The longest ICV: HMAC-SHA2-512-256 (RFC 4868).
  static constexpr uint32_t kMostIcvBytes = 32;

  uint32_t size = 0;
  const uint8_t* key[kCapacity];    ///< KeyTable::data(), expanded by the engine that is called
  const uint8_t* nonce[kCapacity];  ///< Suite::nonce_bytes
  const uint8_t* aad[kCapacity];
  uint32_t aad_bytes[kCapacity];
  uint8_t* text[kCapacity];
  uint32_t text_bytes[kCapacity];
  uint8_t* icv[kCapacity];          ///< written last by seal, compared by open
  uint32_t icv_bytes[kCapacity];    ///< Suite::icv_bytes
};

}  // namespace esplane::crypto
