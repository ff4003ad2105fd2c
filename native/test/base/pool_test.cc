// The pool of blocks: who gets what, and what goes back to the kernel.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "base/pool.h"

namespace esplane::base {
namespace {

/// A block with a pattern of its own in all of it.
struct Filled {
  uint8_t* memory;
  size_t bytes;
  uint8_t pattern;

  Filled(Pool& pool, size_t n, uint8_t p)
      : memory(static_cast<uint8_t*>(pool.allocate(n))), bytes(n), pattern(p) {
    std::memset(memory, pattern, bytes);
  }
  bool holds() const {
    return std::all_of(memory, memory + bytes, [this](uint8_t b) { return b == pattern; });
  }
};

/// Bytes that the process has mapped.
uint64_t mapped_bytes() {
  uint64_t pages = 0;
  std::ifstream("/proc/self/statm") >> pages;
  return pages * 4096;
}

void churn(Pool& pool, uint32_t seed, uint32_t steps) {
  std::mt19937 random(seed);
  std::vector<Filled> held;
  for (uint32_t i = 0; i < steps; i++) {
    if (held.empty() || random() % 5 < 3) {
      const size_t bytes = 1 + random() % (random() % 8 == 0 ? 20'000 : 2'000);
      held.emplace_back(pool, bytes, static_cast<uint8_t>(random()));
    } else {
      std::swap(held[random() % held.size()], held.back());
      REQUIRE(held.back().holds());
      pool.release(held.back().memory, held.back().bytes);
      held.pop_back();
    }
  }
  for (const Filled& block : held) {
    REQUIRE(block.holds());
    pool.release(block.memory, block.bytes);
  }
}

TEST_CASE("blocks of the pool are aligned to cache lines and overlap nowhere") {
  Pool pool;
  std::vector<Filled> blocks;
  for (size_t bytes = 1; bytes <= 17'000; bytes += 1 + bytes / 3) {
    for (uint8_t n = 0; n < 50; n++) {
      blocks.emplace_back(pool, bytes, static_cast<uint8_t>(bytes + n));
      CHECK(reinterpret_cast<uintptr_t>(blocks.back().memory) % Pool::kAlignment == 0);
    }
  }
  for (const Filled& block : blocks) CHECK(block.holds());
  for (const Filled& block : blocks) pool.release(block.memory, block.bytes);
}

TEST_CASE("what comes and goes at random keeps its contents") {
  Pool pool;
  churn(pool, 4303, 20'000);
}

TEST_CASE("threads share a pool") {
  Pool pool;
  std::vector<std::jthread> threads;
  for (uint32_t t = 0; t < 3; t++) threads.emplace_back([&pool, t] { churn(pool, t, 3'000); });
}

TEST_CASE("one that comes and goes alone does not map memory anew each time") {
  Pool pool;
  void* first = pool.allocate(1024);
  pool.release(first, 1024);
  const uint64_t before = mapped_bytes();
  void* second = pool.allocate(1024);
  CHECK(second == first);
  CHECK(mapped_bytes() == before);
  pool.release(second, 1024);
  CHECK(mapped_bytes() == before);
}

TEST_CASE("a chunk that has become empty goes back to the kernel, and a full one is used again") {
  constexpr size_t kBytes = 1024, kCount = 20'000;
  Pool pool;
  const uint64_t before = mapped_bytes();
  std::vector<void*> blocks;
  for (size_t i = 0; i < kCount; i++) blocks.push_back(pool.allocate(kBytes));
  const uint64_t full = mapped_bytes();
  CHECK(full - before >= kCount * kBytes);
  CHECK(full - before < kCount * kBytes * 12 / 10);

  // Every other one: no chunk is empty, and their places are given out again.
  for (size_t i = 0; i < kCount; i += 2) pool.release(blocks[i], kBytes);
  for (size_t i = 0; i < kCount; i += 2) blocks[i] = pool.allocate(kBytes);
  CHECK(mapped_bytes() <= full + (2 << 20));

  for (void* block : blocks) pool.release(block, kBytes);
  CHECK(mapped_bytes() < before + (4 << 20));
}

}  // namespace
}  // namespace esplane::base
