// The SPD: order decides, fragments without ports do not slip through, SAs come and go.
#include <doctest/doctest.h>

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include "base/epoch.h"
#include "sad/sa.h"
#include "spd/spd.h"
#include "test/sad/parameters.h"

namespace esplane::spd {
namespace {

using packet::IpHeader;
using packet::Selector;
using packet::Verdict;
using test::ip;

Selector range(const char* start, const char* end, uint8_t protocol = 0, uint16_t start_port = 0,
               uint16_t end_port = 65535) {
  return {ip(start), ip(end), protocol, start_port, end_port};
}

const Selector kLocal = range("10.1.0.0", "10.1.255.255");
const Selector kRemote = range("10.2.0.0", "10.2.255.255");

IpHeader packet(const char* source, const char* destination, uint8_t protocol = packet::kUdp,
                uint16_t destination_port = 53) {
  IpHeader h;
  h.source = ip(source);
  h.destination = ip(destination);
  h.family = h.source.family;
  h.protocol = protocol;
  h.source_port = 1024;
  h.destination_port = destination_port;
  h.has_ports = true;
  return h;
}

IpHeader later_fragment(const char* source, const char* destination, uint8_t protocol) {
  IpHeader h = packet(source, destination, protocol);
  h.has_ports = false;
  h.fragment_offset = 1480;
  return h;
}

Entry outbound(Action action, std::vector<Selector> local, std::vector<Selector> remote,
               const char* policy = "") {
  return {action, Direction::kOutbound, policy, std::move(local), std::move(remote)};
}
Entry inbound(Action action, std::vector<Selector> local, std::vector<Selector> remote,
              const char* policy = "") {
  return {action, Direction::kInbound, policy, std::move(local), std::move(remote)};
}

struct Fixture {
  base::Epoch epoch;
  Spd spd{epoch};
  test::Pair pair{0x1000};
  sad::OutboundSa old_sa{pair.p};
  sad::OutboundSa new_sa{pair.p};

