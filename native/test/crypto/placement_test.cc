// Every AES-GCM kernel against libcrypto's, wherever a packet is in memory: at a page that must not
// be touched, in front and behind, and at every alignment; with ICVs of 8, 12 and 16 bytes.
#include <doctest/doctest.h>

#include "crypto/engine.h"
#include "test/crypto/operations.h"
#include "test/guarded.h"

namespace esplane::test {
namespace {

using crypto::Batch;
using crypto::Engine;
using crypto::KeyTable;

constexpr size_t kLongest = 4096;

bool holds(const std::vector<uint8_t>& expected, const uint8_t* p) {
  return std::equal(expected.begin(), expected.end(), p);
}

/// Everything an operation touches, each in memory of its own between two guard pages.
struct GuardedOperation {
  Guarded text{kLongest}, aad{4096}, nonce{4096}, icv{4096};

  /// Seals and opens with everything at the end of its memory, or at its beginning.
  /// @param icv_bytes  to write and to compare, of the 16
  void check(const Engine& kernel, const KeyTable& key, const Operation& o, bool behind,
             uint32_t icv_bytes) {
    const auto place = [&](const Guarded& memory, const std::vector<uint8_t>& bytes) {
      uint8_t* p = behind ? memory.at_end(bytes.size()) : memory.at_begin();
      std::copy(bytes.begin(), bytes.end(), p);
      return p;
    };
    const std::vector<uint8_t> expected(o.icv.begin(), o.icv.begin() + icv_bytes);
    Batch batch;
    o.append_to(batch, key, place(text, o.clear), place(icv, std::vector<uint8_t>(icv_bytes)));
    batch.icv_bytes[0] = icv_bytes;
    batch.nonce[0] = place(nonce, o.nonce);
    batch.aad[0] = place(aad, o.aad);
    kernel.seal(batch);
    REQUIRE(holds(o.sealed, batch.text[0]));
    REQUIRE(holds(expected, batch.icv[0]));
    REQUIRE(kernel.open(batch) == 1);
    REQUIRE(holds(o.clear, batch.text[0]));
  }
};

/// A kernel with one expanded key of each size.
struct KeyedKernel {
  const Engine& kernel;
  std::deque<KeyTable> tables;

  KeyedKernel(const Engine& engine, const std::vector<uint8_t> (&keys)[3]) : kernel(engine) {
    for (const auto& key : keys) {
      tables.emplace_back(engine, gcm_suite(key.size()), crypto::Keys{key});
    }
  }
};

// A text that ends at the guard page begins at any alignment as its length grows.
TEST_CASE("kernels agree on every length up to 4096 bytes and touch nothing in front or behind") {
  GuardedOperation memory;
  Random random(11);
  const std::vector<uint8_t> keys[] = {random_bytes(random, 16), random_bytes(random, 24),
                                       random_bytes(random, 32)};
  std::deque<KeyedKernel> kernels;
  for_each_kernel([&](const Engine& kernel) { kernels.emplace_back(kernel, keys); });
  for (size_t length = 0; length <= kLongest; length++) {
    const Operation o(random, keys[length % 3], length % 41, length);
    CAPTURE(length);
    for (const KeyedKernel& keyed : kernels) {
      const Engine& kernel = keyed.kernel;
      CAPTURE(kernel.name);
      if (is_slow(kernel) && length > 600 && length % 61 != 0) continue;
      for (const bool behind : {true, false}) {
        memory.check(kernel, keyed.tables[length % 3], o, behind, 8 + 4 * (length / 3 % 3));
      }
    }
  }
}

/// Around the borders of blocks, vectors, tiles and segments of any kernel: all are multiples of
/// 16 bytes, some of them behind a first block.
std::vector<size_t> border_lengths() {
  std::vector<size_t> lengths = {0, 1, 2, 7, 8, 11, 12};
  for (const size_t border : {16, 32, 48, 64, 80, 128, 144, 256, 272, 512, 528, 960, 1040, 1424}) {
    for (const size_t length : {border - 1, border, border + 1, border + 4}) {
      lengths.push_back(length);
    }
  }
  lengths.push_back(kLongest);
  return lengths;
}

/// A packet's parts at different alignments, all of which change with `offset`, and bytes around
/// the text and the ICV that must not change.
struct OffsetOperation {
  static constexpr size_t kMargin = 64;
  alignas(64) uint8_t text[kMargin + 64 + kLongest + kMargin];
  alignas(64) uint8_t icv[kMargin + 64 + 16 + kMargin];
  alignas(64) uint8_t nonce[64 + 12], aad[64 + 16];

