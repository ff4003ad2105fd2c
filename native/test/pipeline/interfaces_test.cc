// Packets that the host sends into interfaces, and such that enter it there.
#include <doctest/doctest.h>

#include "test/pipeline/rig.h"

namespace {

using namespace esplane;
using net::NextHop;
using packet::Verdict;
using spd::Direction;
using test::CountingReinjector;
using test::Rig;
using Packets = std::vector<std::vector<uint8_t>>;

constexpr spd::Scope kBlue = 1, kRed = 2;

/// Two tunnels with interfaces, between the same networks.
struct TwoTunnels : Rig {
  CountingReinjector blue, red;

  TwoTunnels() {
    spd.set({entry(Direction::kOutbound, "blue", kBlue), entry(Direction::kOutbound, "red", kRed)});
    core.egress.set_reinjector(kBlue, &blue);
    core.egress.set_reinjector(kRed, &red);
    answer_for_peer();
  }
  void answer_for_peer() {
    core.next_hop(test::address("192.0.2.2"));
    answer("192.0.2.2", NextHop::Kind::kForward, kWan);
  }
  uint32_t spi_of(const std::vector<uint8_t>& esp) const { return base::load_be32(&esp[20]); }
};

/// As the peer would send it: outer addresses exchanged.
Packets reflected(Packets outer) {
  for (auto& p : outer) {
    for (int i = 0; i < 4; i++) std::swap(p[12 + i], p[16 + i]);
  }
  return outer;
}

const Packets kOne{Rig::ipv4("10.1.0.5", "10.2.0.7", 1, 60, 1)};

}  // namespace

TEST_CASE_FIXTURE(TwoTunnels, "one packet takes the tunnel of the interface that it is sent into") {
  const uint32_t blue_spi = install("blue", kBlue), red_spi = install("red", kRed);
  host_sends(kRed, kOne);
  host_sends(kBlue, kOne);
  host_sends(kRed, kOne);
  const auto out = sent(kWan);
  REQUIRE(out.size() == 3);
  CHECK(spi_of(out[0]) == red_spi);
  CHECK(spi_of(out[1]) == blue_spi);
  CHECK(spi_of(out[2]) == red_spi);
  // The host has decremented the TTL of what it forwards: 1 is no reason for an error.
  CHECK(count(Verdict::kSent) == 3);
  CHECK(pool.available() == kFrames);
}

TEST_CASE_FIXTURE(TwoTunnels, "without an SA a packet is dropped by name, and raises an acquire") {
  install("red", kRed);
  host_sends(kBlue, kOne);
  CHECK(count(Verdict::kNoSa) == 1);
  pipeline::Event event;
  REQUIRE(events.pop(event));
  CHECK(event.kind == pipeline::Event::Kind::kAcquire);
  CHECK(std::string(event.policy) == "blue");
  CHECK(sent(kWan).empty());
  host_sends(3, kOne);  // no entry speaks of it
  CHECK(count(Verdict::kPolicyNoMatch) == 1);
  CHECK(pool.available() == kFrames);
}

TEST_CASE("an inner packet enters by the interface with its TTL untouched, and none is a drop") {
  Rig rig;
  CountingReinjector door;
  rig.core.egress.set_reinjector(kBlue, &door);
  auto entry = Rig::entry(Direction::kOutbound, "blue", kBlue);
  entry.local = entry.remote = {Rig::range("10.0.0.0", "10.255.255.255")};
  rig.spd.set({entry});
  const auto spi = rig.install_any("blue", kBlue);
  rig.core.next_hop(test::address("192.0.2.2"));
  rig.answer("192.0.2.2", NextHop::Kind::kForward, Rig::kWan);
  rig.host_sends(kBlue, kOne);
  const auto esp = rig.sent(Rig::kWan);
  REQUIRE(esp.size() == 1);
  rig.receive(Rig::kWan, reflected(esp));
  REQUIRE(door.packets.size() == 1);
  CHECK(door.packets[0] == kOne[0]);
  CHECK(rig.count(Verdict::kInterface) == 1);
  CHECK(rig.hops->asked.size() == 1);  // the host routes it, not we

  rig.core.egress.set_reinjector(kBlue, nullptr);
  rig.host_sends(kBlue, kOne);
  rig.receive(Rig::kWan, reflected(rig.sent(Rig::kWan)));
  CHECK(rig.count(Verdict::kInterfaceRefused) == 1);
  CHECK(rig.pool.available() == Rig::kFrames);
  rig.remove(spi);
}

