// Traffic flow confidentiality through the stages (RFC 4303 §2.7, §2.6), and limits of time that
// are reached in silence.
#include <doctest/doctest.h>

#include <set>

#include "test/pipeline/echo.h"

using namespace esplane;
using namespace esplane::test;

namespace {

Echo::Options padded_to(uint16_t bytes) { return {.tfc = {.pad_to_bytes = bytes}}; }

/// Bytes around an inner packet over IPv4, without padding.
constexpr uint32_t kAround = 20 + 16 + 2 + 16;

}  // namespace

TEST_CASE("packets are padded to one length, and arrive as they were") {
  Echo rig(padded_to(1000));
  std::vector<Bytes> packets;
  for (const uint32_t bytes : {20u, 60u, 61u, 62u, 63u, 500u, 999u, 1000u}) packets.push_back(inner(bytes));
  rig.receive_all(Rig::kLan, packets);
  const auto outer = rig.reflect_all();
  REQUIRE(outer.size() == packets.size());
  for (const auto& p : outer) CHECK(p.size() == outer[0].size());
  CHECK(outer[0].size() - kAround >= 1000);
  CHECK(outer[0].size() - kAround < 1004);
  const auto arrived = rig.sent(Rig::kLan);
  REQUIRE(arrived.size() == packets.size());
  for (size_t i = 0; i < packets.size(); i++) CHECK(arrived[i] == hopped(hopped(packets[i])));
  CHECK(rig.sad.counters(rig.spi)->out_bytes == 1000 * packets.size());
}

TEST_CASE("a longer one is not cut, and a padded one never exceeds the path") {
  Echo rig(padded_to(65535));
  rig.receive_all(Rig::kLan, {inner(20), inner(1446)});
  auto outer = rig.sent(Rig::kWan);
  REQUIRE(outer.size() == 2);
  for (const auto& p : outer) CHECK(p.size() == 1500);
  rig.sad.outbound(rig.spi)->path_mtu.lower(1300, rig.core.now_ms);
  rig.receive_all(Rig::kLan, {inner(20)});
  outer = rig.sent(Rig::kWan);
  REQUIRE(outer.size() == 1);
  CHECK(outer[0].size() <= 1300);
  CHECK(outer[0].size() > 1296);
  // Pieces are padded as well.
  rig.receive_all(Rig::kLan, {inner(1400)});
  outer = rig.reflect_all();
  REQUIRE(outer.size() == 2);
  for (const auto& p : outer) CHECK(p.size() > 1296);
  CHECK(joined(rig.sent(Rig::kLan)) == hopped(hopped(inner(1400))));
}

TEST_CASE("where the path takes more than a frame holds, packets are padded to the frame") {
  Echo rig(padded_to(65535));
  rig.know("192.0.2.2", Rig::kWan, 9000);
  rig.receive_all(Rig::kLan, {inner(100)});
  const auto outer = rig.reflect_all();
  REQUIRE(outer.size() == 1);
  CHECK(outer[0].size() > 1500);
  CHECK(rig.sent(Rig::kLan) == std::vector<Bytes>{hopped(hopped(inner(100)))});
}

TEST_CASE("a silent SA sends dummies, which the receiver drops without a word") {
  Echo rig(Echo::Options{.tfc = {.pad_to_bytes = 700, .dummies_per_second = 10}});
  CHECK(rig.stages.until_dummies_ms() == 0);
  rig.stages.send_dummies();  // looks for the first time
  CHECK(rig.stages.until_dummies_ms() == 100);
  for (uint32_t n = 1; n <= 5; n++) {
    rig.core.now_ms += 99;
    rig.know("192.0.2.2", Rig::kWan);
    rig.stages.send_dummies();
    CHECK(rig.counters.dummies_sent.read() == n - 1);
    CHECK(rig.stages.until_dummies_ms() == 1);
    rig.core.now_ms += 1;
    rig.stages.send_dummies();
    CHECK(rig.counters.dummies_sent.read() == n);
  }
  rig.core.egress.send();
  for (auto& q : rig.queues) q->flush();
  const auto outer = rig.reflect_all();
  REQUIRE(outer.size() == 5);
  for (const auto& p : outer) CHECK(p.size() == 700 + kAround + 2);
  CHECK(rig.counts() == Counts{{"dummy_packet", 5}});
  CHECK(rig.counters.esp_out_packets.read() == 5);
  CHECK(rig.sent(Rig::kLan).empty());
  CHECK(rig.pool.available() == Rig::kFrames);
}

TEST_CASE("as many go out a second as are asked for, however often is looked") {
  for (const uint32_t rate : {1u, 3u, 7u, 30u, 60u, 300u, 600u, 999u, 1000u, 1500u, 1999u}) {
    for (const uint32_t step_ms : {1u, 3u, 7u}) {
      CAPTURE(rate);
      CAPTURE(step_ms);
      Echo rig(Echo::Options{.tfc = {.dummies_per_second = rate}});
      rig.stages.send_dummies();
      for (uint32_t ms = 0; ms < 4200; ms += step_ms) {
        rig.core.now_ms += step_ms;
        rig.know("192.0.2.2", Rig::kWan);
        rig.stages.send_dummies();
        rig.core.egress.send();
        for (auto& q : rig.queues) q->flush();
        rig.sent(Rig::kWan);
      }
      const uint64_t sent = rig.counters.dummies_sent.read();
      CHECK(sent <= uint64_t{rate} * 4200 / 1000);
      CHECK(sent + 1 + rate * step_ms / 1000 >= uint64_t{rate} * 4200 / 1000);
    }
  }
}

