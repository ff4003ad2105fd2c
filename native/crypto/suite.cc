// The table of suites, put together by the compiler: AEADs by ICV and key size, and each cipher
// with each integrity algorithm.
#include "crypto/suite.h"

#include <algorithm>
#include <array>
#include <string_view>

namespace esplane::crypto {
namespace {

/// A name that is put together at compile time.
struct Name {
  char text[40] = {};
  size_t length = 0;

  constexpr Name& operator+=(std::string_view more) {
    for (const char c : more) text[length++] = c;
    return *this;
  }
  constexpr Name& operator+=(uint16_t number) {
    if (number >= 10) *this += static_cast<uint16_t>(number / 10);
    text[length++] = static_cast<char>('0' + number % 10);
    return *this;
  }
};

struct Integrity {
  uint16_t id;
  std::string_view name;
  uint8_t key_bytes;
  uint8_t icv_bytes;
};

/// RFC 2404; RFC 4868 §2.7; RFC 3566; RFC 4494.
constexpr Integrity kIntegrities[] = {
    {kAuthHmacSha1_96, "HMAC-SHA1-96", 20, 12},
    {kAuthAesXcbc96, "AES-XCBC-96", 16, 12},
    {kAuthAesCmac96, "AES-CMAC-96", 16, 12},
    {kAuthHmacSha2_256_128, "HMAC-SHA2-256-128", 32, 16},
    {kAuthHmacSha2_384_192, "HMAC-SHA2-384-192", 48, 24},
    {kAuthHmacSha2_512_256, "HMAC-SHA2-512-256", 64, 32},
};

constexpr uint16_t kAesKeyBits[] = {128, 192, 256};

/// One table under construction, in whatever order.
struct Builder {
  Suite suites[80] = {};
  Name names[80] = {};
  size_t size = 0;

  constexpr void add(Suite suite, Name name) {
    suites[size] = suite;
    names[size] = name;
    size++;
  }

  /// An AEAD: salt, explicit or implicit IV of 8 bytes, text in units of 4 bytes.
  constexpr void add_aead(uint16_t encryption, Cipher cipher, std::string_view title,
                          uint16_t key_bits, uint8_t icv_bytes, bool implicit_iv,
                          Form form = Form::kAead) {
    const uint8_t salt_bytes = cipher == Cipher::kAesCcm ? 3 : 4;  // RFC 4309 §4; RFC 4106 §4
    Name name;
    name += title;
    if (cipher != Cipher::kChaCha20Poly1305) {
      name += "-";
      name += key_bits;
    }
    add({.encryption = encryption,
         .key_bits = key_bits,
         .form = form,
         .cipher = cipher,
         .nonce_form = NonceForm::kSaltAndIv,
         .encryption_key_bytes = static_cast<uint8_t>(key_bits / 8),
         .salt_bytes = salt_bytes,
         .iv_bytes = static_cast<uint8_t>(implicit_iv ? 0 : 8),
         .nonce_bytes = static_cast<uint8_t>(salt_bytes + 8),
         .block_bytes = 4,
         .icv_bytes = icv_bytes},
        name);
  }

