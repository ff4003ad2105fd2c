// MACs that are AES-CBC with a last block of their own: XCBC-MAC (RFC 3566) and CMAC (RFC 4493,
// NIST SP 800-38B). They differ in how three keys come from the one.
#pragma once

#include <cstdint>
#include <span>

namespace esplane::crypto {

struct CbcMacKeys {
  uint8_t key[16];     ///< of AES
  uint8_t whole[16];   ///< added to the last block if it is a whole one
  uint8_t padded[16];  ///< added to the last block if it had to be padded with 1000...
};

/// RFC 3566 §4: encryptions of three constants.
CbcMacKeys xcbc_keys(std::span<const uint8_t> key);
/// RFC 4493 §2.3: the encryption of zero, doubled once and twice in GF(2^128).
CbcMacKeys cmac_keys(std::span<const uint8_t> key);

/// The last block of a message, padded where it is short and with the key for it added.
/// @param tail_bytes  0 to 16; 0 only for the empty message
void make_last_block(const CbcMacKeys& keys, const uint8_t* tail, uint32_t tail_bytes,
                     uint8_t block[16]);

}  // namespace esplane::crypto
