// TCP's MSS option: lowered where it says more than fits, whatever stands around it.
#include <doctest/doctest.h>

#include <random>
#include <vector>

#include "base/bytes.h"
#include "packet/checksum.h"
#include "packet/insertion.h"
#include "packet/tcp_mss.h"
#include "test/guarded.h"

namespace esplane::packet {
namespace {

using Bytes = std::vector<uint8_t>;
constexpr uint8_t kSyn = 0x02, kAck = 0x10;

/// A segment with these options, and its checksum.
Bytes segment(bool v4, const Bytes& options, uint8_t flags = kSyn, uint32_t data_bytes = 0) {
  const uint32_t header = v4 ? kIpv4HeaderBytes : kIpv6HeaderBytes;
  const auto tcp_bytes = static_cast<uint32_t>(20 + options.size() + data_bytes);
  Bytes p(header + tcp_bytes, 0x5a);
  std::fill(p.begin(), p.begin() + header + 20, uint8_t{0});
  if (v4) {
    p[0] = 0x45;
    p[kIpv4Ttl] = 64;
    p[kIpv4Protocol] = kTcp;
    base::store_be32(&p[kIpv4Source], 0x0a010005);
    base::store_be32(&p[kIpv4Destination], 0x0a020009);
  } else {
    p[0] = 0x60;
    p[kIpv6NextHeader] = kTcp;
    p[kIpv6HopLimit] = 64;
    p[kIpv6Source] = p[kIpv6Destination] = 0xfd;
    p[kIpv6Source + 15] = 5;
    p[kIpv6Destination + 15] = 9;
  }
  uint8_t* tcp = &p[header];
  base::store_be16(tcp, 40000);
  base::store_be16(tcp + 2, 443);
  tcp[12] = static_cast<uint8_t>((20 + options.size()) / 4 << 4);
  tcp[13] = flags;
  std::copy(options.begin(), options.end(), tcp + 20);
  write_length(p.data(), static_cast<uint32_t>(p.size()));
  IpHeader h;
  REQUIRE(parse_ip(p.data(), static_cast<uint32_t>(p.size()), h) == Verdict::kPending);
  const uint64_t sum = checksum_add(tcp, tcp_bytes, pseudo_header_add(h.source, h.destination, kTcp, tcp_bytes));
  base::store_be16(tcp + 16, static_cast<uint16_t>(~checksum_fold(sum)));
  return p;
}

IpHeader header_of(const Bytes& p) {
  IpHeader h;
  REQUIRE(parse_ip(p.data(), static_cast<uint32_t>(p.size()), h) == Verdict::kPending);
  return h;
}

bool checksum_holds(const Bytes& p) {
  const IpHeader h = header_of(p);
  const uint32_t bytes = h.total_bytes - h.header_bytes;
  const uint64_t sum = checksum_add(&p[h.header_bytes], bytes,
                                    pseudo_header_add(h.source, h.destination, kTcp, bytes));
  return checksum_fold(sum) == 0xffff;
}

struct Clamped {
  bool changed;
  Bytes packet;
};

Clamped clamp(Bytes p, uint32_t mtu) {
  const IpHeader h = header_of(p);
  REQUIRE(is_tcp_syn(p.data(), h));
  const bool changed = clamp_mss(p.data(), h, mtu);
  return {changed, p};
}

TEST_CASE("an MSS that says more than fits is lowered, over IPv4 and IPv6, SYN and SYN ACK") {
  for (const bool v4 : {true, false}) {
    for (const uint8_t flags : {kSyn, static_cast<uint8_t>(kSyn | kAck)}) {
      CAPTURE(v4);
      const uint32_t at = (v4 ? 20u : 40u) + 20;
      const Bytes p = segment(v4, {2, 4, 0x05, 0xb4, 1, 3, 3, 7}, flags, 3);  // 1460
      const auto [changed, clamped] = clamp(p, 1400);
      CHECK(changed);
      CHECK(base::load_be16(&clamped[at + 2]) == 1400 - (v4 ? 40 : 60));
      CHECK(checksum_holds(clamped));
      // Nothing else has changed.
      Bytes same = clamped;
      base::store_be16(&same[at + 2], 1460);
      base::store_be16(&same[at - 4], base::load_be16(&p[at - 4]));
      CHECK(same == p);
    }
  }
}

TEST_CASE("an MSS that fits stays, and none is ever raised") {
  for (const uint16_t mss : {uint16_t{1}, uint16_t{536}, uint16_t{1359}, uint16_t{1360}}) {
    const Bytes p = segment(true, {2, 4, static_cast<uint8_t>(mss >> 8), static_cast<uint8_t>(mss)});
    const auto [changed, after] = clamp(p, 1400);
    CHECK_FALSE(changed);
    CHECK(after == p);
  }
  const Bytes one_more = segment(true, {2, 4, 0x05, 0x51});
  CHECK(clamp(one_more, 1400).changed);
}

TEST_CASE("the option is found wherever it stands, and an odd place keeps the checksum right") {
  for (const Bytes& before : {Bytes{}, Bytes{1}, Bytes{1, 1}, Bytes{1, 1, 1}, Bytes{8, 10, 1, 2, 3, 4, 5, 6, 7, 8},
                              Bytes{253, 3, 9}, Bytes{3, 3, 7}, Bytes{4, 2}}) {
    for (const bool v4 : {true, false}) {
      CAPTURE(before.size());
      Bytes options = before;
      options.insert(options.end(), {2, 4, 0xff, 0xfe});
      while (options.size() % 4 != 0) options.push_back(1);
      const auto [changed, p] = clamp(segment(v4, options), 1300);
      CHECK(changed);
      CHECK(base::load_be16(&p[(v4 ? 20u : 40u) + 20 + before.size() + 2]) == 1300 - (v4 ? 40 : 60));
      CHECK(checksum_holds(p));
    }
  }
}

TEST_CASE("an MSS option given twice is lowered twice") {
  const auto [changed, p] = clamp(segment(true, {2, 4, 0x05, 0xb4, 1, 2, 4, 0x23, 0x28, 1, 1, 1}), 1400);
  CHECK(changed);
  CHECK(base::load_be16(&p[42]) == 1360);
  CHECK(base::load_be16(&p[47]) == 1360);
  CHECK(checksum_holds(p));
}

TEST_CASE("malformed options are left alone, with all that stands behind them") {
  for (const Bytes& options : {
           Bytes{2, 0, 0x05, 0xb4},                 // length 0 would never end
           Bytes{2, 1, 0x05, 0xb4},
           Bytes{2, 3, 0x05, 1},                    // not the length of an MSS
           Bytes{2, 5, 0x05, 0xb4, 0, 1, 1, 1},
           Bytes{1, 1, 2, 4},                       // ends within the option
           Bytes{1, 2, 4, 0x05},
           Bytes{1, 1, 1, 2},
           Bytes{5, 200, 1, 1, 2, 4, 0x05, 0xb4},   // reaches behind the header
           Bytes{8, 0, 1, 1, 2, 4, 0x05, 0xb4},
           Bytes{0, 1, 1, 1, 2, 4, 0x05, 0xb4},     // behind the end of options
       }) {
    const Bytes p = segment(true, options, kSyn, 8);
    const auto [changed, after] = clamp(p, 1400);
    CHECK_FALSE(changed);
    CHECK(after == p);
  }
}

TEST_CASE("a header that reaches behind the packet, or is too short, is left alone") {
  for (const uint8_t offset : {uint8_t{0x00}, uint8_t{0x40}, uint8_t{0x70}, uint8_t{0xf0}}) {
    Bytes p = segment(true, {2, 4, 0x05, 0xb4});
    p[20 + 12] = offset;
    const Bytes before = p;
    CHECK_FALSE(clamp_mss(p.data(), header_of(p), 1400));
    CHECK(p == before);
  }
  Bytes cut = segment(true, {});
  cut.resize(20 + 14);  // up to the flags
  write_length(cut.data(), 34);
  CHECK(is_tcp_syn(cut.data(), header_of(cut)));
  CHECK_FALSE(clamp_mss(cut.data(), header_of(cut), 1400));
}

TEST_CASE("only a SYN that shows its header is one") {
  const Bytes syn = segment(true, {2, 4, 0x05, 0xb4});
  CHECK(is_tcp_syn(syn.data(), header_of(syn)));
  const Bytes data = segment(true, {}, kAck, 100);
  CHECK_FALSE(is_tcp_syn(data.data(), header_of(data)));
  Bytes udp = syn;
  udp[kIpv4Protocol] = kUdp;
  base::store_be16(&udp[kIpv4Checksum], 0);
  base::store_be16(&udp[kIpv4Checksum], internet_checksum(udp.data(), 20));
  CHECK_FALSE(is_tcp_syn(udp.data(), header_of(udp)));
  Bytes later = syn;
  base::store_be16(&later[kIpv4Fragment], 2);
  write_length(later.data(), static_cast<uint32_t>(later.size()));
  CHECK_FALSE(is_tcp_syn(later.data(), header_of(later)));
}

TEST_CASE("an MTU that no segment fits changes nothing") {
  const Bytes p = segment(false, {2, 4, 0x05, 0xb4});
  for (const uint32_t mtu : {0u, 40u, 60u}) CHECK_FALSE(clamp(p, mtu).changed);
  CHECK_FALSE(clamp(p, 100'000).changed);
}

TEST_CASE("reads and writes within the packet, whatever the options") {
  std::mt19937 random(6691);
  test::Guarded memory(128);
  for (int round = 0; round < 100'000; round++) {
    Bytes options(4 * (random() % 11));
    for (uint8_t& b : options) b = static_cast<uint8_t>(random() % 2 ? random() % 6 : random());
    Bytes p = segment(random() % 2, options, kSyn, static_cast<uint32_t>(random() % 3));
    uint8_t* data = memory.at_end(p.size());
    std::copy(p.begin(), p.end(), data);
    const bool changed = clamp_mss(data, header_of(p), 100 + static_cast<uint32_t>(random() % 2000));
    const Bytes after(data, data + p.size());
    CHECK(changed == (after != p));
    if (changed) CHECK(checksum_holds(after));
  }
}

}  // namespace
}  // namespace esplane::packet
