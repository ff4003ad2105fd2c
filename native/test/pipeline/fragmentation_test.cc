// What does not fit behind ESP: cut before it or after it, or answered; and fragments whose ports
// decide. What leaves is given back to the gateway, whose peer has the same keys.
#include <doctest/doctest.h>

#include <random>
#include <set>

#include "test/pipeline/echo.h"

using namespace esplane;
using namespace esplane::test;
using packet::Verdict;

namespace {

constexpr const char *kPeer4 = "192.0.2.2", *kPeer6 = "2001:db8::2";

/// After the way there and back.
Bytes returned(const Bytes& packet) { return hopped(hopped(packet)); }

Bytes inner6(uint32_t bytes) {
  const DatagramFields f{.source = "2001:db8:a::7", .destination = "2001:db8:a::9", .protocol = 253};
  return whole(f, pattern(bytes - 40));
}

/// A UDP datagram of the inner network.
Bytes datagram(uint32_t bytes, uint16_t port, uint32_t id = 7) {
  DatagramFields f{.source = "10.2.0.7", .destination = "10.1.0.9", .id = id};
  f.protocol = packet::kUdp;
  Bytes data = pattern(bytes - 20, id);
  base::store_be16(&data[0], 4000);
  base::store_be16(&data[2], port);
  base::store_be16(&data[4], static_cast<uint16_t>(data.size()));
  base::store_be16(&data[6], 0);
  return whole(f, data);
}

packet::Selector udp_port(uint16_t port) {
  auto s = Rig::range("10.0.0.0", "10.255.255.255");
  s.protocol = packet::kUdp;
  s.start_port = s.end_port = port;
  return s;
}
packet::Selector any_port() {
  auto s = udp_port(0);
  s.end_port = 65535;
  return s;
}

/// An entry for UDP to a port.
spd::Entry to_port(spd::Action action, uint16_t port) {
  return {.action = action,
          .direction = spd::Direction::kOutbound,
          .policy = action == spd::Action::kProtect ? "tunnel" : "",
          .local = {any_port()},
          .remote = {udp_port(port)}};
}

}  // namespace

TEST_CASE("IPv4 without DF that does not fit is cut before ESP") {
  for (const bool v6 : {false, true}) {
    for (const bool udp : {false, true}) {
      CAPTURE(v6);
      CAPTURE(udp);
      Echo rig(udp, v6);
      rig.receive_all(Rig::kLan, {inner(1500)});
      CHECK(rig.counts() == Counts{{"fragmented", 1}});
      CHECK(rig.counters.esp_out_packets.read() == 2);
      const auto outer = rig.reflect_all();
      REQUIRE(outer.size() == 2);
      packet::IpHeader header;
      for (const auto& p : outer) {
        CHECK(p.size() <= 1500);
        REQUIRE(packet::parse_ip(p.data(), static_cast<uint32_t>(p.size()), header) ==
                Verdict::kPending);
        CHECK_FALSE(header.is_fragment());
      }
      CHECK(outer[0].size() > 1480);  // as much as fits
      const auto arrived = rig.sent(Rig::kLan);
      CHECK(arrived.size() == 2);
      CHECK(joined(arrived) == returned(inner(1500)));
      CHECK(rig.pool.available() == Rig::kFrames);
    }
  }
}

TEST_CASE("or behind it, where the SA says so") {
  for (const bool v6 : {false, true}) {
    for (const bool udp : {false, true}) {
      CAPTURE(v6);
      CAPTURE(udp);
      Echo rig(Echo::Options{.udp = udp, .outer_v6 = v6, .fragment_after = true});
      rig.receive_all(Rig::kLan, {inner(1500)});
      CHECK(rig.counts() == Counts{{"fragmented", 1}});
      CHECK(rig.counters.esp_out_packets.read() == 1);
      const auto outer = rig.reflect_all();
      REQUIRE(outer.size() == 2);
      uint64_t bytes = 0;
      packet::IpHeader header;
      for (const auto& p : outer) {
        bytes += p.size();
        CHECK(p.size() <= 1500);
        REQUIRE(packet::parse_ip(p.data(), static_cast<uint32_t>(p.size()), header) ==
                Verdict::kPending);
        CHECK(header.is_fragment());
      }
      CHECK(rig.counters.esp_out_bytes.read() == bytes);
      CHECK(rig.sent(Rig::kLan) == std::vector<Bytes>{returned(inner(1500))});
      CHECK(rig.counts() == Counts{{"fragment_reassembled", 1}, {"sent", 1}});
      CHECK(rig.pool.available() == Rig::kFrames);
    }
  }
}