  /// `suite` describes the cipher; with every integrity algorithm it is a suite.
  constexpr void add_with_each_integrity(const Suite& cipher, std::string_view title) {
    for (const Integrity& integrity : kIntegrities) {
      Suite suite = cipher;
      suite.integrity = integrity.id;
      suite.form = Form::kMac;
      suite.integrity_key_bytes = integrity.key_bytes;
      suite.icv_bytes = integrity.icv_bytes;
      Name name;
      name += title;
      if (suite.key_bits > 0) name += suite.key_bits;
      if (!title.empty()) name += "/";
      name += integrity.name;
      add(suite, name);
    }
  }
};

constexpr void add_aes_aeads(Builder& table, uint16_t key_bits) {
  table.add_aead(kEncrAesCcm8, Cipher::kAesCcm, "AES-CCM-8", key_bits, 8, false);
  table.add_aead(kEncrAesCcm12, Cipher::kAesCcm, "AES-CCM-12", key_bits, 12, false);
  table.add_aead(kEncrAesCcm16, Cipher::kAesCcm, "AES-CCM-16", key_bits, 16, false);
  table.add_aead(kEncrAesCcm8Iiv, Cipher::kAesCcm, "AES-CCM-8-IIV", key_bits, 8, true);
  table.add_aead(kEncrAesGcm8, Cipher::kAesGcm, "AES-GCM-8", key_bits, 8, false);
  table.add_aead(kEncrAesGcm12, Cipher::kAesGcm, "AES-GCM-12", key_bits, 12, false);
  table.add_aead(kEncrAesGcm16, Cipher::kAesGcm, "AES-GCM-16", key_bits, 16, false);
  table.add_aead(kEncrAesGcm16Iiv, Cipher::kAesGcm, "AES-GCM-16-IIV", key_bits, 16, true);
  table.add_aead(kEncrNullAuthAesGmac, Cipher::kAesGcm, "AES-GMAC", key_bits, 16, false,
                 Form::kGmac);
}

constexpr void add_aes_ciphers(Builder& table, uint16_t key_bits) {
  const auto key_bytes = static_cast<uint8_t>(key_bits / 8);
  table.add_with_each_integrity({.encryption = kEncrAesCbc,
                                 .key_bits = key_bits,
                                 .cipher = Cipher::kAesCbc,
                                 .nonce_form = NonceForm::kIv,
                                 .encryption_key_bytes = key_bytes,
                                 .iv_bytes = 16,
                                 .nonce_bytes = 16,
                                 .block_bytes = 16},
                                "AES-CBC-");
  table.add_with_each_integrity({.encryption = kEncrAesCtr,
                                 .key_bits = key_bits,
                                 .cipher = Cipher::kAesCtr,
                                 .nonce_form = NonceForm::kCounterBlock,
                                 .encryption_key_bytes = key_bytes,
                                 .salt_bytes = 4,  // RFC 3686 §5.1
                                 .iv_bytes = 8,
                                 .nonce_bytes = 16,
                                 .block_bytes = 4},
                                "AES-CTR-");
}

/// AH's GMAC: an integrity algorithm by its number, an AEAD by what it needs (RFC 4543 §4).
constexpr void add_ah_gmac(Builder& table, uint16_t integrity, uint16_t key_bits) {
  table.add_aead(kNone, Cipher::kAesGcm, "AH-AES-GMAC", key_bits, 16, false, Form::kGmac);
  Suite& added = table.suites[table.size - 1];
  added.key_bits = 0;
  added.integrity = integrity;
}

constexpr Builder build() {
  Builder table;
  for (const uint16_t key_bits : kAesKeyBits) {
    add_aes_aeads(table, key_bits);
    add_aes_ciphers(table, key_bits);
  }
  table.add_aead(kEncrChaCha20Poly1305, Cipher::kChaCha20Poly1305, "ChaCha20-Poly1305", 256, 16,
                 false);
  table.add_aead(kEncrChaCha20Poly1305Iiv, Cipher::kChaCha20Poly1305, "ChaCha20-Poly1305-IIV", 256,
                 16, true);
  table.add_with_each_integrity({.encryption = kEncrNull, .block_bytes = 4}, "NULL");
  table.add_with_each_integrity({.encryption = kNone, .block_bytes = 4}, "");
  add_ah_gmac(table, kAuthAes128Gmac, 128);
  add_ah_gmac(table, kAuthAes192Gmac, 192);
  add_ah_gmac(table, kAuthAes256Gmac, 256);
  return table;
}

constexpr Builder kBuilt = build();
static_assert(kBuilt.size <= std::size(kBuilt.suites));

constexpr uint64_t order(uint16_t encryption, uint16_t key_bits, uint16_t integrity) {
  return uint64_t{encryption} << 32 | uint64_t{key_bits} << 16 | integrity;
}

constexpr uint64_t order_of(const Suite& s) { return order(s.encryption, s.key_bits, s.integrity); }

constexpr auto sorted() {
  std::array<Suite, kBuilt.size> all{};
  for (size_t i = 0; i < kBuilt.size; i++) {
    all[i] = kBuilt.suites[i];
    all[i].name = kBuilt.names[i].text;
  }
  std::sort(all.begin(), all.end(),
            [](const Suite& a, const Suite& b) { return order_of(a) < order_of(b); });
  return all;
}

constexpr std::array kSuites = sorted();

}  // namespace

std::span<const Suite> suites() { return kSuites; }

const Suite* find_suite(uint16_t encryption, uint16_t key_bits, uint16_t integrity) {
  const bool one_size =
      encryption == kEncrChaCha20Poly1305 || encryption == kEncrChaCha20Poly1305Iiv;
  const uint64_t wanted = order(encryption, key_bits == 0 && one_size ? 256 : key_bits, integrity);
  const auto* found =
      std::lower_bound(kSuites.begin(), kSuites.end(), wanted,
                       [](const Suite& suite, uint64_t key) { return order_of(suite) < key; });
  return found != kSuites.end() && order_of(*found) == wanted ? found : nullptr;
}

}  // namespace esplane::crypto
