// Lifetimes of SAs (RFC 4301 §4.4.2.1) through the stages: exact counters, one event for each limit.
#include <doctest/doctest.h>

#include <vector>

#include "base/clock.h"
#include "test/pipeline/rig.h"

namespace {

using namespace esplane;
using net::NextHop;
using packet::Verdict;
using pipeline::Event;
using sad::Lifetime;
using test::Rig;

constexpr uint32_t kPacketBytes = 60;

/// A gateway whose SA carries both ways: what it sends is, its outer addresses exchanged, what it
/// would receive.
struct Expiring : Rig {
  uint32_t spi = 0;

  explicit Expiring(const sad::LifetimeLimits& limits) {
    static constexpr uint8_t kKey[20] = {9};
    const auto any = range("10.0.0.0", "10.255.255.255");
    auto policy = entry(spd::Direction::kOutbound);
    policy.local = policy.remote = {any};
    spd.set({policy});
    sad::SaParameters p;
    p.inbound_spi = p.outbound_spi = spi = sad.allocate_spi();
    p.local = test::address("192.0.2.1");
    p.remote = test::address("192.0.2.2");
    p.inbound_key = p.outbound_key = kKey;
    p.local_selectors = p.remote_selectors = {any};
    p.lifetime = limits;
    spd.attach("tunnel", sad.install(p), {any}, {any});
    core.now_s = base::monotonic_s();
    // Both next hops are known before.
    receive(kLan, packets(1));
    answer("192.0.2.2", NextHop::Kind::kForward, kWan);
    auto first = reflected();
    receive(kWan, first);
    answer("10.1.0.9", NextHop::Kind::kForward, kLan);
    CHECK(sent(kLan).size() == 1);
  }

  static std::vector<std::vector<uint8_t>> packets(uint32_t count) {
    std::vector<std::vector<uint8_t>> all;
    for (uint32_t i = 0; i < count; i++)
      all.push_back(ipv4("10.2.0.7", "10.1.0.9", static_cast<uint8_t>(i), kPacketBytes));
    return all;
  }
  std::vector<std::vector<uint8_t>> reflected() {
    auto outer = sent(kWan);
    for (auto& p : outer) {
      for (int i = 0; i < 4; i++) std::swap(p[12 + i], p[16 + i]);
    }
    return outer;
  }
  std::vector<Event> expiries() {
    std::vector<Event> all;
    Event e;
    while (events.pop(e)) {
      if (e.kind == Event::Kind::kExpire) all.push_back(e);
    }
    return all;
  }
  sad::PairCounters pair() const { return *sad.counters(spi); }
};

}  // namespace

TEST_CASE("outbound: a hard limit in the middle of a burst lets exactly its packets through") {
  Expiring rig({.soft_packets = 20, .hard_packets = 50});  // one was sent
  rig.receive(Rig::kLan, Expiring::packets(18));
  CHECK(rig.expiries().empty());
  rig.receive(Rig::kLan, Expiring::packets(16));
  auto told = rig.expiries();
  REQUIRE(told.size() == 1);
  CHECK(told[0].spi == rig.spi);
  CHECK_FALSE(told[0].inbound);
  CHECK_FALSE(told[0].hard);
  CHECK(told[0].cause == Lifetime::Cause::kPackets);

  rig.receive(Rig::kLan, Expiring::packets(32));  // 15 of them
  told = rig.expiries();
  REQUIRE(told.size() == 1);
  CHECK(told[0].hard);
  CHECK(told[0].cause == Lifetime::Cause::kPackets);
  rig.receive(Rig::kLan, Expiring::packets(32));
  CHECK(rig.expiries().empty());

  CHECK(rig.sent(Rig::kWan).size() == 49);
  CHECK(rig.count(Verdict::kLifetimeExpired) == 17 + 32);
  CHECK(rig.pair().out_packets == 50);
  CHECK(rig.pair().out_bytes == 50 * kPacketBytes);
  CHECK(rig.pool.available() == Rig::kFrames);
}