TEST_CASE("the SA's DF policy decides, not DF inside: cleared, what ESP made is cut (RFC 4301 §8.1)") {
  const auto df = sad::OuterPolicy::DontFragment::kClear;
  for (const bool v6 : {false, true}) {
    CAPTURE(v6);
    Echo rig(Echo::Options{.outer_v6 = v6, .df = df});
    const Bytes large = inner(1500, 1, "10.1.0.9", packet::kIpv4DontFragment);
    rig.receive_all(Rig::kLan, {large});
    CHECK(rig.counts() == Counts{{"fragmented", 1}});
    CHECK(rig.reflect_all().size() == 2);
    CHECK(rig.sent(Rig::kLan) == std::vector<Bytes>{returned(large)});
    // Without DF inside, it is cut before ESP as ever.
    rig.counts();
    rig.receive_all(Rig::kLan, {inner(1500)});
    rig.reflect_all();
    CHECK(rig.counts() == Counts{{"fragmented", 1}, {"sent", 2}});
    // IPv6 inside counts as DF set; the policy overrules that, too.
    rig.sent(Rig::kLan);
    rig.know("2001:db8:a::9", Rig::kLan);
    rig.receive_all(Rig::kLan, {inner6(1500)});
    CHECK(rig.counts() == Counts{{"fragmented", 1}});
    CHECK(rig.sent(Rig::kWan).size() == 2);
  }
}

TEST_CASE("set, nothing that ESP made is cut: before it, or not at all") {
  const auto df = sad::OuterPolicy::DontFragment::kSet;
  Echo rig(Echo::Options{.fragment_after = true, .df = df});
  rig.receive_all(Rig::kLan, {inner(1500)});
  CHECK(rig.counts() == Counts{{"fragmented", 1}});
  for (const auto& p : rig.reflect_all()) {
    CHECK(base::load_be16(&p[6]) == packet::kIpv4DontFragment);
    CHECK(p.size() <= 1500);
  }
  CHECK(joined(rig.sent(Rig::kLan)) == returned(inner(1500)));
  rig.counts();
  // With ports it cannot be cut before ESP.
  Echo ports(Echo::Options{.df = df, .selectors = {udp_port(4000)}});
  ports.know("10.2.0.7", Rig::kLan);
  ports.receive_all(Rig::kLan, {datagram(1500, 4000)});
  CHECK(ports.counts()["too_big"] == 1);
  CHECK(ports.sent(Rig::kWan).empty());
}

TEST_CASE("pieces take the place of their packet: order and sequence numbers are kept") {
  Echo rig;
  std::vector<Bytes> packets;
  for (uint8_t n = 0; n < 64; n++) packets.push_back(inner(n % 3 == 1 ? 1500 : 100, n));
  rig.receive_all(Rig::kLan, packets);
  CHECK(rig.counts() == Counts{{"fragmented", 21}, {"sent", 43}});
  const auto outer = rig.reflect_all();
  REQUIRE(outer.size() == 43 + 2 * 21);
  for (uint32_t i = 0; i < outer.size(); i++) CHECK(base::load_be32(&outer[i][24]) == i + 1);
  net::Reassembler reassembler(1, 2048);
  std::vector<Bytes> arrived;
  for (const auto& p : rig.sent(Rig::kLan)) {
    packet::IpHeader header;
    REQUIRE(packet::parse_ip(p.data(), static_cast<uint32_t>(p.size()), header) ==
            Verdict::kPending);
    if (!header.is_fragment()) {
      arrived.push_back(p);
      continue;
    }
    const auto result = reassembler.add(p.data(), header, 0);
    if (result.state != net::Reassembler::State::kComplete) continue;
    arrived.emplace_back(result.bytes);
    reassembler.take(arrived.back().data());
  }
  REQUIRE(arrived.size() == 64);
  for (uint32_t n = 0; n < 64; n++) CHECK(arrived[n] == returned(packets[n]));
}

TEST_CASE("a whole burst of packets that have to be cut") {
  for (const bool after : {false, true}) {
    CAPTURE(after);
    Echo rig(Echo::Options{.fragment_after = after});
    rig.receive_all(Rig::kLan, std::vector<Bytes>(64, inner(1500)));
    CHECK(rig.counts() == Counts{{"fragmented", 64}});
    CHECK(rig.sent(Rig::kWan).size() == 128);
    CHECK(rig.pool.available() == Rig::kFrames);
  }
}

