// The SAs of policies, few and many: the first that fits, against asking one after the other.
#include <doctest/doctest.h>

#include <algorithm>
#include <memory>
#include <vector>

#include "base/epoch.h"
#include "sad/sa.h"
#include "spd/spd.h"
#include "test/sad/parameters.h"
#include "test/spd/naive.h"

namespace esplane::spd {
namespace {

using packet::IpHeader;
using packet::Selector;
using packet::Verdict;
using test::ip;
using test::NaiveSpd;
using test::RandomTraffic;

/// Stands for an SA: the SPD only uses its address.
sad::OutboundSa* token(size_t n) { return reinterpret_cast<sad::OutboundSa*>(64 * (n + 1)); }

Selector range(const packet::IpAddress& start, const packet::IpAddress& end) {
  return {start, end};
}
packet::IpAddress host(uint32_t n) {
  const uint8_t raw[4] = {10, static_cast<uint8_t>(n >> 16), static_cast<uint8_t>(n >> 8),
                          static_cast<uint8_t>(n)};
  return packet::IpAddress::v4(raw);
}
IpHeader to(const packet::IpAddress& destination, uint16_t port = 53) {
  IpHeader h;
  h.source = ip("192.0.2.7");
  h.destination = destination;
  h.family = packet::Family::kV4;
  h.protocol = packet::kUdp;
  h.source_port = 1024;
  h.destination_port = port;
  h.has_ports = true;
  return h;
}
const Selector kAll = range(ip("0.0.0.0"), ip("255.255.255.255"));
Entry protect(const char* policy) {
  return {Action::kProtect, Direction::kOutbound, policy, {kAll}, {kAll}};
}

/// On standby, or of one of three senders, one time in a few.
Part random_part(RandomTraffic& random) {
  Part part{.standby = random.one_in(4)};
  if (random.one_in(2)) part.resource = static_cast<Resource>(random.below(3));
  return part;
}

TEST_CASE("the SA that serves its sender best is found while random ones come, are preferred and go") {
  for (uint32_t seed = 1; seed <= 30; seed++) {
    CAPTURE(seed);
    RandomTraffic random(seed);
    base::Epoch epoch;
    Spd spd(epoch, 16);  // long chains as well
    const uint32_t most = seed % 3 == 0 ? 6 : 150;
    NaiveSpd naive;
    naive.entries = {protect("a"), protect("b")};
    naive.entries[0].local = {random.selector(true)};
    spd.set(naive.entries);
    for (uint32_t step = 0; step < 600; step++) {
      if (naive.attached.size() < most && !random.one_in(3)) {
        NaiveSpd::Attached a{random.one_in(4) ? "a" : "b", token(step), random.side(true),
                             random.side(true)};
        if (random.one_in(10)) a.local.push_back(kAll);
        if (!naive.attached.empty() && random.one_in(2)) {  // one more of the same selectors
          const auto& like = naive.attached.back();
          a = {like.policy, a.sa, like.local, like.remote};
        }
        a.part = random_part(random);
        spd.attach(a.policy, a.sa, a.local, a.remote, a.part);
        naive.attached.insert(a.part.standby ? naive.attached.begin() : naive.attached.end(),
                              std::move(a));
      } else if (!naive.attached.empty() && random.one_in(3)) {
        const auto chosen =
            naive.attached.begin() + random.below(static_cast<uint32_t>(naive.attached.size()));
        spd.prefer(chosen->sa);
        chosen->part.standby = false;
        std::rotate(chosen, chosen + 1, naive.attached.end());
      } else if (!naive.attached.empty()) {
        const auto gone =
            naive.attached.begin() + random.below(static_cast<uint32_t>(naive.attached.size()));
        spd.detach(gone->sa);
        naive.attached.erase(gone);
      }
      for (int i = 0; i < 5; i++) {
        const IpHeader p = random.packet();
        for (const Resource sender : {Resource{0}, Resource{1}, Resource{7}, kAnyResource}) {
          REQUIRE((test::answer_of(spd.lookup_outbound(p, kHostScope, sender)) ==
                   naive.outbound(p, sender)));
        }
      }
    }
    while (!naive.attached.empty()) {
      spd.detach(naive.attached.back().sa);
      naive.attached.pop_back();
    }
    CHECK(spd.lookup_outbound(to(host(1))).sa == nullptr);
    CHECK(epoch.waiting() == 0);
  }
}

TEST_CASE("each of ten thousand road warriors of one policy is found, rekeyed and forgotten") {
  base::Epoch epoch;
  Spd spd(epoch, 10000);
  spd.set({protect("warriors")});
  for (uint32_t n = 0; n < 10000; n++)
    spd.attach("warriors", token(n), {kAll}, {range(host(n), host(n))});
  for (uint32_t n = 0; n < 10000; n++) {
    REQUIRE(spd.lookup_outbound(to(host(n))).sa == token(n));
  }
  CHECK(spd.lookup_outbound(to(host(10000))).verdict == Verdict::kNoSa);
  // One of them rekeys: make before break.
  spd.attach("warriors", token(20000), {kAll}, {range(host(77), host(77))});
  CHECK(spd.lookup_outbound(to(host(77))).sa == token(20000));
  spd.detach(token(77));
  CHECK(spd.lookup_outbound(to(host(77))).sa == token(20000));
  spd.detach(token(20000));
  CHECK(spd.lookup_outbound(to(host(77))).verdict == Verdict::kNoSa);
  CHECK(spd.lookup_outbound(to(host(78))).sa == token(78));
}

TEST_CASE("SAs that no packet matches, however many, are found for none") {
  base::Epoch epoch;
  Spd spd(epoch);
  spd.set({protect("p")});
  const Selector v6 = range(ip("fd00::"), ip("fd00::ffff"));
  for (uint32_t n = 0; n < 10; n++) spd.attach("p", token(n), {kAll}, {v6});
  CHECK(spd.lookup_outbound(to(host(1))).verdict == Verdict::kNoSa);
}

TEST_CASE("SAs for single ports are found among thousands with the same addresses") {
  base::Epoch epoch;
  Spd spd(epoch, 4096);
  spd.set({protect("p")});
  for (uint16_t port = 1000; port < 5000; port++) {
    Selector remote = kAll;
    remote.protocol = packet::kUdp;
    remote.start_port = remote.end_port = port;
    spd.attach("p", token(port), {kAll}, {remote});
  }
  CHECK(spd.lookup_outbound(to(host(1), 1000)).sa == token(1000));
  CHECK(spd.lookup_outbound(to(host(1), 4999)).sa == token(4999));
  CHECK(spd.lookup_outbound(to(host(1), 5000)).verdict == Verdict::kNoSa);
  IpHeader tcp = to(host(1), 1000);
  tcp.protocol = packet::kTcp;
  CHECK(spd.lookup_outbound(tcp).verdict == Verdict::kNoSa);
  IpHeader fragment = to(host(1), 0);
  fragment.has_ports = false;
  fragment.fragment_offset = 1480;
  CHECK(spd.lookup_outbound(fragment).verdict == Verdict::kNoSa);
}

TEST_CASE("a policy's generation grows with its own SAs and no others") {
  base::Epoch epoch;
  Spd spd(epoch);
  Entry other = protect("b");
  other.local = {range(host(0), host(9))};
  spd.set({other, protect("a")});
  IpHeader in_b = to(host(1));
  in_b.source = host(3);
  const Policy& a = *spd.lookup_outbound(to(host(1))).policy;
  const Policy& b = *spd.lookup_outbound(in_b).policy;
  REQUIRE(a.name() == "a");
  REQUIRE(b.name() == "b");
  const uint64_t entries = spd.generation(), of_b = b.generation();
  const uint64_t before = a.generation();
  spd.attach("a", token(1), {kAll}, {kAll});
  const uint64_t attached = a.generation();
  CHECK(attached > before);
  spd.detach(token(1));
  CHECK(a.generation() > attached);
  CHECK(b.generation() == of_b);
  CHECK(spd.generation() == entries);
}

}  // namespace
}  // namespace esplane::spd