TEST_CASE("none goes out before the peer has the pair, nor once another serves in its place") {
  Echo rig(Echo::Options{.tfc = {.dummies_per_second = 10}});
  const auto after_a_second = [&] {
    rig.know("192.0.2.2", Rig::kWan);
    const uint64_t before = rig.counters.dummies_sent.read();
    for (uint32_t n = 0; n < 11; n++) {
      rig.stages.send_dummies();
      rig.core.now_ms += 100;
    }
    return rig.counters.dummies_sent.read() - before;
  };
  CHECK(after_a_second() == 10);
  rig.sad.set_masked(rig.spi, false);
  CHECK(rig.stages.until_dummies_ms() == pipeline::Stages::kNoDummies);
  CHECK(after_a_second() == 0);
  rig.sad.set_masked(rig.spi, true);
  rig.sad.set_masked(rig.spi, true);
  CHECK(rig.sad.maskings()->size() == 1);
  CHECK(after_a_second() == 10);
}

TEST_CASE("while it sends, none is sent") {
  Echo rig(Echo::Options{.tfc = {.dummies_per_second = 10}});
  rig.stages.send_dummies();
  for (uint32_t n = 0; n < 5; n++) {
    rig.receive_all(Rig::kLan, {inner(100)});
    rig.core.now_ms += 100;
    rig.stages.send_dummies();
  }
  CHECK(rig.counters.dummies_sent.read() == 0);
  rig.core.now_ms += 100;
  rig.stages.send_dummies();
  CHECK(rig.counters.dummies_sent.read() == 1);
}

TEST_CASE("without padding, dummies are of any length that the path takes") {
  Echo rig(Echo::Options{.tfc = {.dummies_per_second = 100'000}});
  rig.stages.send_dummies();
  std::set<size_t> lengths;
  for (uint32_t n = 0; n < 10; n++) {
    rig.core.now_ms += 1;
    rig.stages.send_dummies();
    rig.core.egress.send();
    for (auto& q : rig.queues) q->flush();
    for (const auto& p : rig.reflect_all()) {
      lengths.insert(p.size());
      CHECK(p.size() <= 1500);
    }
  }
  CHECK(rig.counters.dummies_sent.read() == 320);  // 32 at once
  CHECK(rig.counts() == Counts{{"dummy_packet", 320}});
  CHECK(lengths.size() > 100);
}

TEST_CASE("an SA that is removed sends no more, and one without a next hop none") {
  Echo rig(Echo::Options{.tfc = {.dummies_per_second = 10}});
  rig.stages.send_dummies();
  rig.core.now_ms += 3'600'000;  // its next hop is forgotten
  rig.stages.send_dummies();
  CHECK(rig.counters.dummies_sent.read() == 0);
  rig.remove(rig.spi);
  CHECK(rig.stages.until_dummies_ms() == pipeline::Stages::kNoDummies);
  rig.stages.send_dummies();
  CHECK(rig.sent(Rig::kWan).empty());
}

TEST_CASE("a limit of time is told without a packet: soft, then hard, of both directions, once") {
  Echo rig(Echo::Options{.lifetime = {.soft_seconds = 10, .hard_seconds = 20}});
  const uint32_t begin = rig.sad.outbound(rig.spi)->lifetime.soft_s() - 10;
  const auto expiries = [&](uint32_t second) {
    rig.core.now_s = second;
    rig.stages.raise_expiries();
    std::vector<pipeline::Event> events;
    pipeline::Event event;
    while (rig.events.pop(event)) events.push_back(event);
    for (const auto& e : events) {
      CHECK(e.kind == pipeline::Event::Kind::kExpire);
      CHECK(e.cause == sad::Lifetime::Cause::kTime);
      CHECK(e.spi == rig.spi);
      CHECK(e.hard == (second >= begin + 20));
    }
    return events.size();
  };
  CHECK(expiries(begin + 9) == 0);
  CHECK(expiries(begin + 10) == 2);
  CHECK(expiries(begin + 10) == 0);
  CHECK(expiries(begin + 19) == 0);
  CHECK(expiries(begin + 20) == 2);
  CHECK(expiries(begin + 1000) == 0);
  rig.receive_all(Rig::kLan, {inner(100)});
  CHECK(rig.counts() == Counts{{"lifetime_expired", 1}});
}

TEST_CASE("thousands that end in one second are told a few at a time; removed ones never") {
  base::Epoch epoch;
  sad::Sad sad(4096, epoch);
  static constexpr uint8_t kKey[20] = {};
  std::vector<uint32_t> spis;
  for (uint32_t i = 0; i < 3000; i++) {
    sad::SaParameters p;
    p.inbound_spi = p.outbound_spi = sad.allocate_spi();
    p.local = address("192.0.2.1");
    p.remote = address("192.0.2.2");
    p.inbound_key = p.outbound_key = kKey;
    p.local_selectors = p.remote_selectors = Echo::everyone();
    p.lifetime.hard_seconds = 5;
    sad.install(p);
    spis.push_back(p.inbound_spi);
  }
  for (uint32_t i = 0; i < 1000; i++) sad.remove(spis[i]);
  std::set<uint32_t> told;
  uint32_t calls = 0;
  for (size_t before = ~size_t{0}; told.size() != before; calls++) {
    before = told.size();
    sad.each_expired(~uint32_t{0} - 1, [&](sad::InboundSa& in, sad::OutboundSa& out) {
      CHECK(out.inbound_spi == in.spi);
      told.insert(in.spi);
    });
    REQUIRE(told.size() - before <= 32);
  }
  CHECK(told == std::set<uint32_t>(spis.begin() + 1000, spis.end()));
}