TEST_CASE("a fragment from the LAN that does not fit is cut into fragments of its datagram") {
  Echo rig;
  const Bytes packet = datagram(3000, 53);
  const auto fragments = cut(packet, 1500);
  rig.receive_all(Rig::kLan, fragments);
  CHECK(rig.counts() == Counts{{"fragmented", 2}, {"sent", 1}});
  CHECK(rig.reflect_all().size() == 5);
  CHECK(joined(rig.sent(Rig::kLan)) == returned(packet));
}

TEST_CASE("without frames for the pieces nothing is sent of the packet") {
  Echo rig;
  std::vector<uint8_t*> taken;
  while (rig.pool.available() > 2) taken.push_back(rig.pool.get());
  rig.receive_all(Rig::kLan, {inner(1500)});  // one frame for itself, one is left
  CHECK(rig.counts() == Counts{{"no_frame", 1}});
  CHECK(rig.sent(Rig::kWan).empty());
  CHECK(rig.pool.available() == 2);
  for (auto* frame : taken) rig.pool.put(frame);
}

TEST_CASE("the path's MTU decides, not the port's") {
  Echo rig;
  rig.know(kPeer4, Rig::kWan, 1000);
  rig.receive_all(Rig::kLan, {inner(946), inner(947), inner(1400)});
  CHECK(rig.counts() == Counts{{"fragmented", 2}, {"sent", 1}});
  const auto outer = rig.sent(Rig::kWan);
  CHECK(outer.size() == 5);
  CHECK(outer[0].size() == 1000);
  for (const auto& p : outer) CHECK(p.size() <= 1000);
}

TEST_CASE("IPv6 of up to 1280 bytes passes any tunnel: behind ESP it is cut (RFC 2473 §7.1)") {
  for (const bool v6 : {false, true}) {
    CAPTURE(v6);
    Echo rig(false, v6);
    rig.know(v6 ? kPeer6 : kPeer4, Rig::kWan, 1280);
    rig.know("2001:db8:a::9", Rig::kLan);
    rig.receive_all(Rig::kLan, {inner6(1280)});
    CHECK(rig.counts() == Counts{{"fragmented", 1}});
    CHECK(rig.reflect_all().size() == 2);
    const auto arrived = rig.sent(Rig::kLan);
    REQUIRE(arrived.size() == 1);
    CHECK(arrived[0].size() == 1280);
    CHECK(rig.counts() == Counts{{"fragment_reassembled", 1}, {"sent", 1}});
    // One byte more, and its source is told the least that IPv6 has.
    rig.receive_all(Rig::kLan, {inner6(1281)});
    CHECK(rig.counts() == Counts{{"too_big", 1}});
    rig.know("2001:db8:a::7", Rig::kLan);
    const auto errors = rig.sent(Rig::kLan);
    REQUIRE(errors.size() == 1);
    CHECK(errors[0][40] == 2);
    CHECK(base::load_be32(&errors[0][44]) == 1280);
  }
}

TEST_CASE("fragments whose ports decide are put together, whichever comes first (RFC 4301 §7.3)") {
  Echo rig(Echo::Options{.selectors = {udp_port(4000), udp_port(5000)}});
  const auto fragments = cut(datagram(1000, 5000), 500);
  REQUIRE(fragments.size() == 3);
  for (const auto& order : {fragments, reversed(fragments)}) {
    rig.receive_all(Rig::kLan, order);
    CHECK(rig.counts() == Counts{{"fragment_reassembled", 2}, {"sent", 1}});
    CHECK(rig.reflect_all().size() == 1);
    CHECK(rig.sent(Rig::kLan) == std::vector<Bytes>{returned(datagram(1000, 5000))});
    rig.counts();
  }
  // Those of another port have no policy.
  rig.receive_all(Rig::kLan, cut(datagram(1000, 6000), 500));
  CHECK(rig.counts() == Counts{{"fragment_reassembled", 2}, {"policy_no_match", 1}});
  // Without its first fragment nobody knows.
  const auto headless = cut(datagram(1000, 5000, 8), 500);
  rig.receive_all(Rig::kLan, {headless[1], headless[2]});
  CHECK(rig.counts().empty());
  rig.core.now_ms += 30'000;
  rig.core.expire_fragments();
  CHECK(rig.counts() == Counts{{"fragment_timeout", 2}});
  CHECK(rig.pool.available() == Rig::kFrames);
}