TEST_CASE("outbound: bytes are those of the inner packets") {
  Expiring rig({.soft_bytes = 10 * kPacketBytes, .hard_bytes = 20 * kPacketBytes + 1});
  rig.receive(Rig::kLan, Expiring::packets(32));
  CHECK(rig.sent(Rig::kWan).size() == 19);
  CHECK(rig.count(Verdict::kLifetimeExpired) == 13);
  CHECK(rig.pair().out_bytes == 20 * kPacketBytes);
  const auto told = rig.expiries();
  REQUIRE(told.size() == 2);
  CHECK_FALSE(told[0].hard);
  CHECK(told[1].hard);
  for (const auto& event : told) CHECK(event.cause == Lifetime::Cause::kBytes);
}

TEST_CASE("inbound: a hard limit in the middle of a burst lets exactly its packets through") {
  Expiring rig({.soft_packets = 10, .hard_packets = 12});
  rig.receive(Rig::kLan, Expiring::packets(11));
  auto outer = rig.reflected();
  REQUIRE(outer.size() == 11);
  CHECK(rig.expiries().size() == 2);  // outbound: soft, and hard with the last
  // The last three come twice and are no packets to count.
  outer.insert(outer.end(), outer.end() - 3, outer.end());
  rig.receive(Rig::kWan, {outer.begin(), outer.begin() + 8});
  CHECK(rig.expiries().empty());
  rig.receive(Rig::kWan, {outer.begin() + 8, outer.end()});
  const auto told = rig.expiries();
  REQUIRE(told.size() == 2);
  for (const auto& event : told) {
    CHECK(event.inbound);
    CHECK(event.spi == rig.spi);
    CHECK(event.cause == Lifetime::Cause::kPackets);
  }
  CHECK(rig.count(Verdict::kReplayDuplicate) == 3);
  CHECK(rig.sent(Rig::kLan).size() == 11);
  CHECK(rig.pair().in_packets == 12);
  CHECK(rig.pair().in_bytes == 12 * kPacketBytes);
}

TEST_CASE("inbound: packets past the hard limit are dropped by name, before and behind the cipher") {
  Expiring rig({.hard_packets = 40});
  rig.receive(Rig::kLan, Expiring::packets(39));
  const auto outer = rig.reflected();
  REQUIRE(outer.size() == 39);
  // As if the peer had another limit.
  sad::Lifetime& lifetime = rig.sad.find(rig.spi)->lifetime;
  lifetime.~Lifetime();
  new (&lifetime) sad::Lifetime({.hard_packets = 6}, rig.core.now_s);
  rig.receive(Rig::kWan, {outer.begin(), outer.begin() + 20});
  CHECK(rig.sent(Rig::kLan).size() == 5);
  CHECK(rig.count(Verdict::kLifetimeExpired) == 15);
  rig.receive(Rig::kWan, {outer.begin() + 20, outer.end()});
  CHECK(rig.count(Verdict::kLifetimeExpired) == 34);
  CHECK(rig.pair().in_packets == 6);
  CHECK(rig.pair().refused[static_cast<uint32_t>(Verdict::kLifetimeExpired)] == 34);
  CHECK(rig.pool.available() == Rig::kFrames);
}

TEST_CASE("without a control plane, time ends both SAs of a pair") {
  Expiring rig({.soft_seconds = 100, .hard_seconds = 200});
  rig.core.now_s += 150;
  rig.receive(Rig::kLan, Expiring::packets(2));
  auto outer = rig.reflected();
  REQUIRE(outer.size() == 2);
  rig.receive(Rig::kWan, {outer[0]});
  CHECK(rig.sent(Rig::kLan).size() == 1);
  auto told = rig.expiries();
  REQUIRE(told.size() == 2);
  for (const auto& event : told) {
    CHECK_FALSE(event.hard);
    CHECK(event.cause == Lifetime::Cause::kTime);
  }
  rig.core.now_s += 51;
  rig.receive(Rig::kLan, Expiring::packets(2));
  rig.receive(Rig::kWan, {outer[1]});
  CHECK(rig.sent(Rig::kWan).empty());
  CHECK(rig.sent(Rig::kLan).empty());
  CHECK(rig.count(Verdict::kLifetimeExpired) == 3);
  told = rig.expiries();
  REQUIRE(told.size() == 2);
  for (const auto& event : told) CHECK(event.hard);
}