  void check(const Engine& kernel, const KeyTable& key, const Operation& o, size_t offset) {
    std::fill(std::begin(text), std::end(text), uint8_t{0xa5});
    std::fill(std::begin(icv), std::end(icv), uint8_t{0xa5});
    uint8_t* const text_at = text + kMargin + offset;
    uint8_t* const icv_at = icv + kMargin + offset * 5 % 64;
    std::copy(o.clear.begin(), o.clear.end(), text_at);
    std::copy(o.nonce.begin(), o.nonce.end(), nonce + 63 - offset);
    std::copy(o.aad.begin(), o.aad.end(), aad + offset * 7 % 64);
    Batch batch;
    o.append_to(batch, key, text_at, icv_at);
    batch.nonce[0] = nonce + 63 - offset;
    batch.aad[0] = aad + offset * 7 % 64;
    kernel.seal(batch);
    REQUIRE(holds(o.sealed, text_at));
    REQUIRE(holds(o.icv, icv_at));
    REQUIRE(kernel.open(batch) == 1);
    REQUIRE(holds(o.clear, text_at));
    REQUIRE(surroundings_hold(text, text_at, o.clear.size()));
    REQUIRE(surroundings_hold(icv, icv_at, o.icv.size()));
  }

  template <size_t kBytes>
  static bool surroundings_hold(const uint8_t (&memory)[kBytes], const uint8_t* at, size_t bytes) {
    const auto untouched = [](uint8_t b) { return b == 0xa5; };
    return std::all_of(memory, at, untouched) &&
           std::all_of(at + bytes, memory + kBytes, untouched);
  }
};

TEST_CASE("kernels agree at all 64 alignments of text, AAD, nonce and ICV") {
  OffsetOperation memory;
  for_each_kernel([&](const Engine& kernel) {
    Random random(12);
    for (const size_t length : border_lengths()) {
      if (is_slow(kernel) && length > 600) continue;
      const Operation o(random, size_t{16} + 8 * (length % 3), length % 2 == 0 ? 8 : 12, length);
      const KeyTable key = expand_for(kernel, o.key);
      CAPTURE(length);
      for (size_t offset = 0; offset < 64; offset++) {
        CAPTURE(offset);
        memory.check(kernel, key, o, offset);
      }
    }
  });
}

TEST_CASE("kernels write and compare ICVs of 8, 12 and 16 bytes in one batch") {
  for_each_kernel([](const Engine& kernel) {
    Random random(13);
    std::vector<Operation> operations;
    while (operations.size() < 24) operations.emplace_back(random, 16, 8, 4 * operations.size());
    Run run(kernel, operations);
    for (size_t spoiled = 0; spoiled < 16; spoiled++) {
      run.prepare_open();
      uint64_t expected = run.all();
      for (size_t i = 0; i < operations.size(); i++) {
        run.batch().icv_bytes[i] = static_cast<uint32_t>(8 + 4 * (i % 3));
        run.icv(i)[spoiled] ^= 0x40;
        if (spoiled < run.batch().icv_bytes[i]) expected &= ~(uint64_t{1} << i);
      }
      CAPTURE(spoiled);
      REQUIRE(run.open() == expected);
    }
  });
}

}  // namespace
}  // namespace esplane::test
