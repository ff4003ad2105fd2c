// Ciphers and MACs by themselves, from which the suites of Form::kMac are put together: whatever
// encrypts fastest with whatever authenticates fastest.
//
// A part keeps its expanded key within the table of its composite, at the same offset for all keys
// of a batch. A batch has keys of all sizes that the part serves. Parts hold no state of a packet
// between calls, neither allocate (but in a thread's first call) nor throw, and may be called by
// several threads at once.
#pragma once

#include <cstdint>
#include <span>

#include "crypto/batch.h"
#include "crypto/suite.h"

namespace esplane::crypto {

struct CipherPart {
  const char* name;
  uint32_t table_bytes;

  /// Fills a table of `table_bytes`, aligned to 16 bytes.
  void (*expand)(uint8_t* table, std::span<const uint8_t> key);
  /// Transforms every text in place, with the keys at batch.key[i] + offset.
  void (*encrypt)(const Batch& batch, uint32_t offset);
  void (*decrypt)(const Batch& batch, uint32_t offset);
};

/// The ICVs that were computed, of which the first Batch::icv_bytes[i] bytes matter.
struct alignas(16) Icvs {
  uint8_t of[Batch::kCapacity][Batch::kMostIcvBytes];
};

struct MacPart {
  const char* name;
  uint32_t table_bytes;

  void (*expand)(uint8_t* table, std::span<const uint8_t> key);
  /// The MAC over every batch.aad[i], of which none is empty: there is an SPI at least.
  void (*sign)(const Batch& batch, uint32_t offset, Icvs& out);
};

/// The MACs of one library, by the integrity algorithm that they compute.
struct MacParts {
  const MacPart *hmac_sha1, *hmac_sha256, *hmac_sha384, *hmac_sha512, *xcbc, *cmac;

  /// @returns null where the algorithm is none of these
  const MacPart* of(uint16_t integrity) const {
    switch (integrity) {
      case kAuthHmacSha1_96:
        return hmac_sha1;
      case kAuthHmacSha2_256_128:
        return hmac_sha256;
      case kAuthHmacSha2_384_192:
        return hmac_sha384;
      case kAuthHmacSha2_512_256:
        return hmac_sha512;
      case kAuthAesXcbc96:
        return xcbc;
      case kAuthAesCmac96:
        return cmac;
      default:
        return nullptr;
    }
  }
};

}  // namespace esplane::crypto
