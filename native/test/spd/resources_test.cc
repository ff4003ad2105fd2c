// Child SAs of single senders (RFC 9611): each has its own before the one for all, and is told to
// ask for one where it has none.
#include <doctest/doctest.h>

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include "base/epoch.h"
#include "pipeline/flow_cache.h"
#include "sad/sa.h"
#include "spd/spd.h"
#include "test/sad/parameters.h"

namespace {

using namespace esplane;
using packet::IpHeader;
using packet::Selector;
using spd::kAnyResource;
using spd::Resource;
using test::ip;

/// Stands for an SA: the SPD only uses its address.
sad::OutboundSa* token(size_t n) { return reinterpret_cast<sad::OutboundSa*>(64 * (n + 1)); }

const Selector kLocal{ip("10.1.0.0"), ip("10.1.255.255")};
const Selector kRemote{ip("10.2.0.0"), ip("10.2.255.255")};

IpHeader header() {
  IpHeader h;
  h.source = ip("10.1.0.5");
  h.destination = ip("10.2.0.1");
  h.family = packet::Family::kV4;
  h.protocol = packet::kUdp;
  h.source_port = 1024;
  h.destination_port = 53;
  h.has_ports = true;
  return h;
}

struct Group {
  base::Epoch epoch;
  spd::Spd spd{epoch};
  IpHeader packet = header();

  Group() {
    spd.set({{spd::Action::kProtect, spd::Direction::kOutbound, "a", {kLocal}, {kRemote}}});
  }
  void attach(sad::OutboundSa* sa, const spd::Part& part) {
    spd.attach("a", sa, {kLocal}, {kRemote}, part);
  }
  spd::OutboundLookup of(Resource sender) {
    return spd.lookup_outbound(packet, spd::kHostScope, sender);
  }
};

}  // namespace

TEST_CASE_FIXTURE(Group, "a sender uses its own SA, and the one for all where it has none") {
  attach(token(0), {.asks = true});
  CHECK(of(0).sa == token(0));
  CHECK(of(0).wants_own);
  attach(token(1), {.resource = 1});
  CHECK(of(1).sa == token(1));
  CHECK_FALSE(of(1).wants_own);
  CHECK(of(0).sa == token(0));  // though the other is newer
  CHECK(of(0).wants_own);
  attach(token(2), {.asks = true});  // the one for all is rekeyed
  CHECK(of(0).sa == token(2));
  CHECK(of(1).sa == token(1));
  spd.detach(token(1));
  CHECK(of(1).sa == token(2));
  CHECK(of(1).wants_own);
}

TEST_CASE_FIXTURE(Group, "nobody is told to ask where the SA for all does not say so") {
  attach(token(0), {});
  CHECK(of(3).sa == token(0));
  CHECK_FALSE(of(3).wants_own);
}

TEST_CASE_FIXTURE(Group, "an SA of its own on standby waits behind the one for all") {
  attach(token(0), {.asks = true});
  attach(token(1), {.standby = true, .resource = 1});
  CHECK(of(1).sa == token(0));
  spd.prefer(token(1));
  CHECK(of(1).sa == token(1));
  CHECK(of(0).sa == token(0));
  attach(token(2), {.standby = true, .resource = 1});  // it is rekeyed by the peer
  CHECK(of(1).sa == token(1));
  spd.detach(token(1));
  CHECK(of(1).sa == token(0));
  spd.detach(token(0));
  CHECK(of(1).sa == token(2));
}

TEST_CASE_FIXTURE(Group, "without the one for all, another's serves: nothing is dropped") {
  attach(token(1), {.resource = 1});
  CHECK(of(0).sa == token(1));
  CHECK(of(0).wants_own);
  CHECK(of(kAnyResource).sa == token(1));
}

TEST_CASE_FIXTURE(Group, "each of a hundred senders finds its own among all of the same selectors") {
  attach(token(1000), {.asks = true});
  for (Resource r = 0; r < 100; r++) attach(token(r), {.resource = r});
  for (Resource r = 0; r < 100; r++) CHECK(of(r).sa == token(r));
  CHECK(of(100).sa == token(1000));
  for (Resource r = 0; r < 100; r += 2) spd.detach(token(r));
  for (Resource r = 0; r < 100; r++) CHECK(of(r).sa == token(r % 2 == 0 ? 1000u : r));
}

TEST_CASE_FIXTURE(Group, "the flow cache remembers for its sender, and what it is to ask for") {
  pipeline::FlowCache flows{7, 64, 1};
  const auto look = [&] { return flows.lookup(spd, spd.generation(), packet); };
  attach(token(0), {.asks = true});
  for (int i = 0; i < 3; i++) {
    CHECK(look().sa == token(0));
    CHECK(look().wants_own);
    CHECK(look().action == spd::Action::kProtect);
  }
  CHECK(flows.misses() == 1);
  attach(token(1), {.resource = 1});
  for (int i = 0; i < 3; i++) {
    CHECK(look().sa == token(1));
    CHECK_FALSE(look().wants_own);
  }
  CHECK(flows.misses() == 2);
}

TEST_SUITE_BEGIN("concurrency");

TEST_CASE("senders never use an SA that was freed while theirs come and go under traffic") {
  Group group;
  test::Pair pair(0x1000);
  sad::OutboundSa for_all(pair.p);
  group.attach(&for_all, {.asks = true});
  std::atomic<bool> stop{false};
  std::atomic<uint64_t> own{0}, shared{0}, wrong{0};
  {
    std::vector<std::jthread> workers;
    for (Resource lane = 0; lane < 2; lane++) {
      workers.emplace_back([&, lane] {
        base::Epoch::Reader reader(group.epoch);
        pipeline::FlowCache flows(lane, 64, lane);
        while (!stop.load(std::memory_order_relaxed)) {
          reader.quiescent();
          const uint64_t generation = group.spd.generation();
          for (int i = 0; i < 8; i++) {
            const auto found = flows.lookup(group.spd, generation, group.packet);
            // There is one for all, always.
            if (found.sa == nullptr || found.wants_own != (found.sa == &for_all)) {
              wrong++;
              continue;
            }
            (found.sa == &for_all ? shared : own).fetch_add(1, std::memory_order_relaxed);
            if (found.sa->spi != 0xc0ffee01) wrong++;  // AddressSanitizer watches
          }
        }
      });
    }
    std::unique_ptr<sad::OutboundSa> of[2];
    for (uint32_t i = 0; i < 600 || own.load() < 1000 || shared.load() < 1000; i++) {
      auto& before = of[i % 2];
      auto fresh = std::make_unique<sad::OutboundSa>(pair.p);
      group.attach(fresh.get(), {.standby = i % 3 == 0, .resource = static_cast<Resource>(i % 2)});
      if (i % 3 == 0) group.spd.prefer(fresh.get());
      if (before) {
        group.spd.detach(before.get());
        group.epoch.retire(std::move(before));
      }
      before = std::move(fresh);
      if (i % 5 != 0) continue;
      group.spd.detach(before.get());
      group.epoch.retire(std::move(before));
    }
    stop = true;
    workers.clear();
    for (auto& sa : of)
      if (sa) group.spd.detach(sa.get());
  }
  CHECK(wrong.load() == 0);
  group.spd.detach(&for_all);
}

TEST_SUITE_END();
