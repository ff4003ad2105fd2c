#include "crypto/suite.h"

namespace esplane::crypto {
namespace {

constexpr Suite aes_gcm(uint16_t encryption, uint16_t key_bits, uint8_t icv_bytes,
                        const char* name) {
  return {.encryption = encryption,
          .key_bits = key_bits,
          .integrity = kNone,
          .name = name,
          .form = Form::kAead,
          .encryption_key_bytes = static_cast<uint8_t>(key_bits / 8),
          .salt_bytes = 4,  // RFC 4106 §4
          .integrity_key_bytes = 0,
          .iv_bytes = 8,
          .nonce_bytes = 12,
          .block_bytes = 4,
          .icv_bytes = icv_bytes};
}

constexpr Suite kSuites[] = {
    aes_gcm(kEncrAesGcm16, 128, 16, "AES-GCM-16-128"),
    aes_gcm(kEncrAesGcm16, 192, 16, "AES-GCM-16-192"),
    aes_gcm(kEncrAesGcm16, 256, 16, "AES-GCM-16-256"),
};

}  // namespace

std::span<const Suite> suites() { return kSuites; }

const Suite* find_suite(uint16_t encryption, uint16_t key_bits, uint16_t integrity) {
  for (const Suite& suite : kSuites) {
    if (suite.encryption == encryption && suite.key_bits == key_bits &&
        suite.integrity == integrity) {
      return &suite;
    }
  }
  return nullptr;
}

}  // namespace esplane::crypto
