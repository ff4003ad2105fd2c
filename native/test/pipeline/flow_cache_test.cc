// The flow cache: right under add, remove, re-add, collision and stale entries, because it answers
// as the SPD would and never with what may be gone.
#include <doctest/doctest.h>

#include <atomic>
#include <iterator>
#include <memory>
#include <thread>
#include <vector>

#include "base/epoch.h"
#include "pipeline/flow_cache.h"
#include "sad/sa.h"
#include "spd/spd.h"
#include "test/sad/parameters.h"
#include "test/spd/naive.h"

namespace {

using namespace esplane;
using packet::IpHeader;
using packet::Selector;
using packet::Verdict;
using pipeline::FlowCache;
using test::ip;

sad::OutboundSa* token(size_t n) { return reinterpret_cast<sad::OutboundSa*>(64 * (n + 1)); }

const Selector kLocal{ip("10.1.0.0"), ip("10.1.255.255")};
const Selector kRemote{ip("10.2.0.0"), ip("10.2.255.255")};
const Selector kOther{ip("10.3.0.0"), ip("10.3.255.255")};

spd::Entry protect(const char* policy, const Selector& remote) {
  return {spd::Action::kProtect, spd::Direction::kOutbound, policy, {kLocal}, {remote}};
}

struct Fixture {
  base::Epoch epoch;
  spd::Spd spd{epoch};
  FlowCache flows{0x1234567, 64};

  spd::OutboundLookup look(const IpHeader& p) { return flows.lookup(spd, spd.generation(), p); }
  spd::OutboundLookup look(const char* destination) { return look(udp(destination)); }

  static IpHeader udp(const char* destination, uint16_t port = 53) {
    IpHeader h;
    h.source = ip("10.1.0.5");
    h.destination = ip(destination);
    h.family = packet::Family::kV4;
    h.protocol = packet::kUdp;
    h.source_port = 1024;
    h.destination_port = port;
    h.has_ports = true;
    return h;
  }
};

}  // namespace

TEST_CASE_FIXTURE(Fixture, "a flow is asked about once") {
  spd.set({protect("a", kRemote)});
  spd.attach("a", token(1), {kLocal}, {kRemote});
  for (int i = 0; i < 5; i++) CHECK(look("10.2.0.1").sa == token(1));
  CHECK(flows.misses() == 1);
  CHECK(look("10.2.0.2").sa == token(1));
  CHECK(flows.misses() == 2);
}

TEST_CASE_FIXTURE(Fixture, "add: a flow without an SA uses the one that comes") {
  spd.set({protect("a", kRemote)});
  CHECK(look("10.2.0.1").verdict == Verdict::kNoSa);
  CHECK(look("10.2.0.1").verdict == Verdict::kNoSa);
  CHECK(flows.misses() == 1);
  spd.attach("a", token(1), {kLocal}, {kRemote});
  CHECK(look("10.2.0.1").sa == token(1));
}

TEST_CASE_FIXTURE(Fixture, "remove: a flow does not use an SA that is gone") {
  spd.set({protect("a", kRemote)});
  spd.attach("a", token(1), {kLocal}, {kRemote});
  CHECK(look("10.2.0.1").sa == token(1));
  spd.detach(token(1));
  CHECK(look("10.2.0.1").verdict == Verdict::kNoSa);
  CHECK(look("10.2.0.1").sa == nullptr);
}

TEST_CASE_FIXTURE(Fixture, "re-add: the same SA again, and another one at the same address") {
  spd.set({protect("a", kRemote)});
  for (int i = 0; i < 3; i++) {
    spd.attach("a", token(1), {kLocal}, {kRemote});
    CHECK(look("10.2.0.1").sa == token(1));
    spd.detach(token(1));
    CHECK(look("10.2.0.1").verdict == Verdict::kNoSa);
  }
  // Now with other selectors: what the flow was told before no longer holds.
  spd.attach("a", token(1), {kLocal}, {Selector{ip("10.2.0.2"), ip("10.2.0.2")}});
  CHECK(look("10.2.0.1").verdict == Verdict::kNoSa);
  CHECK(look("10.2.0.2").sa == token(1));
}

