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

TEST_CASE("what cannot be cut has no pieces") {
  CHECK(cut(whole(kV4, pattern(100)), 27).empty());
  CHECK(cut(whole(kV4, pattern(16)), 28).size() == 2);
  CHECK(cut(whole(kV6, pattern(100)), 55).empty());
  // A fragment that reaches beyond 65,535 bytes would come round to the datagram's beginning.
  CHECK(cut(fragment(kV4, pattern(1400), 64'800, false), 576).empty());
  // So would one of a datagram whose length IPv6 cannot say.
  CHECK(joined(cut(whole(kV6, pattern(65'535)), 1500, kV6.id)) == whole(kV6, pattern(65'535)));
  CHECK(cut(whole(kV6, pattern(65'536)), 1500, kV6.id).empty());
}

TEST_CASE("whatever is cut comes out whole at the far end") {
  std::mt19937 random(791);
  for (int round = 0; round < 2000; round++) {
    DatagramFields f = round % 2 ? kV4 : kV6;
    if (round % 4 == 1) f.ipv4_options = Bytes(4 * (random() % 11), 1);
    const uint32_t mtu = static_cast<uint32_t>(round % 2 ? 576 + random() % 2000 : 1280 + random() % 2000);
    const Bytes packet = whole(f, pattern(mtu + random() % 20'000, static_cast<uint32_t>(round)));
    const auto pieces = cut(packet, mtu, f.id);
    for (const auto& p : pieces) REQUIRE(p.size() <= mtu);
    CHECK(pieces.size() > 1);
    CHECK(joined(pieces) == packet);
  }
}
