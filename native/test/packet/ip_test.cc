// The reader of IP headers: what it takes from good packets, what it calls bad ones, and that it
// touches nothing beyond their end.
#include <doctest/doctest.h>

#include <algorithm>
#include <random>
#include <vector>

#include "base/bytes.h"
#include "packet/checksum.h"
#include "packet/ip.h"
#include "test/guarded.h"
#include "test/hex.h"

namespace esplane::packet {
namespace {

using test::bytes_of;

/// Parses a copy that ends where memory does.
Verdict parse(const std::vector<uint8_t>& packet, IpHeader& out) {
  static const test::Guarded memory(4096);
  uint8_t* at = memory.at_end(packet.size());
  std::copy(packet.begin(), packet.end(), at);
  return parse_ip(at, static_cast<uint32_t>(packet.size()), out);
}

void fix_checksum(std::vector<uint8_t>& ipv4) {
  base::store_be16(&ipv4[kIpv4Checksum], 0);
  base::store_be16(&ipv4[kIpv4Checksum], internet_checksum(ipv4.data(), (ipv4[0] & 15u) * 4));
}

// A DNS query of draft-mcgrew-gcm-test-01, without its ESP trailer.
const char kDnsQuery[] =
    "4500003e698f000080114dccc0a80102c0a801010a980035002a2343b2d00100000100000000000003736970096379"
    "6265726369747902646b0000010001";

// An ICMPv6 echo request, made by scapy.
const char kEcho6[] =
    "62a12345000b3a3ffd010000000000000000000000000005fd0200000000000000000000000000098000c141000300"
    "00616263";

/// An IPv6 packet from 2001:db8::1 to 2001:db8::2 with `rest` behind its fixed header.
std::vector<uint8_t> ipv6(uint8_t next_header, const char* rest) {
  std::vector<uint8_t> p = bytes_of("600000000000004020010db800000000000000000000000120010db8000000"
                                    "000000000000000002");
  const std::vector<uint8_t> tail = bytes_of(rest);
  p[kIpv6NextHeader] = next_header;
  base::store_be16(&p[kIpv6PayloadLength], static_cast<uint16_t>(tail.size()));
  p.insert(p.end(), tail.begin(), tail.end());
  return p;
}

TEST_CASE("reads an IPv4 packet") {
  IpHeader h;
  REQUIRE(parse(bytes_of(kDnsQuery), h) == Verdict::kPending);
  CHECK(h.family == Family::kV4);
  CHECK(h.source.text() == "192.168.1.2");
  CHECK(h.destination.text() == "192.168.1.1");
  CHECK(h.header_bytes == 20);
  CHECK(h.total_bytes == 62);
  CHECK(h.protocol == kUdp);
  CHECK(h.ttl == 128);
  CHECK(h.tos == 0);
  CHECK(h.has_ports);
  CHECK(h.source_port == 2712);
  CHECK(h.destination_port == 53);
  CHECK_FALSE(h.dont_fragment);
  CHECK_FALSE(h.is_fragment());
}

TEST_CASE("reads an IPv6 packet, with the ICMPv6 type and code as ports") {
  IpHeader h;
  REQUIRE(parse(bytes_of(kEcho6), h) == Verdict::kPending);
  CHECK(h.family == Family::kV6);
  CHECK(h.source.text() == "fd01::5");
  CHECK(h.destination.text() == "fd02::9");
  CHECK(h.header_bytes == 40);
  CHECK(h.total_bytes == 51);
  CHECK(h.tos == 0x2a);
  CHECK(h.ttl == 63);
  CHECK(h.protocol == kIcmpV6);
  CHECK(h.source_port == 0x8000);
  CHECK(h.destination_port == 0x8000);
}

TEST_CASE("finds the upper layer behind IPv4 options") {
  std::vector<uint8_t> p = bytes_of(kDnsQuery);
  const std::vector<uint8_t> option = bytes_of("94040000");  // router alert, RFC 2113
  p.insert(p.begin() + 20, option.begin(), option.end());
  p[0] = 0x46;
  p[3] = 66;
  fix_checksum(p);
  IpHeader h;
  REQUIRE(parse(p, h) == Verdict::kPending);
  CHECK(h.header_bytes == 24);
  CHECK(h.destination_port == 53);
}

TEST_CASE("leaves link padding out of the packet") {
  std::vector<uint8_t> p = bytes_of(kDnsQuery);
  p.resize(p.size() + 9);
  IpHeader h;
  REQUIRE(parse(p, h) == Verdict::kPending);
  CHECK(h.total_bytes == 62);
}

TEST_CASE("names what is wrong with an IPv4 header") {
  std::vector<uint8_t> p = bytes_of(kDnsQuery);
  IpHeader h;
  SUBCASE("nothing at all") { CHECK(parse({}, h) == Verdict::kTooShort); }
  SUBCASE("shorter than a header") {
    p.resize(19);
    CHECK(parse(p, h) == Verdict::kTooShort);
  }
  SUBCASE("version") {
    p[0] = 0x55;
    CHECK(parse(p, h) == Verdict::kBadIpVersion);
  }
  SUBCASE("header length below five words") {
    p[0] = 0x44;
    CHECK(parse(p, h) == Verdict::kBadIpVersion);
  }
  SUBCASE("header length beyond the packet") {
    p.resize(40);
    p[3] = 40;
    p[0] = 0x4f;
    fix_checksum(p);
    CHECK(parse(p, h) == Verdict::kBadIpLength);
  }
  SUBCASE("total length below the header's") {
    p[3] = 19;
    fix_checksum(p);
    CHECK(parse(p, h) == Verdict::kBadIpLength);
  }
  SUBCASE("total length beyond what arrived") {
    p.pop_back();
    CHECK(parse(p, h) == Verdict::kBadIpLength);
  }
  SUBCASE("checksum") {
    p[8]--;
    CHECK(parse(p, h) == Verdict::kBadIpChecksum);
  }
  SUBCASE("ends within the ports") {
    p.resize(23);
    p[3] = 23;
    fix_checksum(p);
    CHECK(parse(p, h) == Verdict::kTooShort);
  }
}

TEST_CASE("names what is wrong with an IPv6 header") {
  std::vector<uint8_t> p = bytes_of(kEcho6);
  IpHeader h;
  SUBCASE("shorter than a header") {
    p.resize(39);
    CHECK(parse(p, h) == Verdict::kTooShort);
  }
  SUBCASE("payload length beyond what arrived") {
    p.pop_back();
    CHECK(parse(p, h) == Verdict::kBadIpLength);
  }
  SUBCASE("ends within an extension header") {
    CHECK(parse(ipv6(kHopByHop, "3a000000000000"), h) == Verdict::kTooShort);
  }
  SUBCASE("an extension header says that it is longer than the packet") {
    CHECK(parse(ipv6(kHopByHop, "3aff000000000000"), h) == Verdict::kTooShort);
  }
  SUBCASE("no byte of the TCP header") { CHECK(parse(ipv6(kTcp, ""), h) == Verdict::kTooShort); }
}

TEST_CASE("walks IPv6 extension headers to the upper layer") {
  IpHeader h;
  SUBCASE("hop-by-hop, routing, destination options, then TCP") {
    REQUIRE(parse(ipv6(kHopByHop, "2b00010400000000"
                                  "3c00040000000000"
                                  "0601010c000000000000000000000000"
                                  "1f90005000000000"),
                  h) == Verdict::kPending);
    CHECK(h.protocol == kTcp);
    CHECK(h.header_bytes == 40 + 8 + 8 + 16);
    CHECK(h.source_port == 8080);
    CHECK(h.destination_port == 80);
  }
  SUBCASE("AH ends the walk: to IPsec it is an upper layer (RFC 4301 4.4.1.1)") {
    REQUIRE(parse(ipv6(kAh, "1104000000001001000000010102030405060708090a0b0c0035003500080000"),
                  h) == Verdict::kPending);
    CHECK(h.protocol == kAh);
    CHECK(h.header_bytes == 40);
    CHECK_FALSE(h.has_ports);
  }
  SUBCASE("no next header") {
    REQUIRE(parse(ipv6(kHopByHop, "3b00010400000000"), h) == Verdict::kPending);
    CHECK(h.protocol == kNoNextHeader);
    CHECK_FALSE(h.has_ports);
  }
  SUBCASE("ESP ends the walk") {
    REQUIRE(parse(ipv6(kDestinationOptions, "3200010400000000c0ffee0100000001"), h) ==
            Verdict::kPending);
    CHECK(h.protocol == kEsp);
    CHECK(h.header_bytes == 48);
  }
}

TEST_CASE("refuses extension headers as long as all of the largest packet") {
  // 31 times destination options of 2048 bytes, and one that ends 4 bytes before the packet does:
  // counted in 16 bits, the ports would be looked for at its beginning.
  constexpr uint32_t kLongest = 40 + 65535;
  std::vector<uint8_t> p = ipv6(kDestinationOptions, "");
  p.resize(kLongest);
  base::store_be16(&p[kIpv6PayloadLength], 65535);
  uint32_t at = 40;
  while (at < kLongest - 7) {
    const uint32_t bytes = std::min<uint32_t>(2048, (kLongest - at) / 8 * 8);
    p[at] = kDestinationOptions;
    p[at + 1] = static_cast<uint8_t>(bytes / 8 - 1);
    if (at + bytes >= kLongest - 7) p[at] = kUdp;
    at += bytes;
  }
  IpHeader h;
  CHECK(at > 0xffff);
  CHECK(parse_ip(p.data(), kLongest, h) == Verdict::kBadIpLength);
}

TEST_CASE("tells fragments, and does not take data for ports") {
  IpHeader h;
  SUBCASE("first fragment of IPv4 shows its ports") {
    std::vector<uint8_t> p = bytes_of(kDnsQuery);
    p[6] = 0x20;
    fix_checksum(p);
    REQUIRE(parse(p, h) == Verdict::kPending);
    CHECK(h.is_fragment());
    CHECK(h.fragment_offset == 0);
    CHECK(h.has_ports);
  }
  SUBCASE("later fragment of IPv4") {
    std::vector<uint8_t> p = bytes_of(kDnsQuery);
    p[7] = 3;
    fix_checksum(p);
    REQUIRE(parse(p, h) == Verdict::kPending);
    CHECK(h.is_fragment());
    CHECK(h.fragment_offset == 24);
    CHECK_FALSE(h.has_ports);
  }
  SUBCASE("first fragment of IPv6 shows its ports") {
    REQUIRE(parse(ipv6(kFragmentHeader, "1100000100000007003500350008abcd"), h) ==
            Verdict::kPending);
    CHECK(h.protocol == kUdp);
    CHECK(h.more_fragments);
    CHECK(h.has_ports);
    CHECK(h.header_bytes == 48);
  }
  SUBCASE("later fragment of IPv6, whose data looks like an extension header") {
    REQUIRE(parse(ipv6(kFragmentHeader, "3c00000800000007ffffffffffffffff"), h) ==
            Verdict::kPending);
    CHECK(h.protocol == kDestinationOptions);
    CHECK(h.fragment_offset == 8);
    CHECK_FALSE(h.has_ports);
    CHECK(h.header_bytes == 48);
  }
}

TEST_CASE("survives any bytes and stays within them") {
  const unsigned seed = 20260801;
  CAPTURE(seed);
  std::mt19937 random(seed);
  const std::vector<uint8_t> bases[] = {
      bytes_of(kDnsQuery), bytes_of(kEcho6),
      ipv6(kHopByHop, "2b000104000000002c00040000000000330000010000000711040000000010010000000101"
                      "02030405060708090a0b0c0035003500080000")};
  IpHeader h;
  uint32_t good = 0;
  for (int i = 0; i < 200000; i++) {
    std::vector<uint8_t> p = bases[random() % 3];
    p.resize(random() % (p.size() + 1));
    for (uint32_t flips = random() % 4; flips > 0 && !p.empty(); flips--) {
      p[random() % p.size()] = static_cast<uint8_t>(random());
    }
    if (p.size() >= 20 && p[0] >> 4 == 4 && (p[0] & 15u) * 4 <= p.size()) fix_checksum(p);
    if (p.size() >= 20 && random() % 2) {
      const bool v4 = p[0] >> 4 == 4;
      const size_t bytes = v4 ? p.size() : p.size() - std::min<size_t>(p.size(), 40);
      base::store_be16(&p[v4 ? kIpv4TotalLength : kIpv6PayloadLength],
                       static_cast<uint16_t>(bytes));
      if (v4 && (p[0] & 15u) * 4 <= p.size()) fix_checksum(p);
    }
    if (parse(p, h) != Verdict::kPending) continue;
    good++;
    CHECK(h.total_bytes <= p.size());
    CHECK(h.header_bytes <= h.total_bytes);
  }
  CHECK(good > 1000);
}

}  // namespace
}  // namespace esplane::packet
