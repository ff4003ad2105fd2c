#include "port/umem.h"

#include <doctest/doctest.h>

#include <set>
#include <stdexcept>

#include "port/resources.h"

using namespace esplane::port;

TEST_CASE("a Umem has aligned, writable frames of the two sizes that AF_XDP takes") {
  for (uint32_t chunk : {2048u, 4096u}) {
    Umem umem(100, chunk);
    CHECK(reinterpret_cast<uintptr_t>(umem.base()) % chunk == 0);
    CHECK(umem.bytes() == 100u * chunk);
    umem.base()[umem.bytes() - 1] = 1;
    CHECK(umem.address(umem.at(5 * chunk + 3)) == 5 * chunk + 3);
  }
  for (uint32_t chunk : {0u, 1024u, 3000u, 8192u})
    CHECK_THROWS_AS(Umem(16, chunk), std::invalid_argument);
  CHECK_THROWS_AS(Umem(0, 2048), std::invalid_argument);
}

TEST_CASE("frame pools own disjoint frames and take any address within a frame back") {
  Umem umem(64, 2048);
  FramePool first(umem, 0, 40), second(umem, 40, 24);
  std::set<uint8_t*> seen;
  while (uint8_t* frame = first.get()) seen.insert(frame);
  while (uint8_t* frame = second.get()) seen.insert(frame);
  CHECK(seen.size() == 64);
  CHECK(first.get() == nullptr);
  first.put(umem.base() + 2047);
  CHECK(first.get() == umem.base());
  CHECK_THROWS_AS(FramePool(umem, 40, 25), std::out_of_range);
  CHECK_THROWS_AS(FramePool(umem, 65, 0), std::out_of_range);
}

TEST_CASE("rings of a worker's two queues leave frames over") {
  for (uint32_t frames : {512u, 1024u, 4096u, 8192u, 65536u}) {
    const uint32_t ring = Resources::ring_entries_for(frames);
    CAPTURE(frames);
    CHECK(4 * ring < frames);
    CHECK((ring & (ring - 1)) == 0);
  }
}
