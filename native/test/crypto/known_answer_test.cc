// Which kernels are offered, and that the known-answer test lets in good ones only.
#include <doctest/doctest.h>

#include <algorithm>
#include <string>

#include "crypto/candidates.h"
#include "crypto/choice.h"
#include "crypto/engine.h"
#include "crypto/known_answer.h"
#include "crypto/reference.h"
#include "test/crypto/operations.h"

namespace esplane::crypto {
namespace {

TEST_CASE("everything that this CPU can run passes the known answers, in every suite") {
  for (const Suite& suite : suites()) {
    CAPTURE(suite.name);
    for (const Engine* each : aead_candidates(suite)) {
      CAPTURE(each->name);
      CHECK(passes_known_answers(*each, suite));
    }
    if (suite.form != Form::kMac) continue;
    for (const CipherPart* each : cipher_candidates(suite)) {
      CAPTURE(each->name);
      CHECK(passes_known_answers(*each, suite));
    }
    for (const MacPart* each : mac_candidates(suite)) {
      CAPTURE(each->name);
      CHECK(passes_known_answers(*each, suite));
    }
  }
}

TEST_CASE("every suite has at least two engines, the plain reference last") {
  for (const Suite& suite : suites()) {
    CAPTURE(suite.name);
    REQUIRE(engines(suite).size() >= 2);
    CHECK(std::string(engines(suite).back()->name) == "reference");
  }
}

TEST_CASE("the engine in use is the fastest that was measured, and stays") {
  const Suite& suite = test::gcm_suite(16);
  const Choice& choice = engine_choice(suite);
  CHECK(&engine(suite) == choice.engine);
  REQUIRE(!choice.aeads.empty());
  CHECK(std::string(choice.aeads[0].name) == choice.engine->name);
  for (const Contestant& each : choice.aeads) CHECK(each.ns_per_byte > 0);
  CHECK(&engine_choice(suite) == &choice);
  const auto made = choices();
  CHECK(std::find(made.begin(), made.end(), &choice) != made.end());
}

TEST_CASE("cipher and MAC are chosen each by itself") {
  const Suite& suite = *find_suite(kEncrAesCbc, 128, kAuthHmacSha2_256_128);
  const Choice& choice = engine_choice(suite);
  REQUIRE(!choice.ciphers.empty());
  REQUIRE(!choice.macs.empty());
  CHECK(choice.engine->cipher->name == choice.ciphers[0].name);
  CHECK(choice.engine->mac->name == choice.macs[0].name);
  CHECK(choice.ns_per_byte() == choice.ciphers[0].ns_per_byte + choice.macs[0].ns_per_byte);
}

void seal_with_wrong_last_byte(const Batch& batch) {
  kReferenceEngine.seal(batch);
  for (uint32_t i = 0; i < batch.size; i++) batch.icv[i][15] ^= 1;
}

void seal_nothing(const Batch&) {}

uint64_t open_accepting_everything(const Batch& batch) {
  kReferenceEngine.open(batch);
  return batch.size == 64 ? ~uint64_t{0} : (uint64_t{1} << batch.size) - 1;
}

uint64_t open_without_decrypting(const Batch& batch) {
  return (uint64_t{1} << (batch.size - 1)) - 1;  // the test spoils the last ICV of a batch
}

TEST_CASE("the known-answer test refuses a broken kernel") {
  Engine broken = kReferenceEngine;
  SUBCASE("whose ICV is wrong in one bit") { broken.seal = seal_with_wrong_last_byte; }
  SUBCASE("that does not encrypt") { broken.seal = seal_nothing; }
  SUBCASE("that accepts a wrong ICV") { broken.open = open_accepting_everything; }
  SUBCASE("that answers rightly but does not decrypt") { broken.open = open_without_decrypting; }
  CHECK_FALSE(passes_known_answers(broken, test::gcm_suite(16)));
}

void encrypt_nothing(const Batch&, uint32_t) {}

TEST_CASE("the known-answer test refuses a broken cipher and a broken MAC") {
  const Suite& suite = *find_suite(kEncrAesCbc, 256, kAuthHmacSha1_96);
  CipherPart cipher = kReferenceCbc;
  SUBCASE("that does not encrypt") { cipher.encrypt = encrypt_nothing; }
  SUBCASE("that does not decrypt") { cipher.decrypt = encrypt_nothing; }
  CHECK_FALSE(passes_known_answers(cipher, suite));
  CHECK_FALSE(passes_known_answers(*kReferenceMacs.of(kAuthAesCmac96), suite));
}

}  // namespace
}  // namespace esplane::crypto