TEST_CASE_FIXTURE(Fixture, "rekey: the newer SA is used as soon as it is there") {
  spd.set({protect("a", kRemote)});
  spd.attach("a", token(1), {kLocal}, {kRemote});
  CHECK(look("10.2.0.1").sa == token(1));
  spd.attach("a", token(2), {kLocal}, {kRemote});
  CHECK(look("10.2.0.1").sa == token(2));
  spd.detach(token(1));
  CHECK(look("10.2.0.1").sa == token(2));
}

TEST_CASE_FIXTURE(Fixture, "stale: entries that change make every flow ask again") {
  spd.set({protect("a", kRemote)});
  spd.attach("a", token(1), {kLocal}, {kRemote});
  CHECK(look("10.2.0.1").sa == token(1));
  spd::Entry discard = protect("", kRemote);
  discard.action = spd::Action::kDiscard;
  spd.set({discard, protect("a", kRemote)});
  CHECK(look("10.2.0.1").verdict == Verdict::kPolicyDiscard);
  spd.set({protect("a", kRemote)});
  CHECK(look("10.2.0.1").sa == token(1));
  spd.set({});
  CHECK(look("10.2.0.1").verdict == Verdict::kPolicyNoMatch);
}

TEST_CASE_FIXTURE(Fixture, "an SA that comes or goes leaves the flows of other policies alone") {
  spd.set({protect("a", kRemote), protect("b", kOther)});
  spd.attach("a", token(1), {kLocal}, {kRemote});
  spd.attach("b", token(2), {kLocal}, {kOther});
  CHECK(look("10.2.0.1").sa == token(1));
  CHECK(look("10.3.0.1").sa == token(2));
  const uint64_t before = flows.misses();
  spd.attach("b", token(3), {kLocal}, {kOther});
  spd.detach(token(2));
  CHECK(look("10.2.0.1").sa == token(1));
  CHECK(flows.misses() == before);
  CHECK(look("10.3.0.1").sa == token(3));
  CHECK(flows.misses() == before + 1);
}

TEST_CASE_FIXTURE(Fixture, "a policy that is dropped and named again is another one to the cache") {
  spd.set({protect("a", kRemote)});
  CHECK(look("10.2.0.1").verdict == Verdict::kNoSa);
  spd.set({});
  spd.set({protect("a", kRemote)});
  CHECK(look("10.2.0.1").verdict == Verdict::kNoSa);
  spd.attach("a", token(1), {kLocal}, {kRemote});
  CHECK(look("10.2.0.1").sa == token(1));
}

TEST_CASE_FIXTURE(Fixture, "collision: flows that share a set displace each other, each with its answer") {
  FlowCache one_set(7, 1);
  spd.set({protect("a", kRemote), protect("b", kOther)});
  spd.attach("a", token(1), {kLocal}, {kRemote});
  spd.attach("b", token(2), {kLocal}, {kOther});
  for (int round = 0; round < 3; round++) {
    for (uint16_t port = 1; port < 40; port++) {
      const bool a = port % 3 != 0;
      const IpHeader p = udp(a ? "10.2.0.1" : "10.3.0.1", port);
      CHECK(one_set.lookup(spd, spd.generation(), p).sa == token(a ? 1 : 2));
      CHECK(one_set.lookup(spd, spd.generation(), p).sa == token(a ? 1 : 2));
    }
  }
}

TEST_CASE_FIXTURE(Fixture, "packets that selectors tell apart are different flows") {
  Selector web = kRemote;
  web.protocol = packet::kTcp;
  web.start_port = web.end_port = 80;
  spd.set({protect("web", web), protect("rest", kRemote)});
  spd.attach("web", token(1), {kLocal}, {kRemote});
  spd.attach("rest", token(2), {kLocal}, {kRemote});
  IpHeader tcp = udp("10.2.0.1", 80);
  tcp.protocol = packet::kTcp;
  CHECK(look(tcp).sa == token(1));
  CHECK(look(udp("10.2.0.1", 80)).sa == token(2));
  IpHeader https = tcp;
  https.destination_port = 443;
  CHECK(look(https).sa == token(2));
  IpHeader fragment = tcp;  // its ports are whatever was parsed before: not to be read
  fragment.has_ports = false;
  fragment.fragment_offset = 1480;
  CHECK(look(fragment).sa == token(2));
  CHECK(look(tcp).sa == token(1));
  IpHeader mapped = tcp;  // the same bytes in the other family
  mapped.family = mapped.source.family = mapped.destination.family = packet::Family::kV6;
  CHECK(look(mapped).verdict == Verdict::kPolicyNoMatch);
}

