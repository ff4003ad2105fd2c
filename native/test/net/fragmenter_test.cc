// Fragmentation: the pieces as RFC 791 and RFC 8200 lay them out, and whole again at the far end.
#include "net/fragmenter.h"

#include <doctest/doctest.h>

#include <random>

#include "test/net/fragments.h"
#include "test/net/joined.h"

namespace {

using namespace esplane;
using namespace esplane::test;
using net::Fragmenter;

std::vector<Bytes> cut(const Bytes& packet, uint32_t mtu, uint32_t ipv6_id = 0) {
  Fragmenter fragmenter(packet.data(), static_cast<uint32_t>(packet.size()), mtu, ipv6_id);
  std::vector<Bytes> pieces;
  const uint32_t count = fragmenter.left();
  while (fragmenter.left() > 0) {
    Bytes piece(mtu);
    piece.resize(fragmenter.next(piece.data()));
    pieces.push_back(piece);
  }
  CHECK(pieces.size() == count);
  return pieces;
}

const DatagramFields kV4{.id = 4711};
const DatagramFields kV6{.source = "2001:db8::2", .destination = "2001:db8::1", .id = 0xdeadbeef};

}  // namespace

TEST_CASE("pieces are as long as the MTU and eight-byte units allow") {
  const Bytes data = pattern(2960);
  CHECK(cut(whole(kV4, data), 1500) == fragments(kV4, data, {1480}));
  CHECK(cut(whole(kV4, data), 1499) == fragments(kV4, data, {1472, 2944}));
  CHECK(cut(whole(kV6, data), 1500, kV6.id) == fragments(kV6, data, {1448, 2896}));
  // The last piece need not be a multiple of eight.
  CHECK(cut(whole(kV4, pattern(1483)), 1503) == std::vector<Bytes>{whole(kV4, pattern(1483))});
  CHECK(cut(whole(kV4, pattern(2963)), 1503) == fragments(kV4, pattern(2963), {1480}));
}

TEST_CASE("a fragment is cut into fragments of the same datagram") {
  const Bytes data = pattern(3000);
  const auto coarse = fragments(kV4, data, {1480});
  std::vector<Bytes> fine;
  for (const auto& piece : coarse) {
    for (const auto& p : cut(piece, 576)) fine.push_back(p);
  }
  CHECK(fine == fragments(kV4, data, {552, 1104, 1480, 2032, 2584}));
}

TEST_CASE("Don't Fragment is not set in pieces") {
  const Bytes data = pattern(1000);
  CHECK(cut(whole(kV4, data, packet::kIpv4DontFragment), 576) == fragments(kV4, data, {552}));
}

TEST_CASE("options with the copied flag are in every piece, others in the first (RFC 791 §3.1)") {
  DatagramFields first = kV4, later = kV4;
  // No operation, router alert (copied), record route (not), stream id (copied), end.
  first.ipv4_options = {1, 0x94, 4, 0, 0, 7, 7, 4, 0, 0, 0, 0, 0x88, 4, 1, 2, 0, 0, 0, 0};
  later.ipv4_options = {0x94, 4, 0, 0, 0x88, 4, 1, 2};
  const Bytes data = pattern(1200);
  const auto pieces = cut(whole(first, data), 600);
  REQUIRE(pieces.size() == 3);
  CHECK(pieces[0] == fragment(first, Bytes(data.begin(), data.begin() + 560), 0, true));
  CHECK(pieces[1] == fragment(later, Bytes(data.begin() + 560, data.begin() + 1128), 560, true));
  CHECK(pieces[2] == fragment(later, Bytes(data.begin() + 1128, data.end()), 1128, false));
}

TEST_CASE("options that lie about their length end the list") {
  for (const auto& options : {Bytes{0x94, 4, 0, 0, 0x88, 200, 1, 2}, Bytes{0x94, 4, 0, 0, 0x88, 1, 0, 0},
                              Bytes{0x94, 4, 0, 0, 1, 1, 1, 0x88}}) {
    DatagramFields first = kV4, later = kV4;
    first.ipv4_options = options;
    later.ipv4_options = {0x94, 4, 0, 0};
    const Bytes data = pattern(110);
    const auto pieces = cut(whole(first, data), 76);
    REQUIRE(pieces.size() == 3);
    CHECK(pieces[1] == fragment(later, Bytes(data.begin() + 48, data.begin() + 96), 48, true));
  }
}

