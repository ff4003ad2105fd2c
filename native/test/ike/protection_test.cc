// The ciphers that protect IKE messages, where memory before and behind a message cannot be touched.
// What they give is held against other implementations in test/unit/crypto/encrypt.test.ts.
#include "ike/protection.h"

#include <doctest/doctest.h>

#include <cstring>
#include <string>
#include <vector>

#include "test/guarded.h"
#include "test/hex.h"

namespace {

using namespace esplane;
using ike::Cipher;
using ike::Mac;

constexpr size_t kAadBytes = 32;

/// A cipher with keys; the MACs take turns.
struct Keys {
  explicit Keys(Cipher cipher)
      : sk_e(ike::cipher_key_bytes(cipher) + ike::cipher_salt_bytes(cipher), 0x5a), sk_a(16, 0xa5) {
    const auto mac = static_cast<Mac>(cipher % ike::kMacs);
    with = {cipher, mac, sk_e, sk_a, ike::is_aead(cipher) ? size_t{16} : size_t{12}};
  }

  std::vector<uint8_t> sk_e, sk_a;
  ike::Protection with;
};

std::string name_of(Cipher cipher) { return ike::kCipherNames[cipher]; }

TEST_CASE("what is sealed in place opens, and with any bit changed does not, between guard pages") {
  for (Cipher cipher = 0; cipher < ike::kCiphers; cipher++) {
    CAPTURE(name_of(cipher));
    const Keys keys(cipher);
    const size_t block = ike::cipher_block_bytes(cipher);
    for (size_t text = block; text <= 8 * block; text += block) {
      const size_t bytes = kAadBytes + ike::cipher_iv_bytes(cipher) + text + keys.with.icv_bytes;
      const test::Guarded sealed_memory(bytes), opened_memory(text);
      for (const bool at_end : {false, true}) {
        uint8_t* message = at_end ? sealed_memory.at_end(bytes) : sealed_memory.at_begin();
        uint8_t* plaintext = at_end ? opened_memory.at_end(text) : opened_memory.at_begin();
        std::memset(message, 7, bytes);
        ike::seal(keys.with, {message, bytes}, kAadBytes);
        REQUIRE(ike::open(keys.with, {message, bytes}, kAadBytes, {plaintext, text}));
        CHECK(test::hex_of(plaintext, text) == test::hex_of(std::vector<uint8_t>(text, 7).data(), text));
        for (size_t at = 0; at < bytes; at++) {
          message[at] ^= 0x10;
          CHECK_FALSE(ike::open(keys.with, {message, bytes}, kAadBytes, {plaintext, text}));
          CHECK(test::hex_of(plaintext, text) == std::string(2 * text, '0'));
          message[at] ^= 0x10;
        }
      }
    }
  }
}

TEST_CASE("AES-CMAC of RFC 4493 §4 and AES-XCBC of RFC 3566 §4.6, in chunks of any length") {
  const auto cmac_key = test::bytes_of("2b7e151628aed2a6abf7158809cf4f3c");
  const auto cmac_text =
      test::bytes_of("6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e5130c81c46a35ce411");
  const auto xcbc_key = test::bytes_of("000102030405060708090a0b0c0d0e0f");
  const auto xcbc_text =
      test::bytes_of("000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f2021");
  for (size_t cut = 0; cut <= xcbc_text.size(); cut++) {
    uint8_t out[ike::kAesMacBytes];
    const ike::Bytes cmac[] = {ike::Bytes(cmac_text).first(cut), ike::Bytes(cmac_text).subspan(cut)};
    ike::mac(Mac::kCmac, cmac_key, cmac, out);
    CHECK(test::hex_of(out, sizeof out) == "dfa66747de9ae63030ca32611497c827");
    const ike::Bytes xcbc[] = {ike::Bytes(xcbc_text).first(cut), ike::Bytes(xcbc_text).subspan(cut)};
    ike::mac(Mac::kXcbc, xcbc_key, xcbc, out);
    CHECK(test::hex_of(out, sizeof out) == "becbb3bccdb518a30677d5481fb6b4d8");
  }
}

}  // namespace
