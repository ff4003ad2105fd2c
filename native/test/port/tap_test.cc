#include "port/packet/tap.h"

#include <doctest/doctest.h>
#include <unistd.h>

#include "test/port/frames.h"
#include "test/port/lab.h"
#include "test/port/raw_socket.h"

using namespace esplane::test;
using esplane::port::Prefix;
using esplane::port::TapClass;
using esplane::port::WireTap;

namespace {

const std::vector<Prefix> kNetworks{Prefix::parse("10.1.0.0/16"), Prefix::parse("fd01::/48")};
const char* const kWan = "192.0.2.1";

TapClass class_of(const Bytes& frame) { return esplane::port::classify_tapped(frame, kNetworks); }
Bytes v4(uint8_t protocol, const char* to, const Bytes& payload, const Ipv4Options& o = {}) {
  return ethernet(0x0800, ipv4(protocol, to, payload, o));
}

}  // namespace

TEST_CASE("the tap tells ESP, AH, IKE and keepalives") {
  CHECK(class_of(v4(50, kWan, esp())) == TapClass::kEsp);
  CHECK(class_of(v4(51, kWan, esp())) == TapClass::kAh);
  CHECK(class_of(v4(50, kWan, esp(), {.flags_and_offset = 0x00b9})) == TapClass::kEsp);
  CHECK(class_of(v4(50, kWan, esp(), {.options = Bytes(8, 1)})) == TapClass::kEsp);
  CHECK(class_of(v4(17, kWan, udp(4500, esp()))) == TapClass::kEsp);
  CHECK(class_of(v4(17, kWan, udp(4500, Bytes(8, 0)))) == TapClass::kIke);
  CHECK(class_of(v4(17, kWan, udp(500, esp()))) == TapClass::kIke);
  CHECK(class_of(v4(17, kWan, udp(4500, {0xff}))) == TapClass::kKeepalive);
  CHECK(class_of(vlan(0x8100, v4(50, kWan, esp()))) == TapClass::kEsp);
  CHECK(class_of(ethernet(0x86dd, ipv6(50, "2001:db8::1", esp()))) == TapClass::kEsp);
  const Bytes hop_by_hop = Bytes{50, 0, 0, 0, 0, 0, 0, 0} + esp();
  CHECK(class_of(ethernet(0x86dd, ipv6(0, "2001:db8::1", hop_by_hop))) == TapClass::kEsp);
  const Bytes later_fragment = Bytes{50, 0, 5, 0x91, 0, 0, 0, 1} + esp();
  CHECK(class_of(ethernet(0x86dd, ipv6(44, "2001:db8::1", later_fragment))) == TapClass::kEsp);
}

TEST_CASE("the tap calls clear text what has an end in a network and is not protected") {
  CHECK(class_of(v4(6, "10.1.2.3", esp())) == TapClass::kClearText);
  CHECK(class_of(v4(6, "10.9.2.3", esp(), {.source = "10.1.7.7"})) == TapClass::kClearText);
  CHECK(class_of(v4(17, "10.1.2.3", udp(53, esp()))) == TapClass::kClearText);
  CHECK(class_of(v4(17, "10.1.2.3", esp(), {.flags_and_offset = 0x00b9})) == TapClass::kClearText);
  CHECK(class_of(v4(1, "10.1.2.3", esp())) == TapClass::kClearText);
  CHECK(class_of(ethernet(0x86dd, ipv6(6, "fd01::7", esp()))) == TapClass::kClearText);
  CHECK(class_of(ethernet(0x86dd, ipv6(58, "fd01::7", {135, 0, 0, 0}))) == TapClass::kClearText);
  CHECK(class_of(v4(6, "10.2.2.3", esp())) == TapClass::kOther);
}

TEST_CASE("the tap tells neighbour traffic from the rest, and survives every truncation") {
  CHECK(class_of(ethernet(0x0806, Bytes(46, 0))) == TapClass::kNeighbour);
  CHECK(class_of(ethernet(0x86dd, ipv6(58, "ff02::1", {136, 0, 0, 0}))) == TapClass::kNeighbour);
  CHECK(class_of(ethernet(0x86dd, ipv6(58, "ff02::1", {143, 0, 0, 0}))) == TapClass::kOther);
  CHECK(class_of(ethernet(0x88cc, Bytes(46, 0))) == TapClass::kOther);
  for (const Bytes& frame : {v4(17, kWan, udp(4500, esp())),
                             ethernet(0x86dd, ipv6(0, "fd01::1", Bytes{44, 1} + Bytes(60, 0)))}) {
    for (size_t bytes = 0; bytes < frame.size(); bytes++) {
      const Bytes part(frame.begin(), frame.begin() + static_cast<long>(bytes));
      CHECK(class_of(part) != TapClass::kIke);
    }
  }
}

TEST_SUITE("lab") {
  TEST_CASE("a tap on a bridge counts each frame between two gateways exactly once") {
    if (!privileged()) return;
    NetworkNamespace ns;
    NetworkNamespace::make_veth("gwa", "wirea");
    NetworkNamespace::make_veth("gwb", "wireb");
    NetworkNamespace::run(
        "ip link add wire type bridge && sysctl -qw net.ipv6.conf.wire.disable_ipv6=1 && "
        "ip link set wire up && ip link set wirea master wire && ip link set wireb master wire");
    RawSocket a("gwa"), b("gwb");
    WireTap tap({"wirea", "wireb"}, kNetworks);
    constexpr uint32_t kRounds = 20000;
    for (uint32_t i = 0; i < kRounds; i++) {
      a.send(v4(50, kWan, esp() + Bytes(i % 1000, 0)));
      if (i % 4 == 0) b.send(v4(17, kWan, udp(4500, esp())));
      if (i % 100 == 0) b.send(v4(6, "10.1.2.3", esp()));
      if (i % 1000 == 0) a.send(v4(17, kWan, udp(500, esp())));
    }
    const auto counts = tap.stop();
    CHECK(counts.kernel_drops == 0);
    CHECK(counts.esp == kRounds + kRounds / 4);
    CHECK(counts.clear_text == kRounds / 100);
    CHECK(counts.ike == kRounds / 1000);
    CHECK(counts.ah + counts.keepalive + counts.neighbour + counts.other == 0);
    CHECK(counts.esp_bytes ==
          kRounds * 66ull + kRounds / 1000 * 499500ull + kRounds / 4 * 74ull);
    CHECK(tap.stop().esp == counts.esp);
  }

  TEST_CASE("a running tap shows what it has seen shortly after, and names a missing interface") {
    if (!privileged()) return;
    NetworkNamespace ns;
    NetworkNamespace::make_veth("gwa", "wirea");
    RawSocket a("gwa");
    WireTap tap({"wirea"}, kNetworks);
    a.send(v4(50, kWan, esp()));
    usleep(100000);
    CHECK(tap.counts().esp == 1);
    CHECK_THROWS_WITH(WireTap({"wirea", "nowhere"}, {}), doctest::Contains("interface nowhere"));
  }
}
