// Checksums against the RFCs' numbers and against packets that others made.
#include <doctest/doctest.h>

#include <algorithm>

#include "packet/checksum.h"
#include "test/hex.h"

namespace esplane::packet {
namespace {

using test::bytes_of;

// IPv4 header of a DNS query of draft-mcgrew-gcm-test-01: its checksum is 4dcc.
const char kDnsQuery[] =
    "4500003e698f000080114dccc0a80102c0a801010a980035002a2343b2d00100000100000000000003736970096379"
    "6265726369747902646b0000010001";
// A SYN and an ICMPv6 echo request, made by scapy.
const char kSyn[] = "45b90028123440003f0614d30a0100050a020009109200500000000000000000500220006af00000";
const char kEcho6[] =
    "62a12345000b3a3ffd010000000000000000000000000005fd0200000000000000000000000000098000c141000300"
    "00616263";

TEST_CASE("sums the example of RFC 1071 section 3") {
  CHECK(checksum_fold(checksum_add(bytes_of("0001f203f4f5f6f7").data(), 8)) == 0xddf2);
}

TEST_CASE("holds over a header that is intact and fills in one that is not") {
  std::vector<uint8_t> p = bytes_of(kDnsQuery);
  CHECK(internet_checksum(p.data(), 20) == 0);
  p[10] = p[11] = 0;
  CHECK(internet_checksum(p.data(), 20) == 0x4dcc);
}

TEST_CASE("counts an odd last byte as the high one") {
  const std::vector<uint8_t> odd = bytes_of("0102030405");
  const std::vector<uint8_t> even = bytes_of("010203040500");
  CHECK(internet_checksum(odd.data(), 5) == internet_checksum(even.data(), 6));
}

TEST_CASE("sums any length from any address as word by word") {
  std::vector<uint8_t> bytes(300);
  for (size_t i = 0; i < bytes.size(); i++) bytes[i] = static_cast<uint8_t>(255 - i * i);
  for (size_t start = 0; start < 9; start++) {
    for (size_t length = 0; length < 280; length++) {
      uint32_t sum = 0;
      for (size_t i = 0; i < length; i++) sum += i % 2 ? bytes[start + i] : bytes[start + i] << 8;
      while (sum > 0xffff) sum = (sum >> 16) + (sum & 0xffff);
      REQUIRE(checksum_fold(checksum_add(&bytes[start], length)) == sum);
    }
  }
}

TEST_CASE("updates as RFC 1624 section 4 shows, where RFC 1141 went wrong") {
  CHECK(checksum_update(0xdd2f, 0x5555, 0x3285) == 0x0000);
}

TEST_CASE("decrements every TTL to a checksum that holds") {
  for (int ttl = 1; ttl < 256; ttl++) {
    for (int protocol = 0; protocol < 256; protocol++) {
      std::vector<uint8_t> p = bytes_of(kDnsQuery);
      p[8] = static_cast<uint8_t>(ttl);
      p[9] = static_cast<uint8_t>(protocol);
      p[10] = p[11] = 0;
      base::store_be16(&p[10], internet_checksum(p.data(), 20));
      decrement_ttl(p.data(), Family::kV4);
      REQUIRE(p[8] == ttl - 1);
      REQUIRE(internet_checksum(p.data(), 20) == 0);
    }
  }
  std::vector<uint8_t> p = bytes_of(kEcho6);
  decrement_ttl(p.data(), Family::kV6);
  CHECK(p[7] == 62);
}

TEST_CASE("knows the same IPv4 headers for intact as the sum word by word") {
  std::vector<uint8_t> p = bytes_of(kDnsQuery);
  CHECK(ipv4_header_holds(p.data()));
  uint32_t intact = 0;
  // All checksums over headers with and without carries at every place.
  for (const uint8_t fill : {0x00, 0x01, 0x7f, 0x80, 0xfe, 0xff}) {
    std::fill(p.begin() + 1, p.begin() + 20, fill);
    for (uint32_t checksum = 0; checksum <= 0xffff; checksum++) {
      base::store_be16(&p[kIpv4Checksum], static_cast<uint16_t>(checksum));
      const bool holds = internet_checksum(p.data(), 20) == 0;
      intact += holds;
      REQUIRE(ipv4_header_holds(p.data()) == holds);
    }
  }
  CHECK(intact >= 6);
}

TEST_CASE("decrements a TTL beside every checksum as RFC 1624 equation 3 says") {
  std::vector<uint8_t> p = bytes_of(kDnsQuery);
  for (const uint8_t ttl : {1, 64, 255}) {
    for (uint32_t checksum = 0; checksum <= 0xffff; checksum++) {
      p[kIpv4Ttl] = ttl;
      base::store_be16(&p[kIpv4Checksum], static_cast<uint16_t>(checksum));
      const auto before = static_cast<uint16_t>(ttl << 8 | p[kIpv4Protocol]);
      const auto after = static_cast<uint16_t>(before - 0x0100);
      decrement_ttl(p.data(), Family::kV4);
      REQUIRE(base::load_be16(&p[kIpv4Checksum]) ==
              checksum_update(static_cast<uint16_t>(checksum), before, after));
    }
  }
}

TEST_CASE("sums the pseudo-header of both families") {
  IpHeader h;
  for (const char* text : {kSyn, kEcho6, kDnsQuery}) {
    const std::vector<uint8_t> p = bytes_of(text);
    REQUIRE(parse_ip(p.data(), static_cast<uint32_t>(p.size()), h) == Verdict::kPending);
    const uint32_t upper = h.total_bytes - h.header_bytes;
    const uint64_t sum = pseudo_header_add(h.source, h.destination, h.protocol, upper);
    CHECK(checksum_fold(checksum_add(p.data() + h.header_bytes, upper, sum)) == 0xffff);
  }
}

/// Leaves in the packet what a stack leaves there for a network card: the pseudo-header's sum.
void make_partial(std::vector<uint8_t>& p, const IpHeader& h, uint32_t field) {
  base::store_be16(&p[field], checksum_fold(pseudo_header_add(h.source, h.destination, h.protocol,
                                                              h.total_bytes - h.header_bytes)));
}

TEST_CASE("completes a partial checksum to the one that the sender would have written") {
  IpHeader h;
  for (const auto& [text, field] : {std::pair{kSyn, 36}, std::pair{kDnsQuery, 26}}) {
    const std::vector<uint8_t> whole = bytes_of(text);
    std::vector<uint8_t> p = whole;
    REQUIRE(parse_ip(p.data(), static_cast<uint32_t>(p.size()), h) == Verdict::kPending);
    make_partial(p, h, static_cast<uint32_t>(field));
    REQUIRE(p != whole);
    CHECK(complete_checksum(p.data(), h));
    CHECK(p == whole);
    CHECK_FALSE(complete_checksum(p.data(), h));
    CHECK(p == whole);
  }
}

TEST_CASE("leaves alone a wrong checksum, fragments and other protocols") {
  IpHeader h;
  std::vector<uint8_t> p = bytes_of(kSyn);
  REQUIRE(parse_ip(p.data(), static_cast<uint32_t>(p.size()), h) == Verdict::kPending);
  SUBCASE("wrong") {
    p[36] ^= 1;
    CHECK_FALSE(complete_checksum(p.data(), h));
  }
  SUBCASE("fragment") {
    make_partial(p, h, 36);
    h.more_fragments = true;
    CHECK_FALSE(complete_checksum(p.data(), h));
  }
  SUBCASE("another protocol") {
    make_partial(p, h, 36);
    h.protocol = kSctp;
    CHECK_FALSE(complete_checksum(p.data(), h));
  }
  SUBCASE("a TCP header cut short") {
    make_partial(p, h, 36);
    h.total_bytes = 39;
    CHECK_FALSE(complete_checksum(p.data(), h));
  }
}

TEST_CASE("a whole packet whose checksum equals the partial one keeps it") {
  uint32_t met = 0;
  for (uint32_t data = 0; data < 65536; data++) {
    std::vector<uint8_t> p = bytes_of(kSyn);
    base::store_be16(&p[38], static_cast<uint16_t>(data));  // urgent pointer
    IpHeader h;
    REQUIRE(parse_ip(p.data(), static_cast<uint32_t>(p.size()), h) == Verdict::kPending);
    base::store_be16(&p[36], 0);
    const uint64_t sum = pseudo_header_add(h.source, h.destination, h.protocol, 20);
    base::store_be16(&p[36],
                     static_cast<uint16_t>(~checksum_fold(checksum_add(&p[20], 20, sum))));
    const std::vector<uint8_t> whole = p;
    met += complete_checksum(p.data(), h);
    REQUIRE(p == whole);
  }
  CHECK(met > 0);
}

}  // namespace
}  // namespace esplane::packet