TEST_CASE("an SA with ports never carries a later fragment: what is too big is cut behind ESP") {
  for (const uint32_t bytes : {1490u, 1900u, 9000u, 65'000u}) {
    CAPTURE(bytes);
    Echo rig(Echo::Options{.selectors = {udp_port(4000), udp_port(5000)}});
    const Bytes packet = datagram(bytes, 5000);
    const auto from_lan = bytes <= 1500 ? std::vector<Bytes>{packet} : cut(packet, 1500);
    rig.receive_all(Rig::kLan, from_lan);
    auto expected = Counts{{"fragmented", 1}, {"fragment_reassembled", from_lan.size() - 1}};
    std::erase_if(expected, [](const auto& c) { return c.second == 0; });
    CHECK(rig.counts() == expected);
    CHECK(rig.counters.esp_out_packets.read() == 1);
    const auto outer = rig.reflect_all();
    CHECK(outer.size() > 1);
    for (const auto& p : outer) CHECK(p.size() <= 1500);
    const auto arrived = rig.sent(Rig::kLan);
    CHECK((arrived.size() == 1 ? arrived[0] : joined(arrived)) == returned(packet));
    CHECK(rig.pool.available() == Rig::kFrames);
  }
}

TEST_CASE("fragments that policy can judge pass as they are") {
  Echo rig;
  rig.receive_all(Rig::kLan, reversed(cut(datagram(1000, 5000), 500)));
  CHECK(rig.counts() == Counts{{"sent", 3}});
  CHECK(rig.reflect_all().size() == 3);
  CHECK(joined(rig.sent(Rig::kLan)) == returned(datagram(1000, 5000)));
}

TEST_CASE("behind a BYPASS, what an entry with ports protects never leaves in clear") {
  Echo rig(Echo::Options{.selectors = {udp_port(4000), udp_port(5000)}});
  auto bypass = to_port(spd::Action::kBypass, 0);
  bypass.remote = {any_port()};
  rig.spd.set({to_port(spd::Action::kProtect, 5000), bypass});
  rig.receive_all(Rig::kLan, cut(datagram(4000, 5000), 1400));
  CHECK(rig.kernel.packets.empty());
  CHECK(rig.counts() == Counts{{"fragment_reassembled", 2}, {"fragmented", 1}});
  const auto other = datagram(4000, 6000);
  rig.receive_all(Rig::kLan, cut(other, 1400));
  CHECK(rig.kernel.packets == std::vector<Bytes>{other});
  CHECK(rig.counts() == Counts{{"fragment_reassembled", 2}, {"reinjected", 1}});
}

TEST_CASE("before a tunnel for everything, entries with ports have all their fragments") {
  const auto big = datagram(4000, 5000), other = datagram(4000, 6000);
  SUBCASE("DISCARD") {
    Echo rig(Echo::Options{.before = {to_port(spd::Action::kDiscard, 5000)}});
    rig.receive_all(Rig::kLan, cut(big, 1400));
    CHECK(rig.counts() == Counts{{"fragment_reassembled", 2}, {"policy_discard", 1}});
    rig.receive_all(Rig::kLan, cut(other, 1400));
    CHECK(rig.counts() == Counts{{"fragment_reassembled", 2}, {"fragmented", 1}});
    for (const auto& p : rig.reflect_all()) CHECK(p.size() <= 1500);
    CHECK(joined(rig.sent(Rig::kLan)) == returned(other));
  }
  SUBCASE("BYPASS") {
    Echo rig(Echo::Options{.before = {to_port(spd::Action::kBypass, 5000)}});
    rig.receive_all(Rig::kLan, cut(big, 1400));
    CHECK(rig.kernel.packets == std::vector<Bytes>{big});
    CHECK(rig.sent(Rig::kWan).empty());
  }
}

TEST_CASE("a flood of fragments whose ports decide is bounded, and each has one verdict") {
  Echo rig(Echo::Options{.selectors = {udp_port(4000), udp_port(5000)}});
  std::mt19937 random(2);
  uint64_t received = 0;
  for (int round = 0; round < 200; round++) {
    std::vector<Bytes> burst;
    for (uint32_t n = 0; n < 64; n++) {
      const DatagramFields f{.source = "10.2.0.7", .destination = "10.1.0.9",
                             .id = static_cast<uint32_t>(random() % 5000), .protocol = 17};
      burst.push_back(fragment(f, pattern(64), static_cast<uint32_t>(8 * (random() % 40)),
                               random() % 4 != 0));
    }
    received += burst.size();
    rig.receive_all(Rig::kLan, burst);
    (void)rig.sent(Rig::kWan);
  }
  uint64_t ended = 0;
  for (const auto& [name, n] : rig.counts()) ended += n;
  CHECK(ended + rig.core.inner_fragments.held() == received);
  CHECK(rig.core.inner_fragments.datagrams() <= 256);
  CHECK(rig.pool.available() == Rig::kFrames);
}
