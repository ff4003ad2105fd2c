// The SAD: SPIs that carry an index, installation and removal under lookups, sequence numbers.
#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <new>
#include <set>
#include <thread>
#include <vector>

#include "base/bytes.h"
#include "base/epoch.h"
#include "packet/ip.h"
#include "sad/sad.h"
#include "test/sad/parameters.h"
#include "test/watched_memory.h"

namespace esplane::sad {
namespace {

using test::Pair;

constexpr uint64_t k2to32 = uint64_t{1} << 32;

TEST_CASE("an SPI carries its index, is above 255, and is fresh for each use of the index") {
  base::Epoch epoch;
  Sad sad(4, epoch);
  std::set<uint32_t> seen;
  uint32_t last[4] = {};
  for (int i = 0; i < 4000; i++) {
    const uint32_t spi = sad.allocate_spi();
    CHECK(spi > 255);
    CHECK(spi != last[spi % 4]);
    last[spi % 4] = spi;
    seen.insert(spi);
    sad.release_spi(spi);
  }
  CHECK(seen.size() > 3990);  // 32 bits, nearly all random
}

TEST_CASE("the largest SAD, whose SPIs have twelve random bits, never hands out a reserved one") {
  base::Epoch epoch;
  Sad sad(Sad::kMostPairs, epoch);
  std::vector<uint32_t> low;
  for (uint32_t i = 0; i < Sad::kMostPairs; i++) {
    const uint32_t spi = sad.allocate_spi();
    if (i < 256) low.push_back(spi);
  }
  // Now only the indices below 256 come round again, with one in 4096 having twelve zeros.
  uint32_t least = ~0u;
  for (int round = 0; round < 120; round++) {
    for (const uint32_t spi : low) sad.release_spi(spi);
    for (uint32_t& spi : low) least = std::min(least, spi = sad.allocate_spi());
  }
  CHECK(least > 255);
}

TEST_CASE("has room for exactly its capacity, reserved SPIs included") {
  base::Epoch epoch;
  Sad sad(5, epoch);
  std::vector<uint32_t> spis;
  for (int i = 0; i < 5; i++) spis.push_back(sad.allocate_spi());
  CHECK_THROWS_AS(sad.allocate_spi(), SadFull);
  sad.release_spi(spis[2]);
  sad.release_spi(spis[2]);
  CHECK((sad.allocate_spi() & 7) == 2);
  CHECK_THROWS_AS(sad.allocate_spi(), SadFull);
}

TEST_CASE("finds an SA by its whole SPI only") {
  base::Epoch epoch;
  Sad sad(5, epoch);
  const Pair pair(sad.allocate_spi());
  const uint32_t spi = pair.p.inbound_spi;
  CHECK(sad.find(spi) == nullptr);
  const OutboundSa* outbound = sad.install(pair.p);
  REQUIRE(sad.find(spi) != nullptr);
  CHECK(sad.find(spi)->spi == spi);
  CHECK(sad.find(spi ^ 0x80000000) == nullptr);
  CHECK(sad.find(spi ^ 1) == nullptr);
  for (uint32_t index = 0; index < 8; index++) {
    if (index != (spi & 7)) CHECK(sad.find((spi & ~7u) | index) == nullptr);
  }
  CHECK(sad.outbound(spi) == outbound);
  CHECK(outbound->inbound_spi == spi);
  CHECK(sad.size() == 1);
  CHECK(sad.remove(spi));
  CHECK(sad.find(spi) == nullptr);
  CHECK_FALSE(sad.remove(spi));
  CHECK(sad.size() == 0);
}

TEST_CASE("release leaves an installed SA alone") {
  base::Epoch epoch;
  Sad sad(2, epoch);
  const Pair pair(sad.allocate_spi());
  sad.install(pair.p);
  sad.release_spi(pair.p.inbound_spi);
  CHECK(sad.find(pair.p.inbound_spi) != nullptr);
}

TEST_CASE("refuses what cannot be an SA and says why") {
  base::Epoch epoch;
  Sad sad(2, epoch);
  Pair pair(sad.allocate_spi());
  SaParameters& p = pair.p;
  SUBCASE("SPI that is not reserved") { p.inbound_spi ^= 0x10000; }
  SUBCASE("outbound SPI of IANA's") { p.outbound_spi = 255; }
  SUBCASE("mixed outer families") { p.remote = test::ip("2001:db8::1"); }
  SUBCASE("no outer address") { p.local = {}; }
  SUBCASE("another cipher") { p.encryption = 12; }
  SUBCASE("integrity beside an AEAD") { p.integrity = 12; }
  SUBCASE("key length") { p.key_bits = 512; }
  SUBCASE("keying material without the salt") { p.outbound_key = p.outbound_key.first(16); }
  SUBCASE("replay window") { p.replay_window = 16; }
  SUBCASE("no selectors") { p.remote_selectors.clear(); }
  SUBCASE("sequence number beyond what it can have") { p.outbound_sequence = k2to32; }
  CHECK_THROWS_AS(sad.install(p), std::invalid_argument);
  CHECK(sad.size() == 0);
}

TEST_CASE("installs twice under one SPI only if it was reserved again") {
  base::Epoch epoch;
  Sad sad(2, epoch);
  const Pair pair(sad.allocate_spi());
  sad.install(pair.p);
  CHECK_THROWS_AS(sad.install(pair.p), std::invalid_argument);
  CHECK(sad.find(pair.p.inbound_spi) != nullptr);
}

TEST_CASE("keys are wiped when the last worker has let go, not before") {
  base::Epoch epoch;
  Sad sad(2, epoch);
  const Pair pair(sad.allocate_spi());
  sad.install(pair.p);
  base::Epoch::Reader worker(epoch);
  InboundSa* held = sad.find(pair.p.inbound_spi);
  REQUIRE(held != nullptr);
  CHECK(sad.remove(pair.p.inbound_spi));
  CHECK(held->spi == pair.p.inbound_spi);  // AddressSanitizer would object
  CHECK(held->protection.salt[0] == 0xa1);
  CHECK(epoch.waiting() == 2);
  worker.quiescent();
  CHECK(epoch.waiting() == 0);
}

TEST_CASE("destroying an SA wipes its salt and its expanded key") {
  alignas(OutboundSa) static unsigned char memory[sizeof(OutboundSa)];
  Pair pair(0x1000);
  auto* sa = ::new (memory) OutboundSa(pair.p);
  const auto offset_salt = sa->protection.salt - memory;
  const auto any_set = [](const volatile unsigned char* at, size_t bytes) {
    unsigned char all = 0;
    for (size_t i = 0; i < bytes; i++) all = static_cast<unsigned char>(all | at[i]);
    return all != 0;
  };
  CHECK(any_set(sa->protection.key.data(), sa->protection.key.bytes()));
  const test::WatchedMemory key(sa->protection.key.data(), sa->protection.key.bytes());
  sa->~OutboundSa();
  CHECK(key.freed());
  CHECK(key.was_zero());
  CHECK_FALSE(any_set(memory + offset_salt, kMostSaltBytes));
}

TEST_CASE("without ESN the last sequence number is 2^32-1, and no number comes twice") {
  Pair pair(0x1000);
  pair.p.outbound_sequence = k2to32 - 1 - 10;
  OutboundSa sa(pair.p);
  CHECK(sa.near_end());
  OutboundSa::Reservation r = sa.reserve(8);
  CHECK(r.first == k2to32 - 10);
  CHECK(r.granted == 8);
  r = sa.reserve(8);
  CHECK(r.first == k2to32 - 2);
  CHECK(r.granted == 2);
  for (int i = 0; i < 3; i++) CHECK(sa.reserve(8).granted == 0);
  CHECK(sa.last_sequence() == k2to32 - 1);
}

TEST_CASE("with ESN numbers go on behind 2^32 and end at 2^64-1") {
  Pair pair(0x1000);
  pair.p.esn = true;
  pair.p.outbound_sequence = k2to32 - 4;
  OutboundSa crossing(pair.p);
  CHECK(crossing.reserve(8).first == k2to32 - 3);
  CHECK(crossing.reserve(8).first == k2to32 + 5);
  CHECK_FALSE(crossing.near_end());

  pair.p.outbound_sequence = ~uint64_t{0} - 3;
  OutboundSa ending(pair.p);
  CHECK(ending.reserve(64).granted == 3);
  CHECK(ending.reserve(64).granted == 0);
  CHECK(ending.last_sequence() == ~uint64_t{0});
}

TEST_CASE("begins with 1 and says in time that the end is near") {
  Pair pair(0x1000);
  OutboundSa fresh(pair.p);
  CHECK(fresh.reserve(1).first == 1);
  CHECK_FALSE(fresh.near_end());
  pair.p.outbound_sequence = k2to32 - (1u << 28) - 2;
  OutboundSa old(pair.p);
  CHECK_FALSE(old.near_end());
  CHECK(old.reserve(64).granted == 64);
  CHECK(old.near_end());
}

/// Reserves from four threads until the numbers end.
/// @return all that were handed out, in order
std::vector<uint64_t> drain(OutboundSa& sa) {
  std::vector<uint64_t> taken[4];
  {
    std::vector<std::jthread> threads;
    for (uint32_t t = 0; t < 4; t++) {
      threads.emplace_back([&sa, &mine = taken[t], t] {
        for (uint32_t i = 0;; i++) {
          const OutboundSa::Reservation r = sa.reserve(1 + (i + t) % 7);
          for (uint32_t k = 0; k < r.granted; k++) mine.push_back(r.first + k);
          if (r.granted == 0) break;
        }
      });
    }
  }
  std::vector<uint64_t> all;
  for (const auto& mine : taken) all.insert(all.end(), mine.begin(), mine.end());
  std::sort(all.begin(), all.end());
  return all;
}

TEST_CASE("four workers that reserve to the very end get every number once") {
  Pair pair(0x1000);
  uint64_t exact_from = 0;  // of the last 50,000 numbers
  SUBCASE("2^32-1") { pair.p.outbound_sequence = k2to32 - 1 - 50000; }
  SUBCASE("2^64-1") {
    pair.p.esn = true;
    pair.p.outbound_sequence = ~uint64_t{0} - 50000;
  }
  SUBCASE("from one atomic add each into the exact count near the end") { exact_from = 20000; }
  OutboundSa sa(pair.p);
  if (exact_from != 0) {
    // As at 2^32-1, but with less than 2^28 numbers in between.
    sa.near_end_from = exact_from;
    sa.sequence_limit = 50000;
  }
  const std::vector<uint64_t> all = drain(sa);
  REQUIRE(all.size() == 50000);
  for (size_t i = 0; i < all.size(); i++) REQUIRE(all[i] == pair.p.outbound_sequence + 1 + i);
}

TEST_CASE("counts what was asked about, and nothing for an SPI that is not installed") {
  base::Epoch epoch;
  Sad sad(2, epoch);
  const Pair pair(sad.allocate_spi());
  const uint32_t spi = pair.p.inbound_spi;
  CHECK_FALSE(sad.counters(spi));
  sad.install(pair.p)->usage().take(3, 300, 0);
  sad.find(spi)->usage().take(2, 99, 0);
  sad.find(spi)->count_refused(packet::Verdict::kIcvBad);
  const auto c = sad.counters(spi);
  REQUIRE(c);
  CHECK(c->out_packets == 3);
  CHECK(c->out_bytes == 300);
  CHECK(c->in_packets == 2);
  CHECK(c->in_bytes == 99);
  CHECK(c->out_sequence == 1);
  CHECK(c->in_sequence == 0);
  CHECK(c->refused[static_cast<uint32_t>(packet::Verdict::kIcvBad)] == 1);
  CHECK(c->refused[static_cast<uint32_t>(packet::Verdict::kReplayOld)] == 0);
  sad.remove(spi);
  CHECK_FALSE(sad.counters(spi));
}

TEST_CASE("workers look up while pairs come and go") {
  base::Epoch epoch;
  Sad sad(8, epoch);
  std::atomic<uint32_t> published{0};
  std::atomic<bool> stop{false};
  std::atomic<uint64_t> found{0};
  std::atomic<uint64_t> wrong{0};
  {
    std::vector<std::jthread> workers;
    for (int t = 0; t < 3; t++) {
      workers.emplace_back([&] {
        base::Epoch::Reader reader(epoch);
        while (!stop.load(std::memory_order_relaxed)) {
          const uint32_t spi = published.load(std::memory_order_relaxed);
          if (InboundSa* sa = sad.find(spi)) {
            sa->usage().take(1, 10, 0);
            found++;
            if (sa->spi != spi || sa->protection.salt[0] != 0xa1) wrong++;
          }
          reader.quiescent();
        }
      });
    }
    std::jthread observer([&] {
      while (!stop.load(std::memory_order_relaxed)) {
        const auto c = sad.counters(published.load(std::memory_order_relaxed));
        if (c && c->in_bytes % 10 != 0) wrong++;
        std::this_thread::yield();
      }
    });
    for (int i = 0; i < 300 || found.load() < 100; i++) {
      const Pair pair(sad.allocate_spi());
      sad.install(pair.p);
      published = pair.p.inbound_spi;
      std::this_thread::yield();
      CHECK(sad.remove(pair.p.inbound_spi));
    }
    stop = true;
  }
  CHECK(wrong.load() == 0);
  CHECK(found.load() >= 100);
  epoch.collect();
  CHECK(epoch.waiting() == 0);
}

TEST_CASE("an outbound SA is found by its SPI and its peer, the newest of several") {
  base::Epoch epoch;
  Sad sad(5, epoch);
  const auto peer = test::ip("198.51.100.2"), other = test::ip("2001:db8::2");
  const auto install = [&](uint32_t outbound_spi, const packet::IpAddress& remote) {
    Pair pair(sad.allocate_spi(), outbound_spi);
    pair.p.remote = remote;
    if (remote.is_v6()) pair.p.local = test::ip("2001:db8::1");
    return sad.install(pair.p);
  };
  auto* first = install(0x1000, peer);
  auto* second = install(0x2000, peer);
  auto* third = install(0x1000, other);
  CHECK(sad.find_outbound(0x1000, peer) == first);
  CHECK(sad.find_outbound(0x2000, peer) == second);
  CHECK(sad.find_outbound(0x1000, other) == third);
  CHECK(sad.find_outbound(0x2000, other) == nullptr);
  CHECK(sad.find_outbound(0x3000, peer) == nullptr);
  // Two peers behind one address may choose the same number.
  auto* fourth = install(0x1000, peer);
  CHECK(sad.find_outbound(0x1000, peer) == fourth);
  CHECK(sad.remove(fourth->inbound_spi));
  CHECK(sad.find_outbound(0x1000, peer) == first);
  CHECK(sad.remove(first->inbound_spi));
  CHECK(sad.find_outbound(0x1000, peer) == nullptr);
  CHECK(sad.find_outbound(0x1000, other) == third);
}

TEST_CASE("an SA knows what it may have sent of late") {
  base::Epoch epoch;
  Sad sad(2, epoch);
  Pair pair(sad.allocate_spi());
  pair.p.esn = true;
  pair.p.outbound_sequence = k2to32 - 100;
  const auto* sa = sad.install(pair.p);
  const auto own = test::ip("192.0.2.1");
  CHECK(sa->has_sent_lately(own, 0xffff'ff9c));
  CHECK(sa->has_sent_lately(own, 0xffff'0000));
  CHECK_FALSE(sa->has_sent_lately(own, 0xffff'ff9d));  // to come
  CHECK_FALSE(sa->has_sent_lately(own, 0xff00'0000));  // long ago
  CHECK_FALSE(sa->has_sent_lately(test::ip("192.0.2.2"), 0xffff'ff9c));
  CHECK_FALSE(sa->has_sent_lately(test::ip("c000:201::"), 0xffff'ff9c));
  CHECK(sa->has_sent_lately(own, 0));  // not quoted
  Pair fresh(sad.allocate_spi());
  const auto* unused = sad.install(fresh.p);
  CHECK_FALSE(unused->has_sent_lately(own, 0));
  CHECK_FALSE(unused->has_sent_lately(own, 1));
  CHECK_FALSE(unused->has_sent_lately(own, 0xffff'ffff));
}

TEST_CASE("an endpoint moves while workers read it: each sees the old or the new one whole") {
  base::Epoch epoch;
  Sad sad(4, epoch);
  Pair pair(sad.allocate_spi());
  pair.p.udp_encapsulation = true;
  OutboundSa* out = sad.install(pair.p);
  const InboundSa* in = nullptr;
  {
    base::Epoch::Reader reader(epoch);
    in = sad.find(pair.p.inbound_spi);
  }
  const Endpoint places[2] = {{test::ip("203.0.113.7"), 1007}, {test::ip("203.0.113.9"), 1009}};
  const Endpoint here[2] = {{test::ip("192.0.2.7"), 2007}, {test::ip("192.0.2.9"), 2009}};
  std::atomic<bool> done{false};
  std::atomic<uint32_t> wrong{0};
  {
    std::jthread worker([&] {
      base::Epoch::Reader reader(epoch);
      while (!done.load()) {
        const OuterHeader& outer = out->outer();
        const uint32_t port = base::load_be16(outer.bytes + 20 + packet::kUdpDestinationPort);
        const bool first = port == 4500 && outer.destination() == pair.p.remote;
        const bool moved = port == 1000u + outer.bytes[packet::kIpv4Destination + 3] &&
                           outer.bytes[packet::kIpv4Source + 3] == port - 1000;
        if (!first && !moved) wrong++;
        const Endpoint peer = in->peer();
        if (peer.port != 4500 && peer.port != 1000 + peer.address.bytes[3]) wrong++;
        reader.quiescent();
      }
    });
    for (int i = 0; i < 2000; i++) {
      REQUIRE(sad.move(pair.p.inbound_spi, here[i % 2], places[i % 2]));
    }
    done = true;
  }
  CHECK(wrong == 0);
  CHECK(out->outer().destination() == places[1].address);
  CHECK(in->peer() == places[1]);
  CHECK(out->outer().sum ==
        OuterHeader(here[1], places[1], packet::kEsp, true, {}).sum);
  CHECK_FALSE(sad.move(pair.p.inbound_spi ^ 0x80000000u, here[0], places[0]));
  const Endpoint v6 = {test::ip("2001:db8::1"), 1};
  CHECK_THROWS_AS(sad.move(pair.p.inbound_spi, here[0], v6), std::invalid_argument);
  CHECK_THROWS_AS(sad.move(pair.p.inbound_spi, v6, places[0]), std::invalid_argument);
  epoch.collect();
  CHECK(epoch.waiting() == 0);
}

}  // namespace
}  // namespace esplane::sad
