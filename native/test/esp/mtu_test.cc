// How long an inner packet may be, with every suite, mode, family, UDP encapsulation and ESN: the
// longest that is said to fit does, as what is sent of it, and with one byte more it does not.
#include <doctest/doctest.h>

#include <vector>

#include "esp/outbound.h"
#include "packet/insertion.h"
#include "test/esp/frames.h"
#include "test/esp/inner_packets.h"
#include "test/esp/suites.h"

namespace esplane::esp {
namespace {

using packet::Verdict;
using sad::Mode;
using sad::Protocol;
using test::Frames;
using test::SuitePair;

/// Between the ends of the SA, of so many bytes in all.
std::vector<uint8_t> packet_of(bool v4, uint32_t bytes, uint32_t options_bytes) {
  auto p = v4 ? test::inner_v4(bytes - options_bytes - 28) : test::inner_v6(bytes - options_bytes - 48);
  if (options_bytes == 0) return p;
  // IPv4: no-operation options; IPv6: a routing header (RFC 8200 §4.4) that leads nowhere else.
  p.insert(p.begin() + (v4 ? 20 : 40), options_bytes, 1);
  if (v4) {
    p[0] = static_cast<uint8_t>(0x45 + options_bytes / 4);
  } else {
    p[40] = p[packet::kIpv6NextHeader];
    p[41] = static_cast<uint8_t>(options_bytes / 8 - 1);
    p[43] = 0;
    p[packet::kIpv6NextHeader] = packet::kRouting;
  }
  packet::write_length(p.data(), bytes);
  return p;
}

/// Bytes on the wire of a packet of so many.
uint32_t sent_bytes(Frames& frames, sad::OutboundSa& sa, const std::vector<uint8_t>& packet) {
  frames.clear();
  frames.batch.outbound[frames.add(packet)] = &sa;
  outbound(frames.batch);
  REQUIRE(frames.batch.verdict[0] == Verdict::kPending);
  return frames.batch.length[0];
}

void check_exact(const crypto::Suite& suite, Mode mode, bool outer_v4, bool inner_v4, bool udp,
                 bool esn, uint32_t options_bytes) {
  CAPTURE(suite.name);
  CAPTURE(outer_v4);
  CAPTURE(inner_v4);
  CAPTURE(udp);
  CAPTURE(options_bytes);
  SuitePair pair(suite, esn);
  pair.p.mode = mode;
  pair.p.udp_encapsulation = udp;
  const bool transport = mode == Mode::kTransport;
  CAPTURE(transport);
  pair.p.local = test::ip(outer_v4 ? "10.1.0.5" : "fd01::5");
  pair.p.remote = test::ip(outer_v4 ? "10.2.0.9" : "fd02::9");
  sad::OutboundSa sa(pair.p);
  Frames frames;
  const auto packet = [&](uint32_t bytes) { return packet_of(inner_v4, bytes, options_bytes); };
  // As many as a block has bytes, so that every remainder occurs.
  for (uint32_t mtu = 400; mtu < 400u + suite.block_bytes; mtu++) {
    CAPTURE(mtu);
    const auto shortest = packet(200);
    const uint32_t kept = kept_bytes(sa, shortest.data(), 200);
    REQUIRE(kept == (transport ? (inner_v4 ? 20u : 40u) + options_bytes : 0u));
    const uint32_t most = largest_inner_bytes(sa, mtu, kept);
    const uint32_t sealed = sent_bytes(frames, sa, packet(most));
    CHECK(sealed <= mtu);
    CHECK(sealed == sealed_bytes(sa, most, kept));
    CHECK(sent_bytes(frames, sa, packet(most + 1)) > mtu);
    CHECK(sealed_bytes(sa, most + 1, kept) > mtu);
  }
}

/// Calls `check(suite, outer_v4, udp, esn)` for all of a protocol.
template <typename Check>
void for_all(Protocol protocol, Check check) {
  for (const crypto::Suite* suite : test::suites_of(protocol)) {
    for (const bool outer_v4 : {true, false}) {
      for (const bool udp : {false, true}) {
        if (udp && protocol == Protocol::kAh) continue;
        check(*suite, outer_v4, udp, false);
        if (protocol == Protocol::kAh) check(*suite, outer_v4, udp, true);
      }
    }
  }
}

TEST_CASE("the longest inner packet that fits a path is exact in tunnel mode, with every suite") {
  for (const Protocol protocol : {Protocol::kEsp, Protocol::kAh}) {
    for_all(protocol, [](const crypto::Suite& suite, bool outer_v4, bool udp, bool esn) {
      for (const bool inner_v4 : {true, false}) {
        check_exact(suite, Mode::kTunnel, outer_v4, inner_v4, udp, esn, 0);
      }
    });
  }
}

TEST_CASE("and in transport mode, with options and extension headers that stay in front") {
  for_all(Protocol::kEsp, [](const crypto::Suite& suite, bool v4, bool udp, bool esn) {
    for (const uint32_t options_bytes : {0u, v4 ? 4u : 8u, 40u}) {
      check_exact(suite, Mode::kTransport, v4, v4, udp, esn, options_bytes);
    }
  });
  for_all(Protocol::kAh, [](const crypto::Suite& suite, bool v4, bool udp, bool esn) {
    check_exact(suite, Mode::kTransport, v4, v4, udp, esn, 0);
  });
}

}  // namespace
}  // namespace esplane::esp