TEST_CASE_FIXTURE(Fixture, "a packet is of another flow in every scope") {
  FlowCache wide(7, 1024);
  spd.set({protect("a", kRemote)});
  spd.attach("a", token(1), {kLocal}, {kRemote});
  const spd::Scope scopes[] = {spd::kHostScope, 1, 4, 255, 256, 257, 2048, spd::kLastScope};
  for (int round = 0; round < 2; round++) {
    for (const spd::Scope scope : scopes) {
      CAPTURE(scope);
      const IpHeader p = udp("10.2.0.1");
      CHECK(wide.lookup(spd, spd.generation(), p, scope).sa ==
            spd.lookup_outbound(p, scope).sa);
    }
    CHECK(wide.misses() == std::size(scopes));
  }
}

TEST_CASE("the cache answers as the SPD does while entries and SAs change at random") {
  for (uint32_t seed = 1; seed <= 20; seed++) {
    CAPTURE(seed);
    test::RandomTraffic random(seed);
    base::Epoch epoch;
    spd::Spd spd(epoch, 64);
    FlowCache flows(seed, 16);
    std::vector<packet::IpHeader> packets;
    std::vector<size_t> attached;
    std::vector<spd::Entry> entries;
    for (size_t step = 0; step < 3000; step++) {
      if (step % 300 == 0) {
        entries.clear();
        for (int i = 0; i < 6; i++) {
          entries.push_back({static_cast<spd::Action>(random.below(3)), spd::Direction::kOutbound,
                             std::to_string(random.below(4)), random.side(), random.side()});
        }
        spd.set(entries);
        packets.clear();
        for (int i = 0; i < 40; i++) packets.push_back(random.packet());
      }
      if (random.one_in(20)) {
        spd.attach(std::to_string(random.below(4)), token(step), random.side(), random.side());
        attached.push_back(step);
      }
      if (random.one_in(30) && !attached.empty()) {
        const auto gone = attached.begin() + random.below(static_cast<uint32_t>(attached.size()));
        spd.detach(token(*gone));
        attached.erase(gone);
      }
      const auto& p = packets[random.below(40)];
      REQUIRE((test::answer_of(flows.lookup(spd, spd.generation(), p)) ==
               test::answer_of(spd.lookup_outbound(p))));
    }
    CHECK(flows.misses() < 2000);
  }
}

TEST_CASE("a stale flow never yields an SA that was freed while SAs are rekeyed under traffic") {
  base::Epoch epoch;
  spd::Spd spd(epoch);
  test::Pair pair(0x1000);
  spd.set({protect("a", kRemote), protect("b", kOther)});
  std::atomic<bool> stop{false};
  std::atomic<uint64_t> used{0}, wrong{0};
  {
    std::vector<std::jthread> workers;
    for (uint64_t t = 0; t < 2; t++) {
      workers.emplace_back([&, t] {
        base::Epoch::Reader reader(epoch);
        FlowCache flows(t, 64);
        const IpHeader p = Fixture::udp("10.2.0.1"), q = Fixture::udp("10.3.0.1");
        while (!stop.load(std::memory_order_relaxed)) {
          reader.quiescent();
          const uint64_t generation = spd.generation();
          for (int i = 0; i < 8; i++) {
            for (const IpHeader* header : {&p, &q}) {
              const auto found = flows.lookup(spd, generation, *header);
              if (found.sa == nullptr) continue;
              used.fetch_add(1, std::memory_order_relaxed);
              if (found.sa->spi != 0xc0ffee01) wrong++;  // AddressSanitizer watches
            }
          }
        }
      });
    }
    std::unique_ptr<sad::OutboundSa> old;
    for (int i = 0; i < 400 || used.load() < 1000; i++) {
      auto fresh = std::make_unique<sad::OutboundSa>(pair.p);
      spd.attach(i % 2 ? "a" : "b", fresh.get(), {kLocal}, {i % 2 ? kRemote : kOther});
      if (old) {
        spd.detach(old.get());
        epoch.retire(std::move(old));
      }
      old = std::move(fresh);
      if (i % 50 == 0) spd.set({protect("b", kOther), protect("a", kRemote)});
    }
    stop = true;
    workers.clear();
    spd.detach(old.get());
  }
  CHECK(wrong.load() == 0);
}
