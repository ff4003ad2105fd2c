// Every engine of every kind of suite against libcrypto's: all lengths, any alignment, between
// guard pages, extended sequence numbers, refusals. AES-GCM-16 has more tests in kernels_test.cc.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstring>
#include <deque>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "crypto/engine.h"
#include "test/crypto/operations.h"
#include "test/guarded.h"

namespace esplane::crypto {
namespace {

using test::Guarded;
using test::Random;
using test::random_bytes;

constexpr uint32_t kLongest = 4096;
constexpr uint32_t kHeaderBytes = 24;  // SPI, sequence number and an IV

/// One suite for each cipher, MAC, key size and length of ICV.
std::vector<const Suite*> kinds() {
  const uint16_t numbers[][3] = {
      {14, 128, 0},  {15, 192, 0},  {16, 256, 0},  {28, 256, 0},  {18, 128, 0}, {19, 256, 0},
      {21, 192, 0},  {0, 0, 11},    {12, 128, 12}, {12, 192, 2},  {12, 256, 13}, {13, 128, 14},
      {13, 192, 12}, {13, 256, 8},  {11, 0, 5},    {0, 0, 12},
  };
  std::vector<const Suite*> suites;
  for (const auto& [encryption, key_bits, integrity] : numbers) {
    suites.push_back(find_suite(encryption, key_bits, integrity));
    REQUIRE(suites.back() != nullptr);
  }
  return suites;
}

bool is_slow(const Engine& engine) { return std::string(engine.name) == "reference"; }

const Engine& openssl_of(const Suite& suite) {
  for (const Engine* each : engines(suite)) {
    if (std::string(each->name) == "openssl") return *each;
  }
  FAIL("no libcrypto");
  std::abort();
}

/// Where a frame and its nonce lie: right behind or right before memory that may not be touched.
enum class Place { kBehindGuard, kBeforeGuard };

/// Up to 64 packets of one suite, in frames as ESP has them: header | text | ICV.
class Packets {
 public:
  Packets(const Suite& suite, uint32_t count, bool esn, Place place)
      : suite_(suite), count_(count), esn_(esn), place_(place) {
    while (frames().size() < count) {
      frames().emplace_back(kHeaderBytes + kLongest + Batch::kMostIcvBytes + 4);
      nonces().emplace_back(16);
    }
  }

  /// Fills in the clear texts.
  void fill(Random& random, const std::vector<uint32_t>& text_bytes) {
    text_bytes_ = text_bytes;
    clear_.clear();
    for (uint32_t i = 0; i < count_; i++) {
      clear_.push_back(random_bytes(random, frame_bytes(i)));
      auto nonce = random_bytes(random, suite_.nonce_bytes);
      // Where the counter's last 32 bits overflow, engines differ. It starts at 1 (RFC 3686 §4).
      if (suite_.nonce_form == NonceForm::kCounterBlock) base::store_be32(&nonce[12], 1);
      std::copy(nonce.begin(), nonce.end(), nonce_of(i));
    }
    restore(clear_);
  }

  /// The batch that seals; the ICV's place holds the high half of the sequence number with ESN.
  Batch batch(const std::vector<const uint8_t*>& keys) {
    Batch batch;
    batch.size = count_;
    for (uint32_t i = 0; i < count_; i++) {
      uint8_t* frame = frame_of(i);
      const uint32_t body = suite_.form == Form::kAead ? 0 : text_bytes_[i] + extra();
      batch.key[i] = keys[i % keys.size()];
      batch.nonce[i] = nonce_of(i);
      batch.aad[i] = frame;
      batch.aad_bytes[i] = suite_.form == Form::kAead ? (esn_ ? 12 : 8) : kHeaderBytes + body;
      batch.text[i] = frame + kHeaderBytes;
      batch.text_bytes[i] = suite_.form == Form::kGmac ? 0 : text_bytes_[i];
      batch.icv[i] = frame + kHeaderBytes + text_bytes_[i];
      batch.icv_bytes[i] = suite_.icv_bytes;
    }
    return batch;
  }

  /// Makes the batch one that opens: the ICVs move aside, what they took the place of comes back.
  void received(Batch& batch) {
    icvs_.clear();
    for (uint32_t i = 0; i < count_; i++) {
      icvs_.emplace_back(batch.icv[i], batch.icv[i] + suite_.icv_bytes);
      std::memcpy(batch.icv[i], &clear_[i][kHeaderBytes + text_bytes_[i]], suite_.icv_bytes);
      batch.icv[i] = icvs_.back().data();
    }
  }

