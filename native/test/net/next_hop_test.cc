// The worker's cache of next hops against a source that answers when told to, and static routes.
#include <doctest/doctest.h>

#include <deque>
#include <vector>

#include "net/next_hop_cache.h"
#include "net/static_next_hops.h"

namespace {

using namespace esplane::net;

struct FakeClient final : NextHopClient {
  std::vector<IpAddress> asked;
  uint32_t current = 1;
  bool full = false;

  Asked ask(const IpAddress& destination, NextHop&) override {
    if (full) return Asked::kFull;
    asked.push_back(destination);
    return Asked::kLater;
  }
  bool take(Answer&) override { return false; }
  uint32_t generation() const override { return current; }
};

IpAddress address(const char* text) { return *IpAddress::parse(text); }

Answer forward(const char* to, uint16_t port) {
  Answer a{.address = address(to)};
  a.hop.kind = NextHop::Kind::kForward;
  a.hop.port = port;
  return a;
}

}  // namespace

TEST_CASE("a destination is asked for once while its answer is under way") {
  FakeClient source;
  NextHopCache cache(source, 1, 4);
  CHECK_FALSE(cache.find(address("10.0.0.1"), 0)->answered);
  CHECK_FALSE(cache.find(address("10.0.0.1"), 10)->answered);
  CHECK(source.asked.size() == 1);
  cache.record(forward("10.0.0.1", 3), 20);
  const auto* e = cache.find(address("10.0.0.1"), 30);
  CHECK(e->answered);
  CHECK(e->hop.port == 3);
  CHECK(source.asked.size() == 1);
}

TEST_CASE("an unanswered question is repeated after a second, one that found no room at once") {
  FakeClient source;
  NextHopCache cache(source, 1, 4);
  source.full = true;
  cache.find(address("10.0.0.1"), 0);
  source.full = false;
  cache.find(address("10.0.0.1"), 1);
  CHECK(source.asked.size() == 1);
  cache.find(address("10.0.0.1"), 1000);
  CHECK(source.asked.size() == 1);
  cache.find(address("10.0.0.1"), 1001);
  CHECK(source.asked.size() == 2);
}

