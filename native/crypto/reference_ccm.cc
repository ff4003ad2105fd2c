// AES-CCM (RFC 3610) with the parameters of ESP (RFC 4309): nonces of 11 bytes, so that the length
// field has four, and ICVs of 8, 12 or 16.
#include <algorithm>
#include <new>

#include "base/bytes.h"
#include "crypto/reference.h"
#include "crypto/reference_aes.h"

namespace esplane::crypto {
namespace {

constexpr uint32_t kNonceBytes = 11;
constexpr uint8_t kLengthField = 15 - kNonceBytes;  // L of RFC 3610 §2
/// Associated data that is longer has another encoding (§2.2), which ESP never needs.
constexpr uint32_t kMostAadBytes = 0xfeff;

const AesKey& aes_key(const uint8_t* table) {
  return *std::launder(reinterpret_cast<const AesKey*>(table));
}

/// CBC-MAC with blocks that are filled by and by and padded with zeros.
class CbcMac {
 public:
  CbcMac(const AesKey& key, const uint8_t first[16])
      : key_(key), state_(encrypt_block(key, load(first))) {}

  void update(const uint8_t* data, uint32_t bytes) {
    for (uint32_t i = 0; i < bytes; i++) {
      block_[filled_++] = data[i];
      if (filled_ == 16) pad();
    }
  }
  /// Ends the block under way, if there is one.
  void pad() {
    if (filled_ == 0) return;
    state_ = encrypt_block(key_, state_ ^ load(block_));
    std::memset(block_, 0, sizeof block_);
    filled_ = 0;
  }
  Bytes16 state() const { return state_; }

 private:
  const AesKey& key_;
  Bytes16 state_;
  uint8_t block_[16] = {};
  uint32_t filled_ = 0;
};

/// A_counter of RFC 3610 §2.3.
Bytes16 key_stream(const Batch& batch, uint32_t i, uint32_t counter) {
  uint8_t block[16] = {kLengthField - 1};
  std::memcpy(block + 1, batch.nonce[i], kNonceBytes);
  base::store_be32(block + 12, counter);
  return encrypt_block(aes_key(batch.key[i]), load(block));
}

void apply_key_stream(const Batch& batch, uint32_t i) {
  for (uint32_t at = 0, counter = 1; at < batch.text_bytes[i]; at += 16, counter++) {
    uint8_t stream[16];
    store(stream, key_stream(batch, i, counter));
    const uint32_t n = std::min(batch.text_bytes[i] - at, 16u);
    for (uint32_t b = 0; b < n; b++) batch.text[i][at + b] ^= stream[b];
  }
}

/// The ICV of a text in clear: RFC 3610 §2.2, encrypted as in §2.3.
void compute_icv(const Batch& batch, uint32_t i, uint8_t icv[16]) {
  const uint32_t aad_bytes = std::min(batch.aad_bytes[i], kMostAadBytes);
  uint8_t first[16];
  first[0] = static_cast<uint8_t>((aad_bytes > 0 ? 64 : 0) + (batch.icv_bytes[i] - 2) / 2 * 8 +
                                  (kLengthField - 1));
  std::memcpy(first + 1, batch.nonce[i], kNonceBytes);
  base::store_be32(first + 12, batch.text_bytes[i]);
  CbcMac mac(aes_key(batch.key[i]), first);
  if (aad_bytes > 0) {
    uint8_t length[2];
    base::store_be16(length, static_cast<uint16_t>(aad_bytes));
    mac.update(length, sizeof length);
    mac.update(batch.aad[i], aad_bytes);
    mac.pad();
  }
  mac.update(batch.text[i], batch.text_bytes[i]);
  mac.pad();
  store(icv, mac.state() ^ key_stream(batch, i, 0));
}

void expand(uint8_t* table, const Suite&, const Keys& keys) {
  expand_key(*new (table) AesKey, keys.encryption);
}

void seal(const Batch& batch) {
  for (uint32_t i = 0; i < batch.size; i++) {
    uint8_t icv[16];
    compute_icv(batch, i, icv);
    apply_key_stream(batch, i);
    std::memcpy(batch.icv[i], icv, batch.icv_bytes[i]);
  }
}

uint64_t open(const Batch& batch) {
  uint64_t authentic = 0;
  for (uint32_t i = 0; i < batch.size; i++) {
    uint8_t icv[16];
    apply_key_stream(batch, i);
    compute_icv(batch, i, icv);
    authentic |= uint64_t{base::equal_constant_time(icv, batch.icv[i], batch.icv_bytes[i])} << i;
    base::wipe(icv, sizeof icv);  // the right ICV of a forged packet is worth something
  }
  return authentic;
}

}  // namespace

const Engine kReferenceCcm = {"reference", sizeof(AesKey), expand, seal, open};

}  // namespace esplane::crypto