namespace {

Bytes operator+(Bytes a, const Bytes& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

/// An IPv6 header (RFC 8200 §3) from 2001:db8::2 to 2001:db8::1.
Bytes ipv6_header(uint8_t next, uint16_t payload_bytes) {
  return {0x60, 0, 0, 0, static_cast<uint8_t>(payload_bytes >> 8), static_cast<uint8_t>(payload_bytes),
          next, 64, 0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2,
          0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
}

/// Of eight bytes: a router alert (RFC 2711 §2.1), padded.
Bytes hop_by_hop(uint8_t next) { return {next, 0, 5, 2, 0, 0, 1, 0}; }
Bytes destination_options(uint8_t next) { return {next, 0, 1, 4, 0, 0, 0, 0}; }
/// With no segments left, so that it is skipped (RFC 8200 §4.4); sixteen bytes.
Bytes routing(uint8_t next) { return {next, 1, 253, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}; }
Bytes fragment_header(uint8_t next, uint16_t offset, bool more) {
  return {next, 0, static_cast<uint8_t>(offset >> 8), static_cast<uint8_t>(offset | more),
          0xde, 0xad, 0xbe, 0xef};
}

constexpr uint8_t kHopByHop = 0, kRouting = 43, kFragment = 44, kEsp = 50, kDestination = 60;

}  // namespace

TEST_CASE("pieces of IPv6 repeat what nodes on the way process, before the Fragment header (RFC 8200 §4.5)") {
  const Bytes data = pattern(96);
  const Bytes begin(data.begin(), data.begin() + 64), end(data.begin() + 64, data.end());

  // Hop-by-Hop Options: 40 + 8 of headers, 8 of the Fragment header, 64 of data.
  CHECK(cut(ipv6_header(kHopByHop, 104) + hop_by_hop(kEsp) + data, 120, kV6.id) ==
        std::vector<Bytes>{ipv6_header(kHopByHop, 80) + hop_by_hop(kFragment) +
                               fragment_header(kEsp, 0, true) + begin,
                           ipv6_header(kHopByHop, 48) + hop_by_hop(kFragment) +
                               fragment_header(kEsp, 64, false) + end});

  // Destination Options before a Routing header are for the nodes that it names.
  const Bytes chain = hop_by_hop(kDestination) + destination_options(kRouting);
  CHECK(cut(ipv6_header(kHopByHop, 128) + chain + routing(kEsp) + data, 144, kV6.id) ==
        std::vector<Bytes>{ipv6_header(kHopByHop, 104) + chain + routing(kFragment) +
                               fragment_header(kEsp, 0, true) + begin,
                           ipv6_header(kHopByHop, 72) + chain + routing(kFragment) +
                               fragment_header(kEsp, 64, false) + end});

  // Those without, and those behind it, are for the destination alone: they are cut with the rest.
  const Bytes options = destination_options(kEsp);
  CHECK(cut(ipv6_header(kDestination, 104) + options + data, 112, kV6.id) ==
        fragments({.source = kV6.source, .destination = kV6.destination, .id = kV6.id, .protocol = kDestination},
                  options + data, {64}));
  CHECK(cut(ipv6_header(kRouting, 120) + routing(kDestination) + options + data, 136, kV6.id)[0] ==
        ipv6_header(kRouting, 96) + routing(kFragment) + fragment_header(kDestination, 0, true) +
            options + Bytes(data.begin(), data.begin() + 64));
}

TEST_CASE("what cannot be cut has no pieces") {
  CHECK(cut(whole(kV4, pattern(100)), 27).empty());
  CHECK(cut(whole(kV4, pattern(16)), 28).size() == 2);
  CHECK(cut(whole(kV6, pattern(100)), 55).empty());
  // A fragment that reaches beyond 65,535 bytes would come round to the datagram's beginning.
  CHECK(cut(fragment(kV4, pattern(1400), 64'800, false), 576).empty());
  // So would one of a datagram whose length IPv6 cannot say.
  CHECK(joined(cut(whole(kV6, pattern(65'535)), 1500, kV6.id)) == whole(kV6, pattern(65'535)));
  CHECK(cut(whole(kV6, pattern(65'536)), 1500, kV6.id).empty());
  CHECK(cut(ipv6_header(kHopByHop, 104) + hop_by_hop(kEsp) + pattern(96), 63, kV6.id).empty());
  const Bytes longest = ipv6_header(kHopByHop, 65'535) + hop_by_hop(kEsp) + pattern(65'527);
  CHECK(joined(cut(longest, 1500, kV6.id)) == longest);
  CHECK(cut(longest + Bytes{0}, 1500, kV6.id).empty());
}

TEST_CASE("whatever is cut comes out whole at the far end") {
  std::mt19937 random(791);
  for (int round = 0; round < 2000; round++) {
    DatagramFields f = round % 2 ? kV4 : kV6;
    if (round % 4 == 1) f.ipv4_options = Bytes(4 * (random() % 11), 1);
    if (round % 4 == 2) {
      f.ipv6_extensions = hop_by_hop(f.protocol);
      f.first_extension = kHopByHop;
    }
    const uint32_t mtu = static_cast<uint32_t>(round % 2 ? 576 + random() % 2000 : 1280 + random() % 2000);
    const Bytes packet = whole(f, pattern(mtu + random() % 20'000, static_cast<uint32_t>(round)));
    const auto pieces = cut(packet, mtu, f.id);
    for (const auto& p : pieces) REQUIRE(p.size() <= mtu);
    CHECK(pieces.size() > 1);
    CHECK(joined(pieces) == packet);
  }
}
