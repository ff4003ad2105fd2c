// AES-GCM as an ESP transform: nonce and associated data of a packet (RFC 4106).
#pragma once

#include <cstdint>
#include <cstring>

#include "base/bytes.h"
#include "crypto/aead.h"
#include "packet/ip.h"
#include "sad/sa.h"

namespace esplane::esp {

/// Between the ESP header and the text, and behind the text.
inline constexpr uint32_t kGcmHeaderBytes = packet::kEspHeaderBytes + sad::kGcmIvBytes;
inline constexpr uint32_t kGcmIcvBytes = crypto::GcmBatch::kIcvBytes;
/// Ciphertext ends on a 4-byte boundary, whatever the cipher (RFC 4303 §2.4).
inline constexpr uint32_t kAlignment = 4;

/// The jobs of a batch and the bytes that they point at, which are not in the packets.
struct GcmJobs {
  crypto::GcmBatch batch;
  uint8_t nonce[crypto::GcmBatch::kCapacity][12];
  uint8_t aad[crypto::GcmBatch::kCapacity][12];

  /// Adds a packet whose ESP header and IV are in place.
  /// @param esp         its SPI; text and ICV follow behind header and IV
  /// @param text_bytes  inner packet and trailer
  template <typename Sa>
  void add(const Sa& sa, uint64_t sequence, uint8_t* esp, uint32_t text_bytes) {
    const uint32_t j = batch.size++;
    batch.key[j] = &sa.key;
    // Nonce: salt | explicit IV (RFC 4106 §4).
    std::memcpy(nonce[j], sa.salt, sad::kGcmSaltBytes);
    std::memcpy(nonce[j] + sad::kGcmSaltBytes, esp + packet::kEspHeaderBytes, sad::kGcmIvBytes);
    batch.nonce[j] = nonce[j];
    // Associated data: SPI | sequence number, all 64 bits of it with ESN (RFC 4106 §5).
    if (sa.esn) {
      std::memcpy(aad[j], esp, 4);
      base::store_be64(aad[j] + 4, sequence);
      batch.aad[j] = aad[j];
      batch.aad_bytes[j] = 12;
    } else {
      batch.aad[j] = esp;
      batch.aad_bytes[j] = packet::kEspHeaderBytes;
    }
    batch.text[j] = esp + kGcmHeaderBytes;
    batch.text_bytes[j] = text_bytes;
    batch.icv[j] = esp + kGcmHeaderBytes + text_bytes;
  }
};

}  // namespace esplane::esp