  std::vector<std::vector<uint8_t>> contents() {
    std::vector<std::vector<uint8_t>> all;
    for (uint32_t i = 0; i < count_; i++) {
      all.emplace_back(frame_of(i), frame_of(i) + frame_bytes(i));
    }
    return all;
  }
  void restore(const std::vector<std::vector<uint8_t>>& all) {
    for (uint32_t i = 0; i < count_; i++) std::copy(all[i].begin(), all[i].end(), frame_of(i));
  }
  bool is_clear(uint32_t i) {
    return std::equal(clear_[i].begin(), clear_[i].end(), frame_of(i));
  }
  const std::vector<std::vector<uint8_t>>& clear() const { return clear_; }

 private:
  // Mapping pages takes longer than the tests do.
  static std::deque<Guarded>& frames() {
    static std::deque<Guarded> all;
    return all;
  }
  static std::deque<Guarded>& nonces() {
    static std::deque<Guarded> all;
    return all;
  }

  uint32_t extra() const { return esn_ && suite_.form == Form::kMac ? 4 : 0; }
  uint32_t frame_bytes(uint32_t i) const {
    return kHeaderBytes + text_bytes_[i] + std::max<uint32_t>(suite_.icv_bytes, extra());
  }
  uint8_t* frame_of(uint32_t i) const {
    const Guarded& memory = frames()[i];
    return place_ == Place::kBehindGuard ? memory.at_begin() : memory.at_end(frame_bytes(i));
  }
  uint8_t* nonce_of(uint32_t i) const {
    const Guarded& memory = nonces()[i];
    return place_ == Place::kBehindGuard ? memory.at_begin() : memory.at_end(suite_.nonce_bytes);
  }

  const Suite& suite_;
  uint32_t count_;
  bool esn_;
  Place place_;
  std::vector<uint32_t> text_bytes_;
  std::vector<std::vector<uint8_t>> clear_;
  std::deque<std::vector<uint8_t>> icvs_;
};

/// Keys expanded by one engine.
class KeySet {
 public:
  KeySet(const Engine& engine, const Suite& suite, const std::vector<std::vector<uint8_t>>& raw) {
    for (const auto& key : raw) {
      const std::span<const uint8_t> all(key);
      tables_.emplace_back(engine, suite,
                           Keys{all.first(suite.encryption_key_bytes),
                                all.last(suite.integrity_key_bytes)});
      data.push_back(tables_.back().data());
    }
  }
  std::vector<const uint8_t*> data;

