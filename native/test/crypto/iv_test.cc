// IVs of AES-CBC: all different, nothing of the counter to be seen in them, the same on any CPU.
#include <doctest/doctest.h>

#include <array>
#include <cstring>
#include <set>
#include <vector>

#include "crypto/iv.h"

namespace esplane::crypto {
namespace {

using Iv = std::array<uint8_t, 16>;

/// The IVs of sequence numbers first .. first + count - 1.
template <typename Write>
std::vector<Iv> ivs(Write write, uint64_t stream, uint64_t first, uint32_t count) {
  std::vector<Iv> made(count);
  for (uint32_t i = 0; i < count;) {
    IvBatch batch;
    for (; batch.size < 1 + first % IvBatch::kCapacity && i < count; i++) {
      batch.add(stream, first + i, made[i].data());
    }
    write(batch);
  }
  return made;
}

TEST_CASE("5,000 packets of each of two SAs have 10,000 IVs") {
  std::set<Iv> seen;
  for (int sa = 0; sa < 2; sa++) {
    for (const Iv& iv : ivs(write_ivs, new_iv_stream(), 1, 5000)) seen.insert(iv);
  }
  CHECK(seen.size() == 10000);
}

TEST_CASE("IVs of neighbouring sequence numbers differ in about half of their bits") {
  const auto made = ivs(write_ivs, new_iv_stream(), 1, 1001);
  uint64_t differing = 0;
  for (size_t i = 1; i < made.size(); i++) {
    for (size_t b = 0; b < 16; b++) {
      differing += static_cast<uint64_t>(__builtin_popcount(made[i][b] ^ made[i - 1][b]));
    }
  }
  // 128,000 fair coins: 64,000, with a standard deviation of 179.
  CHECK(differing > 64000 - 1500);
  CHECK(differing < 64000 + 1500);
}

TEST_CASE("IVs do not depend on how many are made at once, nor on AES-NI") {
  const uint64_t stream = new_iv_stream();
  for (const uint64_t first : {1, 7, 8, 63, 64}) {
    CAPTURE(first);
    CHECK(ivs(write_ivs, stream, first, 200) == ivs(write_ivs_portably, stream, first, 200));
  }
  const auto one = ivs(write_ivs, stream, 64, 1);
  CHECK(ivs(write_ivs, stream, 63, 2).back() == one.front());
}

}  // namespace
}  // namespace esplane::crypto
