// The cryptographic jobs of a batch: nonce, associated data, text and ICV of each packet, as
// crypto/suite.h asks for them.
#pragma once

#include <cstdint>
#include <cstring>

#include "base/bytes.h"
#include "crypto/engine.h"
#include "packet/ip.h"
#include "sad/protection.h"

namespace esplane::esp {

/// Between the SPI and the text.
inline uint32_t header_bytes(const sad::Protection& protection) {
  return packet::kEspHeaderBytes + protection.iv_bytes;
}

/// Bytes before the text that integrity is computed over as they do not stand on the wire: kept
/// while the engine is at work, and put back behind it.
class Masks {
 public:
  /// The longest chain of headers before AH that we take up.
  static constexpr uint32_t kMostBytes = 256;

  void clear() { size_ = 0; }
  /// Remembers what will be changed. Once for each job at most.
  void keep(uint8_t* at, uint32_t bytes) {
    at_[size_] = at;
    bytes_[size_] = static_cast<uint16_t>(bytes);
    std::memcpy(kept_[size_], at, bytes);
    size_++;
  }
  /// Takes the last one back.
  void give_back() {
    size_--;
    std::memcpy(at_[size_], kept_[size_], bytes_[size_]);
  }
  void put_back() const {
    for (uint32_t i = 0; i < size_; i++) std::memcpy(at_[i], kept_[i], bytes_[i]);
  }

 private:
  uint32_t size_ = 0;
  uint8_t* at_[crypto::Batch::kCapacity];
  uint16_t bytes_[crypto::Batch::kCapacity];
  uint8_t kept_[crypto::Batch::kCapacity][kMostBytes];
};

enum class Direction : uint8_t { kSeal, kOpen };

/// The jobs of a batch and the bytes that they point at, which are not in the packets.
struct Jobs {
  crypto::Batch batch;
  const crypto::Engine* engine[crypto::Batch::kCapacity];
  bool one_engine = true;  ///< for all of them
  uint8_t nonce[crypto::Batch::kCapacity][16];
  /// AEADs with ESN: the associated data. MACs with ESN, when opening: the ICV received.
  uint8_t aside[crypto::Batch::kCapacity][crypto::Batch::kMostIcvBytes];
  Masks masks;

  void clear() {
    batch.size = 0;
    one_engine = true;
    masks.clear();
  }

  /// Adds a packet whose ESP header and IV are in place.
  /// @param esp         its SPI, with four bytes before it; text and ICV follow header and IV
  /// @param text_bytes  payload and trailer
  void add(const sad::Protection& protection, uint64_t sequence, uint8_t* esp,
           uint32_t text_bytes, Direction direction) {
    const uint32_t j = add_common(protection, esp + header_bytes(protection), text_bytes);
    if (protection.form != crypto::Form::kAead) [[unlikely]] {
      return fill_other(j, protection, sequence, esp, direction);
    }
    // Nonce: salt | IV (RFC 4106 §4, RFC 4309 §4, RFC 7634 §2). The salt is 3 or 4 bytes long.
    std::memcpy(nonce[j], protection.salt, sizeof protection.salt);
    uint8_t* iv = nonce[j] + protection.salt_bytes;
    if (protection.iv_bytes != 0) [[likely]] {
      std::memcpy(iv, esp + packet::kEspHeaderBytes, 8);
    } else {
      base::store_be64(iv, sequence);  // RFC 8750 §4
    }
    batch.nonce[j] = nonce[j];
    // Associated data: SPI | sequence number, all 64 bits of it with ESN (RFC 4106 §5).
    if (protection.esn) {
      std::memcpy(aside[j], esp, 4);
      base::store_be64(aside[j] + 4, sequence);
      batch.aad[j] = aside[j];
      batch.aad_bytes[j] = 12;
    } else {
      batch.aad[j] = esp;
      batch.aad_bytes[j] = packet::kEspHeaderBytes;
    }
  }

  /// Adds a packet whose whole length is authenticated, headers included: AH (RFC 4302 §3.3.3).
  /// What is mutable in its headers has been masked, the ICV's field is zero; with ESN its high
  /// half is added behind the end, where four bytes are free.
  /// @param icv  the IV of GMAC stands before it; opening, the ICV received is in `aside`
  void add_ah(const sad::Protection& protection, uint64_t sequence, uint8_t* packet,
              uint32_t packet_bytes, uint8_t* icv, Direction direction);

  /// Encrypts and writes ICVs. One call for each engine of the batch: nearly always one.
  void seal() const;
  /// @return a bit per job: its ICV holds
  uint64_t open() const;

 private:
  uint32_t add_common(const sad::Protection& protection, uint8_t* text, uint32_t text_bytes) {
    const uint32_t j = batch.size++;
    engine[j] = protection.engine;
    one_engine &= protection.engine == engine[0];
    batch.key[j] = protection.key.data();
    batch.text[j] = text;
    batch.text_bytes[j] = text_bytes;
    batch.icv[j] = text + text_bytes;
    batch.icv_bytes[j] = protection.icv_bytes;
    return j;
  }

  void fill_other(uint32_t j, const sad::Protection& protection, uint64_t sequence, uint8_t* esp,
                  Direction direction);
  void fill_nonce(uint32_t j, const sad::Protection& protection, const uint8_t* iv);
  void fill_gmac(uint32_t j, const sad::Protection& protection, uint64_t sequence, uint8_t* esp);
  void fill_mac(uint32_t j, const sad::Protection& protection, uint64_t sequence, uint8_t* esp,
                Direction direction);
};

}  // namespace esplane::esp
