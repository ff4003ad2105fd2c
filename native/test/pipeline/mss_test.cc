// TCP's MSS through a tunnel: lowered to its inner MTU in both directions.
#include <doctest/doctest.h>

#include "packet/insertion.h"
#include "test/pipeline/echo.h"

using namespace esplane;
using namespace esplane::test;

namespace {

/// A SYN with an MSS of 1460 (IPv4) or 1440 (IPv6) from the inner network to itself.
Bytes syn(bool v4 = true, uint8_t flags = 0x02) {
  Bytes tcp(24);
  base::store_be16(&tcp[0], 40000);
  base::store_be16(&tcp[2], 443);
  tcp[12] = 6 << 4;
  tcp[13] = flags;
  tcp[20] = 2;
  tcp[21] = 4;
  base::store_be16(&tcp[22], v4 ? 1460 : 1440);
  const DatagramFields f{.source = v4 ? "10.2.0.7" : "2001:db8:a::7",
                         .destination = v4 ? "10.1.0.9" : "2001:db8:a::9",
                         .protocol = packet::kTcp};
  uint64_t sum = packet::pseudo_header_add(address(f.source), address(f.destination), packet::kTcp, 24);
  sum = packet::checksum_add(tcp.data(), tcp.size(), sum);
  base::store_be16(&tcp[16], static_cast<uint16_t>(~packet::checksum_fold(sum)));
  return whole(f, tcp);
}

uint16_t mss_of(const Bytes& packet) { return base::load_be16(&packet[packet.size() - 2]); }

bool checksum_holds(const Bytes& p) {
  packet::IpHeader h;
  REQUIRE(packet::parse_ip(p.data(), static_cast<uint32_t>(p.size()), h) == packet::Verdict::kPending);
  const uint64_t sum = packet::pseudo_header_add(h.source, h.destination, packet::kTcp, 24);
  return packet::checksum_fold(packet::checksum_add(&p[h.header_bytes], 24, sum)) == 0xffff;
}

/// Through the gateway, to the peer and back from it: what it says when it comes out again.
Bytes there_and_back(Echo& rig, const Bytes& packet) {
  rig.receive_all(Rig::kLan, {packet});
  rig.reflect_all();
  const auto arrived = rig.sent(Rig::kLan);
  REQUIRE(arrived.size() == 1);
  return arrived[0];
}

}  // namespace

TEST_CASE("a SYN on its way out is lowered to what the tunnel holds") {
  for (const bool udp : {false, true}) {
    for (const bool v6 : {false, true}) {
      CAPTURE(udp);
      CAPTURE(v6);
      Echo rig(udp, v6);
      rig.know("2001:db8:a::9", Rig::kLan);
      const uint32_t around = (v6 ? 40 : 20) + (udp ? 8 : 0) + 16 + 16;
      const uint32_t most = (1500 - around) / 4 * 4 - 2;
      for (const bool inner_v4 : {true, false}) {
        const Bytes out = there_and_back(rig, syn(inner_v4));
        CHECK(mss_of(out) == most - (inner_v4 ? 40 : 60));
        CHECK(checksum_holds(out));
      }
      CHECK(rig.counters.mss_clamped.read() == 2);
    }
  }
}

TEST_CASE("a SYN on its way in is lowered likewise, from the first packet on") {
  Echo rig;
  rig.receive_all(Rig::kWan, {rig.sealed(syn()), rig.sealed(syn(true, 0x12))});
  const auto arrived = rig.sent(Rig::kLan);
  REQUIRE(arrived.size() == 2);
  for (const Bytes& p : arrived) {
    CHECK(mss_of(p) == 1446 - 40);
    CHECK(checksum_holds(p));
  }
  CHECK(rig.counters.mss_clamped.read() == 2);
}

TEST_CASE("what ICMP said of the path, and what its next hop takes, counts") {
  Echo rig;
  rig.sad.outbound(rig.spi)->path_mtu.lower(1350, rig.core.now_ms);
  CHECK(mss_of(there_and_back(rig, syn())) == (1350 - 52) / 4 * 4 - 2 - 40);
  Echo narrow;
  narrow.know("192.0.2.2", Rig::kWan, 1400);
  CHECK(mss_of(there_and_back(narrow, syn())) == (1400 - 52) / 4 * 4 - 2 - 40);
  // Over IPv6 below what its every path carries, too: packets of 1280 bytes would be cut.
  Echo least;
  least.know("2001:db8:a::9", Rig::kLan);
  least.sad.outbound(least.spi)->path_mtu.lower(600, least.core.now_ms);
  least.receive_all(Rig::kWan, {least.sealed(syn(false))});
  const auto arrived = least.sent(Rig::kLan);
  REQUIRE(arrived.size() == 1);
  CHECK(mss_of(arrived[0]) == (600 - 52) / 4 * 4 - 2 - 60);
}

TEST_CASE("what fits, what is no SYN, and an SA that says so are left alone") {
  Echo rig;
  CHECK(mss_of(there_and_back(rig, syn(true, 0x10))) == 1460);
  Bytes small = syn();
  base::store_be16(&small[36], packet::checksum_update(base::load_be16(&small[36]), 1460, 1200));
  base::store_be16(&small[42], 1200);
  const Bytes out = there_and_back(rig, small);
  CHECK(mss_of(out) == 1200);
  CHECK(checksum_holds(out));
  CHECK(rig.counters.mss_clamped.read() == 0);

  Echo keeps(Echo::Options{.clamp_mss = false});
  CHECK(mss_of(there_and_back(keeps, syn())) == 1460);
  CHECK(keeps.counters.mss_clamped.read() == 0);
}

TEST_CASE("a checksum that was left to the network card is completed, and right behind it") {
  Echo rig;
  Bytes p = syn();
  const uint64_t sum = packet::pseudo_header_add(address("10.2.0.7"), address("10.1.0.9"), packet::kTcp, 24);
  base::store_be16(&p[36], packet::checksum_fold(sum));
  const Bytes out = there_and_back(rig, p);
  CHECK(mss_of(out) == 1446 - 40);
  CHECK(checksum_holds(out));
}
