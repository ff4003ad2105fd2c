// Selectors: ranges of addresses, protocols and ports, and packets that show no ports.
#include <doctest/doctest.h>

#include "packet/selector.h"

namespace esplane::packet {
namespace {

Selector range(const char* start, const char* end, uint8_t protocol = 0, uint16_t start_port = 0,
               uint16_t end_port = 65535) {
  return {*IpAddress::parse(start), *IpAddress::parse(end), protocol, start_port, end_port};
}

IpHeader packet(const char* source, const char* destination, uint8_t protocol,
                uint16_t source_port, uint16_t destination_port) {
  IpHeader h;
  h.source = *IpAddress::parse(source);
  h.destination = *IpAddress::parse(destination);
  h.family = h.source.family;
  h.protocol = protocol;
  h.source_port = source_port;
  h.destination_port = destination_port;
  h.has_ports = true;
  return h;
}

Match match(const Selector& s, const IpHeader& h) {
  return s.matches(h, h.destination, h.destination_port);
}

TEST_CASE("takes both ends of an address range and nothing outside of it") {
  const Selector s = range("10.0.255.254", "10.1.0.1");
  const auto at = [&](const char* a) { return match(s, packet("1.1.1.1", a, kTcp, 1, 1)); };
  CHECK(at("10.0.255.253") == Match::kNo);
  CHECK(at("10.0.255.254") == Match::kYes);
  CHECK(at("10.0.255.255") == Match::kYes);
  CHECK(at("10.1.0.1") == Match::kYes);
  CHECK(at("10.1.0.2") == Match::kNo);
  CHECK(at("11.0.255.255") == Match::kNo);
}

TEST_CASE("takes IPv6 ranges that are no prefix") {
  const Selector s = range("fd00::ffff", "fd00::1:1");
  CHECK(match(s, packet("::1", "fd00::fffe", kUdp, 1, 1)) == Match::kNo);
  CHECK(match(s, packet("::1", "fd00::1:0", kUdp, 1, 1)) == Match::kYes);
  CHECK(match(s, packet("::1", "fd00::1:2", kUdp, 1, 1)) == Match::kNo);
}

TEST_CASE("does not mistake an IPv4-mapped IPv6 address for IPv4, nor ::/0 for everything") {
  CHECK(match(range("0.0.0.0", "255.255.255.255"),
              packet("::1", "::ffff:10.0.0.1", kTcp, 1, 1)) == Match::kNo);
  CHECK(match(range("::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
              packet("10.0.0.1", "10.0.0.1", kTcp, 1, 1)) == Match::kNo);
}

TEST_CASE("takes one protocol and a range of ports") {
  const Selector s = range("10.0.0.0", "10.0.0.255", kTcp, 80, 443);
  CHECK(match(s, packet("1.1.1.1", "10.0.0.1", kTcp, 1, 79)) == Match::kNo);
  CHECK(match(s, packet("1.1.1.1", "10.0.0.1", kTcp, 1, 80)) == Match::kYes);
  CHECK(match(s, packet("1.1.1.1", "10.0.0.1", kTcp, 1, 443)) == Match::kYes);
  CHECK(match(s, packet("1.1.1.1", "10.0.0.1", kTcp, 1, 444)) == Match::kNo);
  CHECK(match(s, packet("1.1.1.1", "10.0.0.1", kUdp, 1, 80)) == Match::kNo);
}

TEST_CASE("a packet without ports") {
  IpHeader later_fragment = packet("1.1.1.1", "10.0.0.1", kTcp, 0, 0);
  later_fragment.has_ports = false;
  later_fragment.fragment_offset = 1480;
  IpHeader gre = packet("1.1.1.1", "10.0.0.1", 47, 0, 0);
  gre.has_ports = false;

  SUBCASE("matches any port") {
    CHECK(match(range("10.0.0.0", "10.0.0.255", kTcp), later_fragment) == Match::kYes);
    CHECK(match(range("10.0.0.0", "10.0.0.255"), gre) == Match::kYes);
  }
  SUBCASE("may match a port if it is a later fragment") {
    CHECK(match(range("10.0.0.0", "10.0.0.255", kTcp, 80, 80), later_fragment) ==
          Match::kUnknown);
    CHECK(match(range("10.0.0.0", "10.0.0.255", kUdp, 80, 80), later_fragment) == Match::kNo);
  }
  SUBCASE("does not match a port if its protocol has none") {
    CHECK(match(range("10.0.0.0", "10.0.0.255", 47, 80, 80), gre) == Match::kNo);
  }
  SUBCASE("matches OPAQUE, which others do not") {
    const Selector opaque = range("10.0.0.0", "10.0.0.255", kTcp, 65535, 0);
    CHECK(match(opaque, later_fragment) == Match::kYes);
    CHECK(match(opaque, packet("1.1.1.1", "10.0.0.1", kTcp, 1, 80)) == Match::kNo);
  }
}

TEST_CASE("needs one alternative of each side") {
  const Selector source[] = {range("10.0.0.1", "10.0.0.1"), range("10.0.0.3", "10.0.0.3")};
  const Selector destination[] = {range("10.9.0.0", "10.9.0.255", kUdp),
                                  range("10.8.0.0", "10.8.0.255", kTcp, 22, 22)};
  const auto pair = [&](const IpHeader& h) { return match_pair(h, source, destination); };
  CHECK(pair(packet("10.0.0.3", "10.8.0.7", kTcp, 999, 22)) == Match::kYes);
  CHECK(pair(packet("10.0.0.1", "10.9.0.7", kUdp, 999, 22)) == Match::kYes);
  CHECK(pair(packet("10.0.0.2", "10.9.0.7", kUdp, 999, 22)) == Match::kNo);
  CHECK(pair(packet("10.0.0.1", "10.9.0.7", kTcp, 999, 22)) == Match::kNo);
  CHECK(pair(packet("10.0.0.1", "10.8.0.7", kTcp, 22, 999)) == Match::kNo);
  CHECK(match_pair(packet("10.0.0.1", "10.9.0.7", kUdp, 1, 1), {}, destination) == Match::kNo);
}

TEST_CASE("networks as numbers say yes exactly where match_pair does, or leave it to it") {
  const Selector ten = range("10.1.0.0", "10.1.255.255");
  const Selector high = range("255.255.255.0", "255.255.255.255");
  const Selector all = range("0.0.0.0", "255.255.255.255");
  const Selector one = range("10.2.0.9", "10.2.0.9");
  Selector tcp = all, port = all;
  tcp.protocol = kTcp;
  port.end_port = 80;
  const Selector sides[] = {ten, high, all, one, tcp, port, range("::", "ffff::")};
  const char* addresses[] = {"0.0.0.0",   "10.0.255.255", "10.1.0.0",      "10.1.255.255",
                             "10.2.0.0",  "10.2.0.9",     "255.255.255.0", "255.255.255.255"};
  for (const Selector& source : sides) {
    for (const Selector& destination : sides) {
      const Ipv4Networks networks({&source, 1}, {&destination, 1});
      const bool plain = &source < sides + 4 && &destination < sides + 4;
      for (const char* from : addresses) {
        for (const char* to : addresses) {
          IpHeader h;
          h.family = Family::kV4;
          h.protocol = kUdp;
          h.source = *IpAddress::parse(from);
          h.destination = *IpAddress::parse(to);
          const bool fits = match_pair(h, {&source, 1}, {&destination, 1}) == Match::kYes;
          CHECK(networks.contain(h) == (plain && fits));
        }
      }
    }
  }
}

}  // namespace
}  // namespace esplane::packet
