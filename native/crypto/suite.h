// Suites: which algorithms protect the packets of an SA together, and what they need of a packet.
//
// Each is one row of a table, by the numbers that IKE negotiates (RFC 7296 §3.3.2): an AEAD alone,
// or a cipher with an integrity algorithm; AH has the integrity algorithm alone (encryption 0).
// Left out, because nobody should use them any more (RFC 8221): DES, 3DES, Blowfish, CAST and
// HMAC-MD5. NULL encryption without integrity does not exist (RFC 4303 §3.2).
//
// What esp/ and ah/ put into a crypto::Batch:
//
//   Form    nonce                     aad                                  text
//   kAead   salt | IV                 SPI | sequence number (64 bits of    inner packet and trailer
//                                     it with ESN): 8 or 12 bytes
//   kGmac   salt | IV                 SPI | sequence number (64 bits with  none
//                                     ESN) | IV | payload (RFC 4543 §3.3),
//                                     made one piece; with AH the whole
//                                     packet, the IV in the ICV field
//                                     (§4.2) included
//   kMac    by `nonce_form`           SPI .. end of ciphertext, and behind inside `aad`; empty with
//                                     it the sequence number's high 32     AH; with NULL it may be
//                                     bits with ESN (RFC 4303 §2.2.1),     either
//                                     which the ICV takes the place of:
//                                     seal() writes it last, for open()
//                                     it has to lie elsewhere
#pragma once

#include <cstdint>
#include <span>

namespace esplane::crypto {

/// IANA transform IDs, type 1 (encryption) and type 3 (integrity).
enum Transform : uint16_t {
  kNone = 0,

  kEncrNull = 11,
  kEncrAesCbc = 12,
  kEncrAesCtr = 13,
  kEncrAesCcm8 = 14,
  kEncrAesCcm12 = 15,
  kEncrAesCcm16 = 16,
  kEncrAesGcm8 = 18,
  kEncrAesGcm12 = 19,
  kEncrAesGcm16 = 20,
  kEncrNullAuthAesGmac = 21,
  kEncrChaCha20Poly1305 = 28,
  kEncrAesCcm8Iiv = 29,
  kEncrAesGcm16Iiv = 30,
  kEncrChaCha20Poly1305Iiv = 31,

  kAuthHmacSha1_96 = 2,
  kAuthAesXcbc96 = 5,
  kAuthAesCmac96 = 8,
  kAuthAes128Gmac = 9,
  kAuthAes192Gmac = 10,
  kAuthAes256Gmac = 11,
  kAuthHmacSha2_256_128 = 12,
  kAuthHmacSha2_384_192 = 13,
  kAuthHmacSha2_512_256 = 14,
};

enum class Form : uint8_t {
  kAead,   ///< SPI and sequence number are associated data, the text is encrypted
  kGmac,   ///< an AEAD of which everything is associated data (RFC 4543)
  kMac,    ///< a cipher, or none, and a MAC over everything (RFC 4303 §3.2.3)
};

/// What encrypts, whatever the length of ICV and key and wherever the IV comes from.
enum class Cipher : uint8_t {
  kNull,              ///< RFC 2410; also AH's
  kAesCbc,            ///< RFC 3602
  kAesCtr,            ///< RFC 3686
  kAesGcm,            ///< RFC 4106, and GMAC of RFC 4543
  kAesCcm,            ///< RFC 4309
  kChaCha20Poly1305,  ///< RFC 7634
};

/// How Batch::nonce is made.
enum class NonceForm : uint8_t {
  kNothing,       ///< there is none
  kSaltAndIv,     ///< salt | IV of 8 bytes
  kIv,            ///< the explicit IV of 16 bytes, unpredictable (crypto/iv.h)
  kCounterBlock,  ///< salt | IV of 8 bytes | 00000001 (RFC 3686 §4)
};

struct Suite {
  uint16_t encryption;          ///< IANA transform ID, 0: none (AH)
  uint16_t key_bits;            ///< of the cipher, without the salt; 0 where there is no cipher
  uint16_t integrity;           ///< IANA transform ID, 0 with an AEAD
  const char* name;             ///< for people: "AES-GCM-16-128", "AES-CBC-256/HMAC-SHA2-256-128"
  Form form;
  Cipher cipher;
  NonceForm nonce_form;
  uint8_t encryption_key_bytes; ///< AH's GMAC has its key here too: the salt follows it
  uint8_t salt_bytes;           ///< behind the encryption key in the keying material
  uint8_t integrity_key_bytes;  ///< behind both (RFC 7296 §2.17)
  uint8_t iv_bytes;             ///< explicit, on the wire; AH's GMAC: before the ICV, in its field
  uint8_t nonce_bytes;          ///< Batch::nonce
  uint8_t block_bytes;          ///< the text is a multiple of it, at least 4 (RFC 4303 §2.4)
  uint8_t icv_bytes;            ///< without the IV of AH's GMAC

  uint32_t keymat_bytes() const {
    return uint32_t{encryption_key_bytes} + salt_bytes + integrity_key_bytes;
  }
  /// The IV is the sequence number, 64 bits with ESN and zero-extended without, and not on the wire
  /// (RFC 8750).
  bool implicit_iv() const { return nonce_form != NonceForm::kNothing && iv_bytes == 0; }
};

/// Every suite there is, in order of encryption, key bits and integrity.
std::span<const Suite> suites();

/// Null where there is no such suite.
/// @param key_bits  0 stands for the only size of an algorithm that has but one, for which IKE has
///                  no Key Length attribute (RFC 7296 §3.3.5; RFC 7634 §4)
const Suite* find_suite(uint16_t encryption, uint16_t key_bits, uint16_t integrity);

}  // namespace esplane::crypto
