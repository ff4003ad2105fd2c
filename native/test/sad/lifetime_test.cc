// Lifetimes of SAs: exact to the packet, told once, whoever counts.
#include <doctest/doctest.h>

#include <atomic>
#include <random>
#include <thread>
#include <vector>

#include "sad/lifetime.h"

namespace esplane::sad {
namespace {

using Cause = Lifetime::Cause;

struct Counted {
  explicit Counted(const LifetimeLimits& limits, uint32_t now_s = 1000) : lifetime(limits, now_s) {}
  Usage usage() { return {packets, bytes, lifetime}; }

  /// Sends a group. @return how many passed, from the front
  uint32_t send(uint32_t count, uint32_t bytes_each, uint32_t now_s = 1000) {
    auto group = usage().take(count, uint64_t{count} * bytes_each, now_s);
    if (!group.watched) return count;
    uint32_t passed = 0, refused = 0;
    for (uint32_t i = 0; i < count; i++) (lifetime.admits(group, bytes_each) ? passed : refused)++;
    usage().give_back(group, refused, uint64_t{refused} * bytes_each);
    return passed;
  }

  std::atomic<uint64_t> packets{0}, bytes{0};
  Lifetime lifetime;
};

TEST_CASE("without limits everything passes and nothing is told") {
  Counted sa({});
  CHECK(sa.send(64, 1500) == 64);
  CHECK(sa.send(64, 1500, ~0u - 1) == 64);
  CHECK_FALSE(sa.lifetime.has_news());
  CHECK_FALSE(sa.lifetime.is_over());
}

TEST_CASE("a hard limit of packets lets exactly so many through, in the middle of a group") {
  Counted sa({.hard_packets = 100});
  CHECK(sa.send(64, 100) == 64);
  CHECK_FALSE(sa.lifetime.has_news());
  CHECK(sa.send(64, 100) == 36);
  CHECK(sa.send(1, 100) == 0);
  CHECK(sa.packets == 100);
  CHECK(sa.bytes == 10000);
  CHECK(sa.lifetime.take_news(true) == Cause::kPackets);
  CHECK_FALSE(sa.lifetime.take_news(true));
  CHECK_FALSE(sa.lifetime.take_news(false));  // there is no soft limit of its own
  CHECK(sa.lifetime.is_over());
}

TEST_CASE("a hard limit of bytes is never passed, nor by a shorter packet later") {
  Counted sa({.hard_bytes = 1000});
  CHECK(sa.send(1, 700) == 1);
  CHECK(sa.send(3, 150) == 2);  // 1000 exactly
  CHECK(sa.lifetime.take_news(true) == Cause::kBytes);
  CHECK(sa.bytes == 1000);

  Counted other({.hard_bytes = 1000});
  CHECK(other.send(1, 999) == 1);
  CHECK(other.send(2, 500) == 0);
  CHECK(other.send(1, 1) == 0);
  CHECK(other.bytes == 999);
  CHECK(other.packets == 1);
  CHECK(other.lifetime.take_news(true) == Cause::kBytes);
}

TEST_CASE("a soft limit is told once, with the packet that reaches it, and stops nothing") {
  Counted sa({.soft_bytes = 5000, .hard_bytes = 20000, .soft_packets = 1000});
  CHECK(sa.send(49, 100) == 49);
  CHECK_FALSE(sa.lifetime.has_news());
  CHECK(sa.send(1, 100) == 1);
  CHECK(sa.lifetime.has_news());
  CHECK(sa.lifetime.take_news(false) == Cause::kBytes);
  CHECK(sa.send(64, 100) == 64);
  CHECK_FALSE(sa.lifetime.has_news());
  CHECK_FALSE(sa.lifetime.is_over());
}

TEST_CASE("a soft limit beyond the hard one is the hard one") {
  Counted sa({.soft_packets = 50, .hard_packets = 10});
  CHECK(sa.send(20, 1) == 10);
  CHECK_FALSE(sa.lifetime.take_news(false));
  CHECK(sa.lifetime.take_news(true) == Cause::kPackets);
}

TEST_CASE("time ends an SA to the second, and for good") {
  Counted sa({.soft_seconds = 60, .hard_seconds = 100});
  CHECK(sa.send(8, 100, 1059) == 8);
  CHECK_FALSE(sa.lifetime.has_news());
  CHECK(sa.send(8, 100, 1060) == 8);
  CHECK(sa.lifetime.take_news(false) == Cause::kTime);
  CHECK(sa.send(8, 100, 1099) == 8);
  CHECK_FALSE(sa.lifetime.has_news());
  CHECK(sa.send(8, 100, 1100) == 0);
  CHECK(sa.lifetime.take_news(true) == Cause::kTime);
  CHECK(sa.send(8, 100, 1000) == 0);
  CHECK(sa.packets == 24);
  CHECK_FALSE(sa.lifetime.has_news());
}

TEST_CASE("a limit of time beyond what seconds can count is none") {
  Counted sa({.hard_seconds = ~0u - 1}, 5'000);
  CHECK(sa.send(1, 1, ~0u - 1) == 1);
}

TEST_CASE("four workers together let exactly as many packets through as the limit says") {
  for (const uint64_t limit : {1u, 1000u, 99'991u}) {
    Counted sa({.soft_packets = limit / 2, .hard_packets = limit});
    std::atomic<uint64_t> passed{0}, soft{0}, hard{0};
    {
      std::vector<std::jthread> workers;
      for (uint32_t t = 0; t < 4; t++) {
        workers.emplace_back([&, t] {
          std::mt19937 random(t);
          for (uint32_t idle = 0; idle < 3;) {
            const uint32_t n = sa.send(1 + static_cast<uint32_t>(random() % 64), 100);
            passed += n;
            idle = n == 0 ? idle + 1 : 0;
            if (sa.lifetime.take_news(false)) soft++;
            if (sa.lifetime.take_news(true)) hard++;
          }
        });
      }
    }
    CHECK(passed == limit);
    CHECK(sa.packets == limit);
    CHECK(sa.bytes == limit * 100);
    CHECK(soft == 1);
    CHECK(hard == 1);
  }
}

}  // namespace
}  // namespace esplane::sad
