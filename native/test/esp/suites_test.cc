// ESP and AH packets that scapy made with every algorithm that it has, both ways.
#include <doctest/doctest.h>

#include <cstring>
#include <vector>

#include "esp/inbound.h"
#include "esp/locate.h"
#include "esp/outbound.h"
#include "test/esp/frames.h"
#include "test/esp/scapy_suites.h"
#include "test/sad/parameters.h"

namespace esplane::esp {
namespace {

using packet::Batch;
using packet::IpHeader;
using packet::Verdict;
using test::bytes_of;
using test::Frames;
using test::Pair;
using test::ScapySuite;

constexpr uint32_t kSpi = 0xc0ffee01;

/// The SA pair between scapy's addresses, about to send and to receive `v`.
void set_up(const ScapySuite& v, Pair& pair) {
  const bool v4 = v.outer[0] == '4';
  pair.keymat = bytes_of(v.keymat);
  pair.p.inbound_key = pair.p.outbound_key = pair.keymat;
  pair.p.protocol = v.ah ? sad::Protocol::kAh : sad::Protocol::kEsp;
  pair.p.mode = v.transport ? sad::Mode::kTransport : sad::Mode::kTunnel;
  pair.p.encryption = v.encryption;
  pair.p.key_bits = v.key_bits;
  pair.p.integrity = v.integrity;
  pair.p.esn = v.esn;
  pair.p.outbound_sequence = pair.p.inbound_sequence = v.sequence - 1;
  if (v.transport) {
    pair.p.local = test::ip(v4 ? "10.1.0.5" : "fd01::5");
    pair.p.remote = test::ip(v4 ? "10.2.0.9" : "fd02::9");
  } else {
    pair.p.local = test::ip(v4 ? "192.0.2.1" : "2001:db8:1::1");
    pair.p.remote = test::ip(v4 ? "198.51.100.2" : "2001:db8:2::2");
  }
  sad::validate(pair.p);
}

TEST_CASE("seals to the very packets that scapy makes with every algorithm") {
  for (const ScapySuite& v : test::kScapySuites) {
    if (v.encryption == crypto::kEncrAesCbc) continue;  // its IV is ours to choose
    // scapy leaves destination options in front, we protect them: either may be (RFC 4303 §3.1.1).
    if (std::strstr(v.name, "destination options")) continue;
    CAPTURE(v.name);
    Pair pair(0x1000, kSpi);
    set_up(v, pair);
    sad::OutboundSa sa(pair.p);
    sa.ip_id_offset = 0;
    Frames frames;
    const uint32_t i = frames.add(bytes_of(v.inner));
    frames.batch.outbound[i] = &sa;
    outbound(frames.batch);
    CHECK(frames.batch.verdict[i] == Verdict::kPending);
    CHECK(frames.hex(i) == v.outer);
  }
}

TEST_CASE("opens the packets that scapy makes with every algorithm to the inner packets") {
  for (const ScapySuite& v : test::kScapySuites) {
    CAPTURE(v.name);
    Pair pair(kSpi);
    set_up(v, pair);
    sad::InboundSa sa(pair.p);
    Frames frames;
    const uint32_t i = frames.add(bytes_of(v.outer));
    IpHeader outer;
    REQUIRE(packet::parse_ip(frames.batch.data[i], frames.batch.length[i], outer) ==
            Verdict::kPending);
    const Location found = locate(frames.batch.data[i], outer);
    REQUIRE(found.content == (v.ah ? Content::kAh : Content::kEsp));
    CHECK(found.spi == kSpi);
    uint16_t offset[Batch::kCapacity] = {found.offset};
    IpHeader inner[Batch::kCapacity];
    frames.batch.inbound[i] = &sa;
    inbound(frames.batch, offset, inner);
    CHECK(frames.batch.verdict[i] == Verdict::kPending);
    CHECK(frames.hex(i) == v.inner);
    CHECK(sa.window.highest() == v.sequence);
  }
}

}  // namespace
}  // namespace esplane::esp