 private:
  std::deque<KeyTable> tables_;
};

std::vector<std::vector<uint8_t>> random_keys(Random& random, const Suite& suite, size_t count) {
  std::vector<std::vector<uint8_t>> keys;
  for (size_t i = 0; i < count; i++) {
    keys.push_back(random_bytes(
        random, size_t{suite.encryption_key_bytes} + suite.integrity_key_bytes));
  }
  return keys;
}

uint64_t all_of(uint32_t count) { return ~uint64_t{0} >> (64 - count); }

/// Runs packets of these lengths through an engine and compares with what libcrypto makes of them.
void check(const Engine& engine, const Suite& suite, Random& random,
           const std::vector<uint32_t>& text_bytes, size_t key_count, bool esn, Place place) {
  const auto count = static_cast<uint32_t>(text_bytes.size());
  const auto raw = random_keys(random, suite, key_count);
  Packets packets(suite, count, esn, place);
  packets.fill(random, text_bytes);

  const Engine& oracle = openssl_of(suite);
  const KeySet oracle_keys(oracle, suite, raw);
  oracle.seal(packets.batch(oracle_keys.data));
  const auto expected = packets.contents();

  packets.restore(packets.clear());
  const KeySet keys(engine, suite, raw);
  Batch batch = packets.batch(keys.data);
  engine.seal(batch);
  const auto sealed = packets.contents();
  for (uint32_t i = 0; i < count; i++) {
    CAPTURE(text_bytes[i]);
    REQUIRE(sealed[i] == expected[i]);
  }

  packets.received(batch);
  const auto victim = static_cast<uint32_t>(random() % count);
  batch.icv[victim][random() % suite.icv_bytes] ^= static_cast<uint8_t>(1 << random() % 8);
  REQUIRE(engine.open(batch) == (all_of(count) & ~(uint64_t{1} << victim)));
  for (uint32_t i = 0; i < count; i++) {
    CAPTURE(i);
    if (i != victim) REQUIRE(packets.is_clear(i));
  }
}

template <typename Check>
void for_each_engine(Check each_check) {
  for (const Suite* suite : kinds()) {
    CAPTURE(std::string(suite->name));
    for (const Engine* engine : engines(*suite)) {
      CAPTURE(std::string(engine->name));
      each_check(*engine, *suite);
    }
  }
}

/// Ciphers need whole blocks, MACs do not; so much the better where there is no cipher.
uint32_t unit_of(const Suite& suite) { return suite.cipher == Cipher::kAesCbc ? 16 : 1; }

TEST_CASE("engines agree on every text length up to 4096 bytes, next to a guard page") {
  for_each_engine([](const Engine& engine, const Suite& suite) {
    Random random(1);
    std::vector<uint32_t> lengths;
    bool before = false;
    const uint32_t step = is_slow(engine) ? 37 : 1;
    for (uint32_t length = 0; length <= kLongest; length += unit_of(suite) * step) {
      lengths.push_back(length);
      if (lengths.size() < 64 && length + unit_of(suite) * step <= kLongest) continue;
      before = !before;
      check(engine, suite, random, lengths, 1, before, before ? Place::kBeforeGuard
                                                              : Place::kBehindGuard);
      lengths.clear();
    }
  });
}

TEST_CASE("engines agree on the lengths around block borders on both sides of a guard page") {
  for_each_engine([](const Engine& engine, const Suite& suite) {
    Random random(2);
    for (const Place place : {Place::kBeforeGuard, Place::kBehindGuard}) {
      for (const bool esn : {false, true}) {
        std::vector<uint32_t> lengths;
        for (uint32_t i = 0; i < 64; i++) lengths.push_back(i * unit_of(suite));
        check(engine, suite, random, lengths, 1, esn, place);
        for (uint32_t& length : lengths) length += 240;
        check(engine, suite, random, lengths, 64, esn, place);
      }
    }
  });
}

TEST_CASE("engines agree on batches of 1 to 64 packets of any length with 1 to 64 keys") {
  for_each_engine([](const Engine& engine, const Suite& suite) {
    Random random(3);
    for (uint32_t size = 1; size <= Batch::kCapacity; size++) {
      if (is_slow(engine) && size % 16 != 1) continue;
      std::vector<uint32_t> lengths;
      for (uint32_t i = 0; i < size; i++) {
        const uint32_t longest = random() % 4 == 0 ? 1504 : 208;
        lengths.push_back(static_cast<uint32_t>(random() % longest) / 16 * 16);
      }
      check(engine, suite, random, lengths, 1 + random() % size, random() % 2 == 0,
            Place::kBeforeGuard);
    }
  });
}

TEST_CASE("keys of all sizes go through one batch of AES-CBC and AES-CTR") {
  for (const uint16_t cipher : {uint16_t{kEncrAesCbc}, uint16_t{kEncrAesCtr}}) {
    const Suite& any = *find_suite(cipher, 128, kAuthHmacSha2_256_128);
    for (const Engine* engine : engines(any)) {
      CAPTURE(std::string(engine->name));
      Random random(4);
      std::deque<KeyTable> tables, oracle_tables;
      Batch batch, oracle;
      std::deque<std::vector<uint8_t>> texts;
      const auto add = [&](Batch& to, const KeyTable& key, const std::vector<uint8_t>& clear) {
        const uint32_t i = to.size++;
        texts.push_back(clear);
        to.key[i] = key.data();
        to.nonce[i] = to.aad[i] = texts.back().data();
        to.text[i] = texts.back().data() + 16;
        to.text_bytes[i] = 64;
        to.aad_bytes[i] = 16 + 64;
        to.icv[i] = texts.back().data() + 80;
        to.icv_bytes[i] = 16;
      };
      for (uint32_t i = 0; i < 48; i++) {
        const Suite& suite = *find_suite(cipher, static_cast<uint16_t>(128 + i % 3 * 64),
                                         kAuthHmacSha2_256_128);
        const auto raw = random_bytes(random, suite.encryption_key_bytes + 32);
        const Keys keys{std::span(raw).first(suite.encryption_key_bytes), std::span(raw).last(32)};
        const auto clear = random_bytes(random, 96);
        add(batch, tables.emplace_back(*engine, suite, keys), clear);
        add(oracle, oracle_tables.emplace_back(openssl_of(suite), suite, keys), clear);
      }
      engine->seal(batch);
      openssl_of(any).seal(oracle);
      for (size_t i = 0; i < texts.size(); i += 2) REQUIRE(texts[i] == texts[i + 1]);
      CHECK(engine->open(batch) == all_of(48));
    }
  }
}

TEST_CASE("engines do nothing on an empty batch") {
  for_each_engine([](const Engine& engine, const Suite&) {
    Batch batch;
    engine.seal(batch);
    CHECK(engine.open(batch) == 0);
  });
}

}  // namespace
}  // namespace esplane::crypto
