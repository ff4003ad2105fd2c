// Every AES-GCM kernel against libcrypto's: long texts and AADs, batches, refusals. Every length
// and alignment is placement_test.cc.
#include <doctest/doctest.h>

#include <algorithm>
#include <optional>
#include <string>

#include "crypto/engine.h"
#include "test/crypto/operations.h"
#include "test/watched_memory.h"

namespace esplane::test {
namespace {

using crypto::Batch;
using crypto::Engine;
using crypto::KeyTable;

constexpr size_t kKeyBytes[] = {16, 24, 32};

TEST_CASE("kernels agree on the longest texts with each key size") {
  for_each_kernel([](const Engine& kernel) {
    Random random(2);
    for (const size_t length : {4097, 8191, 16384, 32775, 65519, 65520, 65535}) {
      for (const size_t key_bytes : kKeyBytes) {
        if (is_slow(kernel) && length > 16384) continue;
        const std::vector<Operation> one = {Operation(random, key_bytes, 12, length)};
        CAPTURE(length);
        REQUIRE(Run(kernel, one).seals());
        REQUIRE(Run(kernel, one).opens());
      }
    }
  });
}

TEST_CASE("kernels agree on every AAD length up to 1100 bytes, with and without a text") {
  for_each_kernel([](const Engine& kernel) {
    Random random(3);
    for (size_t length = 0; length <= 1100; length++) {
      if (is_slow(kernel) && !is_near_border(length)) continue;
      const std::vector<Operation> two = {Operation(random, 16, length, 0),
                                          Operation(random, 32, length, length % 200)};
      CAPTURE(length);
      REQUIRE(Run(kernel, two).seals());
      REQUIRE(Run(kernel, two).opens());
    }
  });
}

/// A batch as a busy gateway has it: some SAs with several packets each, of any length.
std::vector<Operation> mixed_batch(Random& random, size_t size, size_t sas) {
  std::vector<std::vector<uint8_t>> keys;
  for (size_t i = 0; i < sas; i++) keys.push_back(random_bytes(random, kKeyBytes[random() % 3]));
  std::vector<Operation> operations;
  for (size_t i = 0; i < size; i++) {
    const size_t longest = random() % 4 == 0 ? 1500 : 200;
    operations.emplace_back(random, keys[random() % sas], random() % 2 == 0 ? 8 : 12,
                            random() % (longest + 1));
  }
  return operations;
}

TEST_CASE("kernels agree on batches of 1 to 64 packets with mixed keys and lengths") {
  for_each_kernel([](const Engine& kernel) {
    Random random(6);
    for (size_t size = 1; size <= Batch::kCapacity; size++) {
      for (const size_t sas : {1, 2, 64}) {
        if (is_slow(kernel) && size % 16 != 0) continue;
        const auto operations = mixed_batch(random, size, sas);
        CAPTURE(size);
        CAPTURE(sas);
        REQUIRE(Run(kernel, operations).seals());
        REQUIRE(Run(kernel, operations).opens());
      }
    }
  });
}

TEST_CASE("kernels agree on full batches of one key in which all packets have the same length") {
  for_each_kernel([](const Engine& kernel) {
    Random random(7);
    for (size_t length = 0; length <= 300; length++) {
      if (is_slow(kernel) && !is_near_border(length)) continue;
      const auto key = random_bytes(random, kKeyBytes[length % 3]);
      std::vector<Operation> operations;
      while (operations.size() < Batch::kCapacity) {
        operations.emplace_back(random, key, 8, length);
      }
      CAPTURE(length);
      REQUIRE(Run(kernel, operations).seals());
      REQUIRE(Run(kernel, operations).opens());
    }
  });
}

TEST_CASE("kernels do nothing on an empty batch") {
  for_each_kernel([](const Engine& kernel) {
    Batch batch;
    kernel.seal(batch);
    CHECK(kernel.open(batch) == 0);
  });
}

TEST_CASE("one wrong bit in ICV, AAD, text or nonce is refused") {
  for_each_kernel([](const Engine& kernel) {
    Random random(8);
    for (const size_t length : {4, 20, 68, 128, 300}) {
      std::vector<Operation> one = {Operation(random, 16, 12, length)};
      Run run(kernel, one);
      const auto is_refused = [&](uint8_t* bytes, size_t bit) {
        bytes[bit / 8] ^= static_cast<uint8_t>(1 << bit % 8);
        return run.open() == 0;
      };
      CAPTURE(length);
      for (size_t bit = 0; bit < 128; bit++) {
        run.prepare_open();
        REQUIRE(is_refused(run.icv(0).data(), bit));
      }
      for (size_t bit = 0; bit < 8 * length; bit += 1 + bit % 7) {
        run.prepare_open();
        REQUIRE(is_refused(run.text(0).data(), bit));
      }
      for (size_t bit = 0; bit < 96; bit++) {
        run.prepare_open();
        auto aad = one[0].aad;
        run.batch().aad[0] = aad.data();
        REQUIRE(is_refused(aad.data(), bit));
        run.prepare_open();
        auto nonce = one[0].nonce;
        run.batch().nonce[0] = nonce.data();
        REQUIRE(is_refused(nonce.data(), bit));
      }
    }
  });
}

TEST_CASE("open tells for each packet of a mixed batch whether its ICV holds") {
  for_each_kernel([](const Engine& kernel) {
    Random random(9);
    for (int round = 0; round < (is_slow(kernel) ? 4 : 100); round++) {
      const auto operations = mixed_batch(random, 1 + random() % Batch::kCapacity, 5);
      Run run(kernel, operations);
      run.prepare_open();
      const uint64_t spoiled = random() & run.all();
      for (size_t i = 0; i < operations.size(); i++) {
        if (spoiled >> i & 1) run.icv(i)[random() % 16] ^= 0x10;
      }
      REQUIRE(run.open() == (run.all() & ~spoiled));
      for (size_t i = 0; i < operations.size(); i++) {
        if (!(spoiled >> i & 1)) REQUIRE(run.text(i) == operations[i].clear);
      }
    }
  });
}

TEST_CASE("libcrypto's kernel agrees with itself on batches of mixed keys and refuses wrong bits") {
  Random random(10);
  const auto operations = mixed_batch(random, 64, 7);
  Run run(crypto::kOpensslEngine, operations);
  CHECK(run.seals());
  CHECK(run.opens());
  run.prepare_open();
  run.icv(5)[0] ^= 1;
  CHECK(run.open() == (run.all() & ~(uint64_t{1} << 5)));
}

TEST_CASE("a key's table is wiped when it goes") {
  for (const Engine* kernel : gcm_engines()) {
    const std::vector<uint8_t> raw = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};
    std::optional<KeyTable> key(std::in_place, *kernel, gcm_suite(16), crypto::Keys{raw});
    const uint8_t* memory = key->data();
    REQUIRE(std::any_of(memory, memory + key->bytes(), [](uint8_t b) { return b != 0; }));
    const WatchedMemory watched(memory, key->bytes());
    key.reset();
    CHECK(watched.freed());
    CHECK(watched.was_zero());
  }
}

}  // namespace
}  // namespace esplane::test