TEST_CASE("an entry in use is asked for again every ten seconds and serves meanwhile") {
  FakeClient source;
  NextHopCache cache(source, 1, 4);
  cache.find(address("10.0.0.1"), 0);
  cache.record(forward("10.0.0.1", 3), 0);
  CHECK(cache.find(address("10.0.0.1"), 9'999)->answered);
  CHECK(source.asked.size() == 1);
  CHECK(cache.find(address("10.0.0.1"), 10'000)->answered);
  CHECK(source.asked.size() == 2);
}

TEST_CASE("an answer that nobody refreshed for thirty seconds is not trusted") {
  FakeClient source;
  NextHopCache cache(source, 1, 4);
  cache.find(address("10.0.0.1"), 0);
  cache.record(forward("10.0.0.1", 3), 0);
  CHECK_FALSE(cache.find(address("10.0.0.1"), 30'000)->answered);
}

TEST_CASE("a change of routes makes every entry ask again, and the old answer serves meanwhile") {
  FakeClient source;
  NextHopCache cache(source, 1, 4);
  cache.find(address("10.0.0.1"), 0);
  cache.record(forward("10.0.0.1", 3), 1);
  source.current = 2;
  CHECK(cache.find(address("10.0.0.1"), 2)->answered);
  CHECK(source.asked.size() == 2);
  cache.record(forward("10.0.0.1", 4), 3);
  CHECK(cache.find(address("10.0.0.1"), 4)->hop.port == 4);
  CHECK(source.asked.size() == 2);
}

TEST_CASE("a route that changes while its question is under way is asked for again") {
  FakeClient source;
  NextHopCache cache(source, 1, 4);
  cache.find(address("10.0.0.1"), 0);
  source.current = 2;
  cache.record(forward("10.0.0.1", 3), 1);
  cache.find(address("10.0.0.1"), 2);
  CHECK(source.asked.size() == 2);
}

TEST_CASE("a neighbour that did not answer is believed dead for one second") {
  FakeClient source;
  NextHopCache cache(source, 1, 4);
  cache.find(address("10.0.0.1"), 0);
  Answer dead{.address = address("10.0.0.1")};
  dead.hop.kind = NextHop::Kind::kUnresolved;
  cache.record(dead, 0);
  CHECK(NextHopCache::failed(*cache.find(address("10.0.0.1"), 999)));
  CHECK_FALSE(cache.find(address("10.0.0.1"), 1000)->answered);
}

TEST_CASE("an entry that packets wait for is never evicted, and a set full of them refuses") {
  FakeClient source;
  NextHopCache cache(source, 1, 1);  // one set of four
  for (const char* a : {"10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4"})
    cache.find(address(a), 0)->held = 1;
  CHECK(cache.find(address("10.0.0.5"), 1) == nullptr);
  cache.find(address("10.0.0.3"), 1)->held = 0;
  CHECK(cache.find(address("10.0.0.5"), 2) != nullptr);
  CHECK(cache.record(forward("10.0.0.3", 1), 3) == nullptr);
}

TEST_CASE("where a port comes or goes, what leads there or to none is asked for anew") {
  FakeClient source;
  NextHopCache cache(source, 1, 4);
  auto elsewhere = forward("10.0.0.3", 0);
  elsewhere.hop.kind = NextHop::Kind::kElsewhere;
  for (const auto& answer : {forward("10.0.0.1", 3), forward("10.0.0.2", 4), elsewhere}) {
    cache.find(answer.address, 0);
    cache.record(answer, 1);
  }
  cache.forget(3);
  CHECK(source.asked.size() == 3);
  CHECK_FALSE(cache.find(address("10.0.0.1"), 2)->answered);
  CHECK(cache.find(address("10.0.0.2"), 2)->answered);
  CHECK_FALSE(cache.find(address("10.0.0.3"), 2)->answered);
  CHECK(source.asked.size() == 5);
}

TEST_CASE("IPv4 and IPv6 destinations share the cache without meeting") {
  FakeClient source;
  NextHopCache cache(source, 1, 4);
  cache.find(address("1.2.3.4"), 0);
  cache.record(forward("1.2.3.4", 1), 0);
  CHECK_FALSE(cache.find(address("::1.2.3.4"), 0)->answered);
  CHECK_FALSE(cache.find(address("::ffff:1.2.3.4"), 0)->answered);
}

TEST_CASE("of static routes the longest prefix wins, and none is no route") {
  NextHop lan{.kind = NextHop::Kind::kForward, .port = 0};
  NextHop wan{.kind = NextHop::Kind::kForward, .port = 1};
  NextHop local{.kind = NextHop::Kind::kLocal};
  StaticNextHops hops({{*Prefix::parse("0.0.0.0/0"), wan},
                       {*Prefix::parse("10.1.0.0/16"), lan},
                       {*Prefix::parse("10.1.0.1"), local}},
                      {});
  const auto client = hops.connect(-1);
  const auto ask = [&](const char* text) {
    NextHop hop;
    REQUIRE(client->ask(address(text), hop) == NextHopClient::Asked::kNow);
    return hop;
  };
  CHECK(ask("10.1.2.3").port == 0);
  CHECK(ask("10.2.2.3").port == 1);
  CHECK(ask("10.1.0.1").kind == NextHop::Kind::kLocal);
  CHECK(ask("2001:db8::1").kind == NextHop::Kind::kNoRoute);
}

TEST_CASE("a prefix is read from text, and nonsense is refused") {
  CHECK(Prefix::parse("10.0.0.0/9")->contains(address("10.127.255.255")));
  CHECK_FALSE(Prefix::parse("10.0.0.0/9")->contains(address("10.128.0.0")));
  CHECK(Prefix::parse("2001:db8::/33")->contains(address("2001:db8:7fff::1")));
  CHECK_FALSE(Prefix::parse("2001:db8::/33")->contains(address("2001:db8:8000::1")));
  CHECK(Prefix::parse("0.0.0.0/0")->contains(address("255.255.255.255")));
  CHECK_FALSE(Prefix::parse("::/0")->contains(address("1.1.1.1")));
  for (const char* text : {"10.0.0.0/33", "10.0.0/8", "10.0.0.0/", "10.0.0.0/-1", "::/129", ""})
    CHECK_FALSE(Prefix::parse(text).has_value());
}
