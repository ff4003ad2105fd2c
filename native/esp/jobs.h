// The cryptographic jobs of a batch: nonce, associated data, text and ICV of each packet
// (RFC 4106 §4, §5 for AEADs).
#pragma once

#include <cstdint>
#include <cstring>

#include "base/bytes.h"
#include "crypto/engine.h"
#include "packet/ip.h"
#include "sad/sa.h"

namespace esplane::esp {

/// Between the SPI and the text.
inline uint32_t header_bytes(const crypto::Suite& suite) {
  return packet::kEspHeaderBytes + suite.iv_bytes;
}

/// The jobs of a batch and the bytes that they point at, which are not in the packets.
struct Jobs {
  crypto::Batch batch;
  const crypto::Engine* engine[crypto::Batch::kCapacity];
  uint8_t nonce[crypto::Batch::kCapacity][16];
  uint8_t aad[crypto::Batch::kCapacity][12];

  /// Adds a packet whose ESP header and IV are in place.
  /// @param esp         its SPI; text and ICV follow behind header and IV
  /// @param text_bytes  inner packet and trailer
  template <typename Sa>
  void add(const Sa& sa, uint64_t sequence, uint8_t* esp, uint32_t text_bytes) {
    const crypto::Suite& suite = *sa.suite;
    const uint32_t j = batch.size++;
    engine[j] = sa.engine;
    batch.key[j] = sa.key.data();
    // Nonce: salt | explicit IV (RFC 4106 §4).
    std::memcpy(nonce[j], sa.salt, 4);
    std::memcpy(nonce[j] + 4, esp + packet::kEspHeaderBytes, 8);
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
    batch.text[j] = esp + header_bytes(suite);
    batch.text_bytes[j] = text_bytes;
    batch.icv[j] = batch.text[j] + text_bytes;
    batch.icv_bytes[j] = suite.icv_bytes;
  }

  /// One call for each engine of the batch: nearly always one.
  void seal() const;
  /// @return a bit per job: its ICV holds
  uint64_t open() const;
};

}  // namespace esplane::esp
