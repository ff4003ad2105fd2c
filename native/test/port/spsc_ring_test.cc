#include <doctest/doctest.h>

#include "port/memory/spsc_ring.h"

using esplane::port::SpscRing;

TEST_CASE("a ring takes a whole burst as soon as the consumer has made room for it") {
  SpscRing<int> ring(64);
  for (int i = 0; i < 60; i++) ring.push(i);
  ring.publish();
  CHECK(ring.room(10) == 4);
  REQUIRE(ring.available() == 60);
  for (int i = 0; i < 60; i++) CHECK(ring.pop() == i);
  ring.release();
  CHECK(ring.room(4) == 4);
  CHECK(ring.room(10) == 64);
}
