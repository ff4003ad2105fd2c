// Finding the ESP header behind IP and UDP.
#include <doctest/doctest.h>

#include "base/bytes.h"
#include "esp/locate.h"
#include "packet/checksum.h"
#include "test/guarded.h"
#include "test/hex.h"

namespace esplane::esp {
namespace {

using test::bytes_of;

/// IPv4 with `upper` behind it, at the end of readable memory.
Location look(uint8_t protocol, const char* upper, uint16_t fragment = 0) {
  std::vector<uint8_t> p = bytes_of("450000000000000040000000c6336402c0000201");
  const std::vector<uint8_t> rest = bytes_of(upper);
  p.insert(p.end(), rest.begin(), rest.end());
  p[packet::kIpv4Protocol] = protocol;
  base::store_be16(&p[packet::kIpv4Fragment], fragment);
  base::store_be16(&p[packet::kIpv4TotalLength], static_cast<uint16_t>(p.size()));
  base::store_be16(&p[packet::kIpv4Checksum], packet::internet_checksum(p.data(), 20));
  static const test::Guarded memory(4096);
  uint8_t* at = memory.at_end(p.size());
  std::copy(p.begin(), p.end(), at);
  packet::IpHeader h;
  REQUIRE(packet::parse_ip(at, static_cast<uint32_t>(p.size()), h) == packet::Verdict::kPending);
  return locate(at, h);
}

TEST_CASE("finds ESP behind IP") {
  const Location found = look(packet::kEsp, "c0ffee0100000001aabb");
  CHECK(found.content == Content::kEsp);
  CHECK_FALSE(found.in_udp);
  CHECK(found.offset == 20);
  CHECK(found.end == 30);
  CHECK(found.spi == 0xc0ffee01);
  CHECK(look(packet::kEsp, "c0ffee01000000").content == Content::kTooShort);
  CHECK(look(packet::kEsp, "").content == Content::kTooShort);
}

TEST_CASE("finds ESP in UDP 4500, and its end by the UDP length") {
  const Location found = look(packet::kUdp, "f0f01194" "00120000" "c0ffee0100000001aabb" "eeeeee");
  CHECK(found.content == Content::kEsp);
  CHECK(found.in_udp);
  CHECK(found.offset == 28);
  CHECK(found.end == 38);
  CHECK(found.spi == 0xc0ffee01);
}

TEST_CASE("tells IKE, keepalives and what is too short to be anything") {
  CHECK(look(packet::kUdp, "11941194" "000c0000" "00000000").content == Content::kIke);
  CHECK(look(packet::kUdp, "11941194" "00090000" "ff").content == Content::kKeepalive);
  CHECK(look(packet::kUdp, "11941194" "00090000" "fe").content == Content::kTooShort);
  CHECK(look(packet::kUdp, "11941194" "000a0000" "ffff").content == Content::kTooShort);
  CHECK(look(packet::kUdp, "11941194" "00080000").content == Content::kTooShort);
  CHECK(look(packet::kUdp, "11941194" "000f0000" "c0ffee01000000").content == Content::kTooShort);
}

TEST_CASE("does not believe a UDP length that cannot be") {
  CHECK(look(packet::kUdp, "11941194" "00070000" "c0ffee0100000001").content == Content::kTooShort);
  CHECK(look(packet::kUdp, "11941194" "00110000" "c0ffee0100000001").content == Content::kTooShort);
  CHECK(look(packet::kUdp, "11941194" "0010").content == Content::kTooShort);
}

TEST_CASE("leaves other traffic to others") {
  CHECK(look(packet::kUdp, "11940035" "00100000" "c0ffee0100000001").content == Content::kOther);
  CHECK(look(packet::kTcp, "11941194" "00100000" "c0ffee0100000001").content == Content::kOther);
}

TEST_CASE("says that it is a fragment where it cannot be more") {
  CHECK(look(packet::kEsp, "c0ffee0100000001", 0x2000).content == Content::kFragment);
  CHECK(look(packet::kEsp, "c0ffee0100000001", 100).content == Content::kFragment);
  CHECK(look(packet::kUdp, "1194119400100000c0ffee0100000001", 0x2000).content ==
        Content::kFragment);
  CHECK(look(packet::kUdp, "0000000000000000", 100).content == Content::kFragment);
  CHECK(look(packet::kUdp, "0035003500100000c0ffee0100000001", 0x2000).content ==
        Content::kOther);
}

}  // namespace
}  // namespace esplane::esp
