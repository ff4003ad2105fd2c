// Suites: which algorithms protect the packets of an SA together, and what they need of a packet.
//
// Each is one row of a table, by the numbers that IKE negotiates (RFC 7296 §3.3.2): an AEAD alone,
// or a cipher with an integrity algorithm.
#pragma once

#include <cstdint>
#include <span>

namespace esplane::crypto {

/// IANA transform IDs, type 1 (encryption) and type 3 (integrity).
enum Transform : uint16_t {
  kNone = 0,
  kEncrAesGcm16 = 20,
};

enum class Form : uint8_t {
  kAead,   ///< SPI and sequence number are associated data, the text is encrypted
  kGmac,   ///< an AEAD of which everything is associated data (RFC 4543)
  kMac,    ///< a cipher, or none, and a MAC over everything (RFC 4303 §3.2.3)
};

struct Suite {
  uint16_t encryption;          ///< IANA transform ID, 0: none (AH)
  uint16_t key_bits;            ///< of the cipher, without the salt; 0 where there is no cipher
  uint16_t integrity;           ///< IANA transform ID, 0 with an AEAD
  const char* name;             ///< for people: "AES-GCM-16-128"
  Form form;
  uint8_t encryption_key_bytes;
  uint8_t salt_bytes;           ///< behind the encryption key in the keying material
  uint8_t integrity_key_bytes;  ///< behind both (RFC 7296 §2.17)
  uint8_t iv_bytes;             ///< explicit, on the wire
  uint8_t nonce_bytes;          ///< Batch::nonce
  uint8_t block_bytes;          ///< the text is a multiple of it, at least 4 (RFC 4303 §2.4)
  uint8_t icv_bytes;

  uint32_t keymat_bytes() const {
    return uint32_t{encryption_key_bytes} + salt_bytes + integrity_key_bytes;
  }
};

/// Every suite there is.
std::span<const Suite> suites();

/// Null where there is no such suite.
const Suite* find_suite(uint16_t encryption, uint16_t key_bits, uint16_t integrity);

}  // namespace esplane::crypto
