// The table of suites: what is in it, what is not, and a few rows as their RFCs have them.
#include <doctest/doctest.h>

#include <cstring>
#include <set>
#include <string>

#include "crypto/batch.h"
#include "crypto/suite.h"

namespace esplane::crypto {
namespace {

TEST_CASE("every suite is found by its numbers, and its name is its own") {
  std::set<std::string> names;
  for (const Suite& suite : suites()) {
    CAPTURE(suite.name);
    CHECK(find_suite(suite.encryption, suite.key_bits, suite.integrity) == &suite);
    CHECK(names.insert(suite.name).second);
    CHECK(suite.icv_bytes <= Batch::kMostIcvBytes);
    CHECK(suite.nonce_bytes <= 16);
  }
  CHECK(names.contains("AES-GCM-16-128"));
  CHECK(names.contains("AES-CBC-256/HMAC-SHA2-256-128"));
  CHECK(names.contains("NULL/HMAC-SHA1-96"));
}

TEST_CASE("the suites of the RFCs are there with each key size") {
  const auto rows = [](int encryption) {
    size_t count = 0;
    for (const Suite& suite : suites()) count += suite.encryption == encryption;
    return count;
  };
  for (const int aead : {14, 15, 16, 18, 19, 20, 21, 29, 30}) CHECK(rows(aead) == 3);
  for (const int aead : {28, 31}) CHECK(rows(aead) == 1);
  for (const int cipher : {12, 13}) CHECK(rows(cipher) == 3 * 6);
  CHECK(rows(11) == 6);
  CHECK(rows(0) == 6 + 3);
}

TEST_CASE("rows are as their RFCs have them") {
  SUBCASE("AES-GCM with an ICV of 8 octets, RFC 4106") {
    const Suite& s = *find_suite(18, 192, 0);
    CHECK(std::string(s.name) == "AES-GCM-8-192");
    CHECK(s.keymat_bytes() == 24 + 4);
    CHECK((s.iv_bytes == 8 && s.nonce_bytes == 12 && s.icv_bytes == 8 && s.block_bytes == 4));
  }
  SUBCASE("AES-CCM, RFC 4309") {
    const Suite& s = *find_suite(15, 256, 0);
    CHECK(s.keymat_bytes() == 32 + 3);
    CHECK((s.iv_bytes == 8 && s.nonce_bytes == 11 && s.icv_bytes == 12));
  }
  SUBCASE("ChaCha20-Poly1305 has one key size, which IKE does not send, RFC 7634") {
    CHECK(find_suite(28, 0, 0) == find_suite(28, 256, 0));
    CHECK(find_suite(28, 0, 0)->keymat_bytes() == 36);
  }
  SUBCASE("AES-CBC with HMAC-SHA2-256-128, RFC 3602 and 4868") {
    const Suite& s = *find_suite(12, 128, 12);
    CHECK(s.form == Form::kMac);
    CHECK(s.keymat_bytes() == 16 + 32);
    CHECK((s.iv_bytes == 16 && s.nonce_bytes == 16 && s.block_bytes == 16 && s.icv_bytes == 16));
  }
  SUBCASE("AES-CTR, RFC 3686") {
    const Suite& s = *find_suite(13, 128, 2);
    CHECK(s.keymat_bytes() == 16 + 4 + 20);
    CHECK((s.iv_bytes == 8 && s.nonce_bytes == 16 && s.block_bytes == 4 && s.icv_bytes == 12));
  }
  SUBCASE("implicit IVs are not on the wire, RFC 8750") {
    for (const auto& [id, icv] : {std::pair{29, 8}, {30, 16}}) {
      const Suite& s = *find_suite(static_cast<uint16_t>(id), 128, 0);
      CHECK((s.implicit_iv() && s.iv_bytes == 0 && s.icv_bytes == icv));
    }
    CHECK(find_suite(31, 0, 0)->implicit_iv());
    CHECK_FALSE(find_suite(20, 128, 0)->implicit_iv());
    CHECK_FALSE(find_suite(11, 0, 2)->implicit_iv());
  }
  SUBCASE("AH with GMAC has a salt and an IV, RFC 4543 §4") {
    const Suite& s = *find_suite(0, 0, 10);
    CHECK(s.form == Form::kGmac);
    CHECK(s.keymat_bytes() == 24 + 4);
    CHECK((s.iv_bytes == 8 && s.icv_bytes == 16));
  }
}

TEST_CASE("what must not be is not there") {
  CHECK(find_suite(11, 0, 0) == nullptr);     // NULL with no integrity
  CHECK(find_suite(12, 128, 0) == nullptr);   // a cipher with no integrity
  CHECK(find_suite(0, 0, 0) == nullptr);
  CHECK(find_suite(20, 128, 12) == nullptr);  // an AEAD with an integrity algorithm
  CHECK(find_suite(20, 160, 0) == nullptr);
  CHECK(find_suite(20, 0, 0) == nullptr);     // which size would that be
  CHECK(find_suite(12, 128, 1) == nullptr);   // HMAC-MD5-96
  CHECK(find_suite(2, 0, 2) == nullptr);      // DES
  CHECK(find_suite(3, 0, 2) == nullptr);      // 3DES
  CHECK(find_suite(12, 128, 9) == nullptr);   // GMAC as an integrity algorithm is AH's alone
}

}  // namespace
}  // namespace esplane::crypto
