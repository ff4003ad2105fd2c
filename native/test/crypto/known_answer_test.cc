// Which kernels are offered, and that the known-answer test lets in good ones only.
#include <doctest/doctest.h>

#include <cstring>
#include <string>

#include "crypto/engine.h"
#include "crypto/known_answer.h"
#include "crypto/reference.h"
#include "test/crypto/operations.h"

namespace esplane::crypto {
namespace {

TEST_CASE("every kernel that this CPU can run passes the known answers") {
  REQUIRE(test::gcm_engines().size() >= 2);
  for (const Engine* each : test::gcm_engines()) {
    CAPTURE(each->name);
    CHECK(passes_known_answers(*each));
  }
}

TEST_CASE("the plain reference comes last and the kernel in use first") {
  CHECK(std::string(test::gcm_engines().back()->name) == "reference");
  CHECK(&engine(test::gcm_suite(16)) == test::gcm_engines().front());
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
  CHECK_FALSE(passes_known_answers(broken));
}

}  // namespace
}  // namespace esplane::crypto
