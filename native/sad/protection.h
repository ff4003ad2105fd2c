// What the cryptographic job of a packet needs of its SA: 40 bytes of its first cache line, copied
// from the suite when the SA is made, so that the packet path does not read the suite.
#pragma once

#include <cstdint>
#include <cstring>
#include <span>

#include "base/bytes.h"
#include "crypto/engine.h"

namespace esplane::sad {

inline constexpr uint32_t kMostSaltBytes = 4;

struct Protection {
  const crypto::Engine* engine;
  crypto::KeyTable key;
  uint8_t salt[kMostSaltBytes] = {};
  uint8_t salt_bytes;
  crypto::Form form;
  crypto::NonceForm nonce_form;
  bool esn;
  uint8_t iv_bytes;     ///< behind the ESP header; with AH before the ICV, in its field
  uint8_t block_bytes;  ///< a power of two
  uint8_t icv_bytes;
  bool encrypts;        ///< false: AH, NULL and GMAC

  /// @param keymat  encryption key | salt | integrity key (RFC 7296 §2.17)
  Protection(const crypto::Suite& suite, const crypto::Engine& by,
             std::span<const uint8_t> keymat, bool extended)
      : engine(&by),
        key(*engine, suite,
            {keymat.first(suite.encryption_key_bytes), keymat.last(suite.integrity_key_bytes)}),
        salt_bytes(suite.salt_bytes),
        form(suite.form),
        nonce_form(suite.nonce_form),
        esn(extended),
        iv_bytes(suite.iv_bytes),
        block_bytes(suite.block_bytes),
        icv_bytes(suite.icv_bytes),
        encrypts(suite.cipher != crypto::Cipher::kNull && suite.form != crypto::Form::kGmac) {
    std::memcpy(salt, keymat.data() + suite.encryption_key_bytes, suite.salt_bytes);
  }
  /// Fetches into the cache what of the key a text of so many bytes needs.
  void prefetch_key(uint32_t text_bytes) const { key.prefetch(*engine, text_bytes); }

  ~Protection() { base::wipe(salt, sizeof salt); }
  Protection(const Protection&) = delete;
  Protection& operator=(const Protection&) = delete;
};
static_assert(sizeof(Protection) == 40);

}  // namespace esplane::sad