TEST_CASE_FIXTURE(TwoTunnels, "an error about a packet of the host goes back by the interface") {
  install("blue", kBlue);
  auto big = Rig::ipv4("10.1.0.5", "10.2.0.7", 1, 1480);
  big[6] = 0x40;  // DF
  base::store_be16(&big[10], 0);
  base::store_be16(&big[10], packet::internet_checksum(big.data(), 20));
  host_sends(kBlue, {big});
  CHECK(count(Verdict::kTooBig) == 1);
  REQUIRE(blue.packets.size() == 1);
  const auto& error = blue.packets[0];
  CHECK(error[9] == packet::kIcmp);
  CHECK(error[20] == 3);
  CHECK(error[21] == 4);
  CHECK(base::load_be16(&error[26]) == 1446);
  // From where the packet was going: the host takes none from an address of its own.
  CHECK(std::memcmp(&error[12], &big[16], 4) == 0);
  CHECK(std::memcmp(&error[16], &big[12], 4) == 0);
  CHECK(pool.available() == kFrames);
}

TEST_CASE("what the host itself sends meets the SPD of the ports; BYPASS has come by mistake") {
  Rig rig;
  auto bypass = Rig::entry(Direction::kOutbound);
  bypass.action = spd::Action::kBypass;
  bypass.policy = "";
  bypass.remote = {Rig::range("10.2.9.0", "10.2.9.255")};
  rig.spd.set({bypass, Rig::entry(Direction::kOutbound)});
  rig.install();
  rig.core.next_hop(test::address("192.0.2.2"));
  rig.answer("192.0.2.2", NextHop::Kind::kForward, Rig::kWan);
  rig.host_sends(spd::kHostScope, {Rig::ipv4("10.1.0.1", "10.2.0.7", 1),
                                   Rig::ipv4("10.1.0.1", "10.2.9.7", 2),
                                   Rig::ipv4("192.0.2.1", "10.2.0.7", 3),
                                   Rig::ipv4("10.1.0.1", "224.0.0.5", 4)});
  CHECK(rig.sent(Rig::kWan).size() == 1);
  CHECK(rig.count(Verdict::kHostBypass) == 1);
  CHECK(rig.count(Verdict::kPolicyNoMatch) == 1);
  CHECK(rig.count(Verdict::kNotForwardable) == 1);
  CHECK(rig.kernel.packets.empty());
  CHECK(rig.pool.available() == Rig::kFrames);
}

TEST_CASE("what the host's kernel says to an interface's neighbours is no traffic, and no drop") {
  Rig rig;
  auto report = Rig::ipv4("10.1.0.1", "224.0.0.22", 1);
  report[9] = packet::kIgmp;
  base::store_be16(&report[10], 0);
  base::store_be16(&report[10], packet::internet_checksum(report.data(), 20));
  std::vector<uint8_t> solicitation(48);  // of routers (RFC 4861 §4.1), from the unspecified address
  solicitation[0] = 0x60;
  solicitation[5] = 8;
  solicitation[6] = packet::kIcmpV6;
  solicitation[7] = 255;
  std::memcpy(&solicitation[24], test::address("ff02::2").bytes, 16);
  for (const auto scope : {spd::kHostScope, kBlue}) {
    const auto before = rig.count(Verdict::kLinkChatter);
    rig.host_sends(scope, {report, solicitation});
    CHECK(rig.count(Verdict::kLinkChatter) == before + 2);
  }
  CHECK(!packet::kVerdicts[static_cast<uint32_t>(Verdict::kLinkChatter)].is_drop);
  CHECK(rig.pool.available() == Rig::kFrames);
}

TEST_CASE("packets wait for their next hop with the interface that they came by") {
  Rig fresh;
  fresh.spd.set({Rig::entry(Direction::kOutbound, "blue", kBlue)});
  fresh.install("blue", kBlue);
  fresh.host_sends(kBlue, kOne);
  CHECK(fresh.count(Verdict::kHeld) == 1);
  fresh.answer("192.0.2.2", NextHop::Kind::kForward, Rig::kWan);
  CHECK(fresh.sent(Rig::kWan).size() == 1);
}
