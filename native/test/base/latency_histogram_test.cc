// Percentiles of many times in bounded memory.
#include <doctest/doctest.h>

#include "base/latency_histogram.h"

namespace esplane::base {
namespace {

TEST_CASE("a percentile is that of its class, and above no time that was seen") {
  LatencyHistogram times;
  for (uint64_t ns = 1; ns <= 100'000; ns++) times.add(ns);
  CHECK(times.percentile(0.5) == doctest::Approx(50'000).epsilon(0.016));
  CHECK(times.percentile(0.99) == doctest::Approx(99'000).epsilon(0.016));
  CHECK(times.percentile(0.999) <= 100'000);
  LatencyHistogram one;
  one.add(1'000);  // the lowest of its class
  CHECK(one.percentile(0.5) == 1'000);
  CHECK(one.most() == 1'000);
}

}  // namespace
}  // namespace esplane::base