  void attach(const char* policy, sad::OutboundSa& sa) {
    spd.attach(policy, &sa, {kLocal}, {kRemote});
  }
};

TEST_CASE_FIXTURE(Fixture, "an empty SPD discards everything") {
  CHECK(spd.lookup_outbound(packet("10.1.0.1", "10.2.0.1")).verdict == Verdict::kPolicyNoMatch);
  CHECK(spd.lookup_inbound_clear(packet("10.2.0.1", "10.1.0.1")) == ClearLookup::kNoMatch);
}

TEST_CASE_FIXTURE(Fixture, "the first entry that matches decides") {
  spd.set({outbound(Action::kBypass, {kLocal}, {range("10.2.0.1", "10.2.0.1")}),
           outbound(Action::kDiscard, {kLocal}, {range("10.2.0.0", "10.2.0.255")}),
           outbound(Action::kProtect, {kLocal}, {kRemote}, "a/net")});
  OutboundLookup found = spd.lookup_outbound(packet("10.1.0.1", "10.2.0.1"));
  CHECK(found.verdict == Verdict::kPending);
  CHECK(found.action == Action::kBypass);
  CHECK(found.sa == nullptr);
  CHECK(spd.lookup_outbound(packet("10.1.0.1", "10.2.0.2")).verdict == Verdict::kPolicyDiscard);
  found = spd.lookup_outbound(packet("10.1.0.1", "10.2.1.1"));
  CHECK(found.verdict == Verdict::kNoSa);
  CHECK(found.action == Action::kProtect);
  REQUIRE(found.policy != nullptr);
  CHECK(found.policy->name() == "a/net");
  CHECK(spd.lookup_outbound(packet("10.3.0.1", "10.2.1.1")).verdict == Verdict::kPolicyNoMatch);
  CHECK(spd.lookup_outbound(packet("fd00::1", "fd00::2")).verdict == Verdict::kPolicyNoMatch);
}

TEST_CASE_FIXTURE(Fixture, "the newest attached SA is used, and the one before when it goes") {
  const IpHeader p = packet("10.1.0.1", "10.2.0.1");
  spd.set({outbound(Action::kProtect, {kLocal}, {kRemote}, "a/net")});
  CHECK(spd.lookup_outbound(p).verdict == Verdict::kNoSa);
  attach("a/net", old_sa);
  CHECK(spd.lookup_outbound(p).verdict == Verdict::kPending);
  CHECK(spd.lookup_outbound(p).sa == &old_sa);
  attach("a/net", new_sa);
  CHECK(spd.lookup_outbound(p).sa == &new_sa);
  spd.detach(&new_sa);
  CHECK(spd.lookup_outbound(p).sa == &old_sa);
  spd.detach(&old_sa);
  spd.detach(&old_sa);
  CHECK(spd.lookup_outbound(p).verdict == Verdict::kNoSa);
}

TEST_CASE_FIXTURE(Fixture, "an SA on standby is used when it is preferred, or left alone") {
  const IpHeader p = packet("10.1.0.1", "10.2.0.1");
  spd.set({outbound(Action::kProtect, {kLocal}, {kRemote}, "a/net")});
  attach("a/net", old_sa);
  spd.attach("a/net", &new_sa, {kLocal}, {kRemote}, {.standby = true});
  CHECK(spd.lookup_outbound(p).sa == &old_sa);
  const auto generation = spd.lookup_outbound(p).policy->generation();
  spd.prefer(&new_sa);
  CHECK(spd.lookup_outbound(p).sa == &new_sa);
  CHECK(spd.lookup_outbound(p).policy->generation() > generation);
  spd.prefer(&old_sa);
  CHECK(spd.lookup_outbound(p).sa == &old_sa);
  spd.detach(&old_sa);
  CHECK(spd.lookup_outbound(p).sa == &new_sa);
  spd.prefer(&old_sa);
  CHECK(spd.lookup_outbound(p).sa == &new_sa);
}

TEST_CASE_FIXTURE(Fixture, "a newer SA with narrower selectors leaves the rest to the older one") {
  spd.set({outbound(Action::kProtect, {kLocal}, {kRemote}, "a/net")});
  attach("a/net", old_sa);
  spd.attach("a/net", &new_sa, {kLocal}, {range("10.2.0.1", "10.2.0.1")});
  CHECK(spd.lookup_outbound(packet("10.1.0.1", "10.2.0.1")).sa == &new_sa);
  CHECK(spd.lookup_outbound(packet("10.1.0.1", "10.2.0.2")).sa == &old_sa);
}

TEST_CASE_FIXTURE(Fixture, "a policy that is named again keeps its SAs") {
  const IpHeader p = packet("10.1.0.1", "10.2.0.1");
  attach("a/net", old_sa);
  CHECK(spd.lookup_outbound(p).verdict == Verdict::kPolicyNoMatch);
  spd.set({outbound(Action::kProtect, {kLocal}, {kRemote}, "a/net")});
  CHECK(spd.lookup_outbound(p).sa == &old_sa);
  spd.set({});
  CHECK(spd.lookup_outbound(p).verdict == Verdict::kPolicyNoMatch);
  spd.set({outbound(Action::kProtect, {kLocal}, {kRemote}, "b/net"),
           outbound(Action::kProtect, {kLocal}, {kRemote}, "a/net")});
  CHECK(spd.lookup_outbound(p).verdict == Verdict::kNoSa);
  spd.set({outbound(Action::kProtect, {kLocal}, {kRemote}, "a/net")});
  CHECK(spd.lookup_outbound(p).sa == &old_sa);
}

TEST_CASE_FIXTURE(Fixture, "each scope has entries of its own, which overlap those of others") {
  const IpHeader p = packet("10.1.0.1", "10.2.0.1");
  attach("a/net", old_sa);
  attach("b/net", new_sa);
  auto of_tunnel = [&](const char* policy, Scope scope) {
    auto entry = outbound(Action::kProtect, {kLocal}, {kRemote}, policy);
    entry.scope = scope;
    return entry;
  };
  spd.set({of_tunnel("a/net", 1), of_tunnel("b/net", 3)});
  CHECK(spd.lookup_outbound(p).verdict == Verdict::kPolicyNoMatch);
  CHECK(spd.lookup_outbound(p, 1).sa == &old_sa);
  CHECK(spd.lookup_outbound(p, 2).verdict == Verdict::kPolicyNoMatch);
  CHECK(spd.lookup_outbound(p, 3).sa == &new_sa);
  CHECK(spd.lookup_outbound(p, 4).verdict == Verdict::kPolicyNoMatch);
  CHECK(spd.lookup_inbound_clear(packet("10.2.0.1", "10.1.0.1")) == ClearLookup::kNoMatch);
  CHECK(spd.scope_of("b/net") == 3);
  CHECK(spd.scope_of("c/net") == kHostScope);
  CHECK_THROWS_AS(spd.set({of_tunnel("a/net", kLastScope + 1)}), std::invalid_argument);
  CHECK(spd.lookup_outbound(p, 3).sa == &new_sa);
}

TEST_CASE_FIXTURE(Fixture, "its generation grows with every change of entries") {
  const uint64_t before = spd.generation();
  spd.set({});
  CHECK(spd.generation() > before);
}

TEST_CASE_FIXTURE(Fixture, "an old snapshot is retired only once the generation has moved on") {
  // Else a worker could pass a quiescent point, see the old number, and trust a flow whose policy
  // has been freed meanwhile.
  std::atomic<bool> stop{false};
  std::atomic<uint64_t> sets{0}, wrong{0};
  std::jthread worker([&] {
    base::Epoch::Reader reader(epoch);
    uint64_t looked_at = 0;
    const Policy* policy = nullptr;
    while (!stop.load(std::memory_order_relaxed)) {
      reader.quiescent();
      const uint64_t generation = spd.generation();
      // As the flow cache does; AddressSanitizer and ThreadSanitizer watch.
      if (policy != nullptr && generation == looked_at && policy->name().size() != 20) wrong++;
      policy = spd.lookup_outbound(packet("10.1.0.1", "10.2.0.1")).policy;
      looked_at = generation;
      sets++;
    }
  });
  for (int i = 0; i < 3000 || sets.load() < 3000; i++) {
    const std::string name = std::to_string(1000 + i % 1000) + "/a-longer-than-sso";
    spd.set({outbound(Action::kProtect, {kLocal}, {kRemote}, name.substr(0, 20).c_str())});
  }
  stop = true;
  worker.join();
  CHECK(wrong.load() == 0);
}

TEST_CASE_FIXTURE(Fixture, "PROTECT needs a policy; a set that fails changes nothing") {
  spd.set({outbound(Action::kBypass, {kLocal}, {kRemote})});
  CHECK_THROWS_AS(spd.set({outbound(Action::kProtect, {kLocal}, {kRemote})}),
                  std::invalid_argument);
  CHECK(spd.lookup_outbound(packet("10.1.0.1", "10.2.0.1")).action == Action::kBypass);
}

TEST_CASE_FIXTURE(Fixture, "a later fragment does not leave in clear past an entry with ports") {
  const Selector web = range("10.2.0.0", "10.2.255.255", packet::kTcp, 80, 80);
  const IpHeader tcp = later_fragment("10.1.0.1", "10.2.0.1", packet::kTcp);
  const IpHeader udp = later_fragment("10.1.0.1", "10.2.0.1", packet::kUdp);
  SUBCASE("PROTECT before BYPASS") {
    spd.set({outbound(Action::kProtect, {kLocal}, {web}, "a/web"),
             outbound(Action::kBypass, {kLocal}, {kRemote})});
    CHECK(spd.lookup_outbound(tcp).verdict == Verdict::kFragmentOpaque);
    CHECK(spd.lookup_outbound(udp).verdict == Verdict::kPending);
  }
  SUBCASE("DISCARD before BYPASS") {
    spd.set({outbound(Action::kDiscard, {kLocal}, {web}),
             outbound(Action::kBypass, {kLocal}, {kRemote})});
    CHECK(spd.lookup_outbound(tcp).verdict == Verdict::kFragmentOpaque);
  }
  SUBCASE("BYPASS before BYPASS") {
    spd.set({outbound(Action::kBypass, {kLocal}, {web}),
             outbound(Action::kBypass, {kLocal}, {kRemote})});
    CHECK(spd.lookup_outbound(tcp).verdict == Verdict::kPending);
  }
  SUBCASE("a tunnel for all that comes later takes it") {
    spd.set({outbound(Action::kProtect, {kLocal}, {web}, "a/web"),
             outbound(Action::kProtect, {kLocal}, {kRemote}, "a/net")});
    attach("a/net", old_sa);
    CHECK(spd.lookup_outbound(tcp).sa == &old_sa);
  }
  SUBCASE("nothing else matches") {
    spd.set({outbound(Action::kProtect, {kLocal}, {web}, "a/web")});
    CHECK(spd.lookup_outbound(tcp).verdict == Verdict::kFragmentOpaque);
    CHECK(spd.lookup_outbound(udp).verdict == Verdict::kPolicyNoMatch);
  }
}

TEST_CASE_FIXTURE(Fixture, "ports decide about a fragment where entries or SAs with ports differ") {
  const Selector web = range("10.2.0.0", "10.2.255.255", packet::kTcp, 80, 80);
  const IpHeader tcp = later_fragment("10.1.0.1", "10.2.0.1", packet::kTcp);
  const IpHeader udp = later_fragment("10.1.0.1", "10.2.0.1", packet::kUdp);
  IpHeader first = tcp;
  first.fragment_offset = 0;
  first.more_fragments = first.has_ports = true;
  first.destination_port = 80;
  const auto everything = [&](Action action) {
    return outbound(action, {kLocal}, {kRemote}, action == Action::kProtect ? "a/net" : "");
  };
  attach("a/net", old_sa);
  for (const Action before : {Action::kBypass, Action::kDiscard, Action::kProtect}) {
    for (const Action after : {Action::kBypass, Action::kDiscard, Action::kProtect}) {
      spd.set({outbound(before, {kLocal}, {web}, before == Action::kProtect ? "a/net" : ""),
               everything(after)});
      CHECK(spd.ports_decide(tcp) == (before != after));
      CHECK(spd.ports_decide(first) == (before != after));
      CHECK_FALSE(spd.ports_decide(udp));
    }
  }
  // Another policy, or none for what has other ports.
  spd.set({outbound(Action::kProtect, {kLocal}, {web}, "a/web"), everything(Action::kProtect)});
  CHECK(spd.ports_decide(tcp));
  spd.set({outbound(Action::kDiscard, {kLocal}, {web})});
  CHECK(spd.ports_decide(tcp));
  // The entry takes all ports, its only SA does not.
  spd.set({everything(Action::kProtect)});
  CHECK_FALSE(spd.ports_decide(tcp));
  spd.detach(&old_sa);
  spd.attach("a/net", &old_sa, {kLocal}, {web});
  CHECK(spd.ports_decide(tcp));
}

TEST_CASE_FIXTURE(Fixture, "clear text inbound passes only where an entry says BYPASS") {
  spd.set({inbound(Action::kBypass, {kLocal}, {range("10.2.0.1", "10.2.0.1")}),
           inbound(Action::kDiscard, {kLocal}, {range("10.2.0.2", "10.2.0.2")}),
           inbound(Action::kProtect, {kLocal}, {kRemote}, "a/net")});
  const auto look = [&](const char* source) {
    return spd.lookup_inbound_clear(packet(source, "10.1.0.1"));
  };
  CHECK(look("10.2.0.1") == ClearLookup::kBypass);
  CHECK(look("10.2.0.2") == ClearLookup::kDiscard);
  CHECK(look("10.2.0.3") == ClearLookup::kProtected);
  CHECK(look("10.3.0.1") == ClearLookup::kNoMatch);
}

TEST_CASE_FIXTURE(Fixture, "an outbound PROTECT protects the way back as well") {
  spd.set({outbound(Action::kProtect, {kLocal}, {kRemote}, "a/net"),
           outbound(Action::kBypass, {range("0.0.0.0", "255.255.255.255")},
                    {range("0.0.0.0", "255.255.255.255")})});
  CHECK(spd.lookup_inbound_clear(packet("10.2.0.1", "10.1.0.1")) == ClearLookup::kProtected);
  CHECK(spd.lookup_inbound_clear(packet("10.1.0.1", "10.2.0.1")) == ClearLookup::kNoMatch);
}

TEST_CASE_FIXTURE(Fixture, "unseen ports of a fragment keep it out, and do not let it in") {
  const Selector web = range("10.2.0.0", "10.2.255.255", packet::kTcp, 80, 80);
  const IpHeader tcp = later_fragment("10.2.0.1", "10.1.0.1", packet::kTcp);
  SUBCASE("BYPASS with ports") {
    spd.set({inbound(Action::kBypass, {kLocal}, {web})});
    CHECK(spd.lookup_inbound_clear(tcp) == ClearLookup::kNoMatch);
  }
  SUBCASE("PROTECT with ports before BYPASS") {
    spd.set({inbound(Action::kProtect, {kLocal}, {web}, "a/web"),
             inbound(Action::kBypass, {kLocal}, {kRemote})});
    CHECK(spd.lookup_inbound_clear(tcp) == ClearLookup::kProtected);
  }
}

TEST_CASE_FIXTURE(Fixture, "workers look up while entries and SAs are replaced") {
  const std::vector<Entry> with = {outbound(Action::kProtect, {kLocal}, {kRemote}, "a/net")};
  const std::vector<Entry> without = {outbound(Action::kDiscard, {kLocal}, {kRemote})};
  const IpHeader p = packet("10.1.0.1", "10.2.0.1");
  std::atomic<bool> stop{false};
  std::atomic<uint64_t> protect{0};
  std::atomic<uint64_t> wrong{0};
  {
    std::vector<std::jthread> workers;
    for (int t = 0; t < 3; t++) {
      workers.emplace_back([&] {
        base::Epoch::Reader reader(epoch);
        while (!stop.load(std::memory_order_relaxed)) {
          const OutboundLookup found = spd.lookup_outbound(p);
          if (found.action == Action::kProtect) {
            protect++;
            if (found.policy->name() != "a/net") wrong++;
            if (found.sa && found.sa->spi != 0xc0ffee01) wrong++;
          } else if (found.verdict != Verdict::kPolicyDiscard &&
                     found.verdict != Verdict::kPolicyNoMatch) {
            wrong++;
          }
          reader.quiescent();
        }
      });
    }
    for (int i = 0; i < 300 || protect.load() < 100; i++) {
      auto sa = std::make_unique<sad::OutboundSa>(pair.p);
      spd.set(with);
      attach("a/net", *sa);
      std::this_thread::yield();
      if (i % 2) spd.set(without);
      spd.detach(sa.get());
      epoch.retire(std::move(sa));
    }
    stop = true;
  }
  CHECK(wrong.load() == 0);
  CHECK(protect.load() >= 100);
}

}  // namespace
}  // namespace esplane::spd
