// Inbound ESP: replay, ICV, trailer, inner packet, selectors, ECN. Packets are sealed here by the
// AEAD itself with any text, so that authentic packets can be as wrong as a peer could make them.
#include <doctest/doctest.h>

#include <algorithm>
#include <memory>
#include <random>

#include "base/bytes.h"
#include "crypto/engine.h"
#include "esp/jobs.h"
#include "esp/inbound.h"
#include "esp/outbound.h"
#include "packet/checksum.h"
#include "sad/sa.h"
#include "test/esp/frames.h"
#include "test/esp/inner_packets.h"
#include "test/sad/parameters.h"

namespace esplane::esp {
namespace {

using packet::Batch;
using packet::IpHeader;
using packet::Verdict;
using test::bytes_of;
using test::Frames;
using test::inner_v4;
using test::inner_v6;
using test::Pair;

constexpr uint64_t k2to32 = uint64_t{1} << 32;

uint64_t refused(const sad::InboundSa& sa, Verdict v) {
  return sa.refused(v);
}

/// One end of a tunnel, and packets as its authentic peer could make them.
struct Tunnel {
  explicit Tunnel(uint64_t received = 0, bool esn = false) : pair(0x1000, 0x1000) {
    pair.p.esn = esn;
    pair.p.inbound_sequence = received;
    std::fill_n(offset, Batch::kCapacity, uint16_t{20});
    make();
  }
  void make() {
    sa = std::make_unique<sad::InboundSa>(pair.p);
    peer = std::make_unique<sad::OutboundSa>(pair.p);
  }

  /// IPv4 outer packet around `text`, which has its ESP trailer.
  std::vector<uint8_t> seal(uint64_t sequence, const std::vector<uint8_t>& text,
                            uint8_t outer_tos = 0) {
    std::vector<uint8_t> p = bytes_of("450000000000400040320000c6336402c0000201");
    p[packet::kIpv4Tos] = outer_tos;
    p.resize(20 + header_bytes(sa->protection));
    base::store_be32(&p[20], sa->spi);
    base::store_be32(&p[24], static_cast<uint32_t>(sequence));
    base::store_be64(&p[28], sequence);
    p.insert(p.end(), text.begin(), text.end());
    p.resize(p.size() + sa->protection.icv_bytes);
    base::store_be16(&p[2], static_cast<uint16_t>(p.size()));
    base::store_be16(&p[10], packet::internet_checksum(p.data(), 20));
    Jobs jobs;
    jobs.add(peer->protection, sequence, &p[20], static_cast<uint32_t>(text.size()), Direction::kSeal);
    jobs.seal();
    return p;
  }
  /// The same around an inner packet, with the trailer of RFC 4303 and `tfc` bytes before it.
  std::vector<uint8_t> around(uint64_t sequence, std::vector<uint8_t> text,
                              uint8_t outer_tos = 0, size_t tfc = 0) {
    const uint8_t next_header = text[0] >> 4 == 4 ? 4 : 41;
    text.resize(text.size() + tfc, 0xee);
    uint8_t padding = 0;
    while ((text.size() + 2) % 4 != 0) text.push_back(++padding);
    text.push_back(padding);
    text.push_back(next_header);
    return seal(sequence, text, outer_tos);
  }

  /// Receives all of them in one batch.
  void receive(const std::vector<std::vector<uint8_t>>& packets) {
    frames.clear();
    for (const auto& p : packets) frames.batch.inbound[frames.add(p)] = sa.get();
    inbound(frames.batch, offset, inner);
  }
  Verdict receive(const std::vector<uint8_t>& packet) {
    receive(std::vector<std::vector<uint8_t>>{packet});
    return frames.batch.verdict[0];
  }

  Pair pair;
  std::unique_ptr<sad::InboundSa> sa;
  std::unique_ptr<sad::OutboundSa> peer;
  Frames frames;
  uint16_t offset[Batch::kCapacity];
  IpHeader inner[Batch::kCapacity];
};

TEST_CASE("of eight copies in one batch exactly one passes") {
  Tunnel t;
  const std::vector<uint8_t> p = t.around(1, inner_v4(30));
  t.receive({p, p, p, p, p, p, p, p});
  CHECK(t.frames.batch.verdict[0] == Verdict::kPending);
  CHECK(t.frames.packet(0) == inner_v4(30));
  for (uint32_t i = 1; i < 8; i++) {
    CHECK(t.frames.batch.verdict[i] == Verdict::kReplayDuplicate);
  }
  CHECK(t.sa->packets.load() == 1);
  CHECK(t.sa->bytes.load() == 58);
  CHECK(refused(*t.sa, Verdict::kReplayDuplicate) == 7);
  CHECK(t.receive(p) == Verdict::kReplayDuplicate);
  CHECK(t.frames.packet(0) == p);  // known before the cipher: not even decrypted
}

TEST_CASE("a copy with a bad ICV in front does not displace the authentic packet") {
  Tunnel t;
  const std::vector<uint8_t> good = t.around(1, inner_v4(30));
  std::vector<uint8_t> bad = good;
  bad[60] ^= 1;
  t.receive({bad, good, good});
  CHECK(t.frames.batch.verdict[0] == Verdict::kIcvBad);
  CHECK(t.frames.batch.verdict[1] == Verdict::kPending);
  CHECK(t.frames.batch.verdict[2] == Verdict::kReplayDuplicate);
}

TEST_CASE("a bad ICV leaves the window alone, whatever its sequence number") {
  Tunnel t(1000);
  for (const uint64_t sequence : {uint64_t{1001}, uint64_t{0xffffffff}, uint64_t{50000}}) {
    std::vector<uint8_t> p = t.around(sequence, inner_v4(30));
    p.back() ^= 0x80;
    CHECK(t.receive(p) == Verdict::kIcvBad);
  }
  CHECK(t.sa->window.highest() == 1000);
  CHECK(refused(*t.sa, Verdict::kIcvBad) == 3);
  CHECK(t.receive(t.around(1001, inner_v4(30))) == Verdict::kPending);
}

TEST_CASE("every single bit of an ESP packet is authenticated") {
  Tunnel t(1000);
  const std::vector<uint8_t> good = t.around(1001, inner_v4(3));
  for (size_t bit = 20 * 8; bit < good.size() * 8; bit++) {
    std::vector<uint8_t> p = good;
    p[bit / 8] ^= static_cast<uint8_t>(1u << bit % 8);
    const Verdict verdict = t.receive(p);
    REQUIRE((verdict == Verdict::kIcvBad || verdict == Verdict::kReplayDuplicate ||
             verdict == Verdict::kReplayOld));
  }
  CHECK(t.receive(good) == Verdict::kPending);
}

TEST_CASE("left of the window is old") {
  Tunnel t(10000);
  CHECK(t.receive(t.around(10000 - 4096, inner_v4(0))) == Verdict::kReplayOld);
  CHECK(refused(*t.sa, Verdict::kReplayOld) == 1);
}

TEST_CASE("with ESN a tunnel runs across 2^32, reordered and replayed there") {
  Tunnel t(k2to32 - 5, true);
  std::vector<std::vector<uint8_t>> packets;
  for (const uint64_t s : {k2to32 - 4, k2to32 - 1, k2to32 + 1, k2to32, k2to32 - 2, k2to32 - 1}) {
    packets.push_back(t.around(s, inner_v4(8)));
  }
  t.receive(packets);
  for (uint32_t i = 0; i < 5; i++) CHECK(t.frames.batch.verdict[i] == Verdict::kPending);
  CHECK(t.frames.batch.verdict[5] == Verdict::kReplayDuplicate);
  CHECK(t.sa->window.highest() == k2to32 + 1);
  // The low half alone would fit; the high half of the ICV does not.
  CHECK(t.receive(t.around(2, inner_v4(8))) == Verdict::kIcvBad);
}

TEST_CASE("names packets that are too short or end within a word") {
  Tunnel t;
  std::vector<uint8_t> p = t.around(1, inner_v4(0));
  SUBCASE("no ESP at all") {
    p.resize(20);
    CHECK(t.receive(p) == Verdict::kEspTooShort);
  }
  SUBCASE("one byte less than the least") {
    p.resize(20 + 8 + 8 + 4 + 16 - 1);
    CHECK(t.receive(p) == Verdict::kEspTooShort);
  }
  SUBCASE("the least") {
    p.resize(20 + 8 + 8 + 4 + 16);
    CHECK(t.receive(p) == Verdict::kIcvBad);
  }
  SUBCASE("between two words") {
    for (int cut = 1; cut < 4; cut++) {
      p.pop_back();
      CHECK(t.receive(p) == Verdict::kEspBadAlignment);
    }
  }
  SUBCASE("the ESP offset lies behind the packet") {
    t.offset[0] = static_cast<uint16_t>(p.size() + 1);
    CHECK(t.receive(p) == Verdict::kEspTooShort);
  }
  CHECK(t.sa->window.highest() == 0);
}

TEST_CASE("drops authentic packets whose padding is wrong, and counts them as received") {
  Tunnel t;
  std::vector<uint8_t> text = inner_v4(6);
  SUBCASE("pad length 0xFF, more than there is") {
    text.insert(text.end(), {0xff, 4});
    CHECK(t.receive(t.seal(1, text)) == Verdict::kBadPadding);
  }
  SUBCASE("pad length one more than there is") {
    text = bytes_of("01020304050607080907"  "0b04");
    CHECK(t.receive(t.seal(1, text)) == Verdict::kBadPadding);
  }
  SUBCASE("padding that does not count 1, 2, 3") {
    text.insert(text.end(), {1, 2, 2, 4, 4, 4});
    CHECK(t.receive(t.seal(1, text)) == Verdict::kBadPadding);
  }
  CHECK(t.sa->window.highest() == 1);
  CHECK(refused(*t.sa, Verdict::kBadPadding) == 1);
  CHECK(t.sa->packets.load() == 0);
}

TEST_CASE("takes as much padding as there can be") {
  Tunnel t;
  std::vector<uint8_t> text = inner_v4(3);
  for (int k = 1; k <= 255; k++) text.push_back(static_cast<uint8_t>(k));
  text.insert(text.end(), {255, 4});
  REQUIRE(text.size() % 4 == 0);
  CHECK(t.receive(t.seal(1, text)) == Verdict::kPending);
  CHECK(t.frames.packet(0) == inner_v4(3));
}

TEST_CASE("next header 59 is a dummy, others than 4 and 41 are refused") {
  Tunnel t;
  CHECK(t.receive(t.seal(1, bytes_of("0102023b"))) == Verdict::kDummyPacket);
  CHECK(t.receive(t.seal(2, bytes_of("deadbeefdeadbeef0000003b"))) == Verdict::kDummyPacket);
  CHECK(t.receive(t.seal(3, bytes_of("01020206"))) == Verdict::kBadNextHeader);
  std::vector<uint8_t> text = inner_v4(6);
  text.insert(text.end(), {0, 41});
  CHECK(t.receive(t.seal(4, text)) == Verdict::kBadIpVersion);
  text = inner_v6(6);
  text.insert(text.end(), {0, 4});
  CHECK(t.receive(t.seal(5, text)) == Verdict::kBadIpVersion);
  CHECK(t.sa->window.highest() == 5);
}

TEST_CASE("strips TFC padding by the inner packet's own length") {
  Tunnel t;
  CHECK(t.receive(t.around(1, inner_v4(10), 0, 700)) == Verdict::kPending);
  CHECK(t.frames.packet(0) == inner_v4(10));
  CHECK(t.receive(t.around(2, inner_v6(10), 0, 33)) == Verdict::kPending);
  CHECK(t.frames.packet(0) == inner_v6(10));
  CHECK(t.sa->bytes.load() == 38 + 58);
}

TEST_CASE("refuses inner packets whose header is wrong") {
  Tunnel t;
  std::vector<uint8_t> p = inner_v4(20);
  SUBCASE("longer than what came") {
    p.resize(p.size() - 4);
    CHECK(t.receive(t.around(1, p)) == Verdict::kBadIpLength);
  }
  SUBCASE("checksum") {
    p[8] ^= 1;
    CHECK(t.receive(t.around(1, p)) == Verdict::kBadIpChecksum);
  }
  SUBCASE("no inner packet at all") {
    CHECK(t.receive(t.seal(1, bytes_of("01020204"))) == Verdict::kTooShort);
  }
  CHECK(t.sa->packets.load() == 0);
}

TEST_CASE("an inner packet outside of the SA's selectors is refused") {
  Tunnel t;
  const auto only = [](const char* start, const char* end, uint8_t protocol = 0) {
    return std::vector<packet::Selector>{{test::ip(start), test::ip(end), protocol}};
  };
  t.pair.p.remote_selectors = only("10.1.0.0", "10.1.255.255");
  t.pair.p.local_selectors = only("10.2.0.0", "10.2.255.255");
  SUBCASE("inside") {
    t.make();
    CHECK(t.receive(t.around(1, inner_v4(6))) == Verdict::kPending);
  }
  SUBCASE("source") {
    t.pair.p.remote_selectors = only("10.1.0.6", "10.1.255.255");
    t.make();
    CHECK(t.receive(t.around(1, inner_v4(6))) == Verdict::kSelectorMismatch);
  }
  SUBCASE("destination") {
    t.pair.p.local_selectors = only("10.2.0.0", "10.2.0.8");
    t.make();
    CHECK(t.receive(t.around(1, inner_v4(6))) == Verdict::kSelectorMismatch);
  }
  SUBCASE("both swapped") {
    std::swap(t.pair.p.local_selectors, t.pair.p.remote_selectors);
    t.make();
    CHECK(t.receive(t.around(1, inner_v4(6))) == Verdict::kSelectorMismatch);
  }
  SUBCASE("protocol") {
    t.pair.p.local_selectors = only("10.2.0.0", "10.2.255.255", packet::kTcp);
    t.make();
    CHECK(t.receive(t.around(1, inner_v4(6))) == Verdict::kSelectorMismatch);
  }
  SUBCASE("the other family") {
    t.make();
    CHECK(t.receive(t.around(1, inner_v6(6))) == Verdict::kSelectorMismatch);
  }
}

// RFC 6040 §4.2, figure 4: rows are the inner, columns the outer field, in the order Not-ECT,
// ECT(0), ECT(1), CE; -1 is <drop>.
TEST_CASE("merges ECN at decapsulation as RFC 6040 figure 4 says, in both families") {
  constexpr int kNot = 0, kEct0 = 2, kEct1 = 1, kCe = 3;
  constexpr int kOrder[4] = {kNot, kEct0, kEct1, kCe};
  constexpr int kOutgoing[4][4] = {{kNot, kNot, kNot, -1},
                                   {kEct0, kEct0, kEct1, kCe},
                                   {kEct1, kEct1, kEct1, kCe},
                                   {kCe, kCe, kCe, kCe}};
  Tunnel t;
  uint64_t sequence = 0;
  for (int row = 0; row < 4; row++) {
    for (int column = 0; column < 4; column++) {
      CAPTURE(row);
      CAPTURE(column);
      const auto tos = static_cast<uint8_t>(0xb8 | kOrder[row]);
      const auto outer = static_cast<uint8_t>(0x28 | kOrder[column]);
      const int out = kOutgoing[row][column];
      const auto expected_tos = static_cast<uint8_t>(0xb8 | (out & 3));
      for (const bool v4 : {true, false}) {
        const auto make = [v4](uint8_t with) { return v4 ? inner_v4(9, with) : inner_v6(9, with); };
        const Verdict verdict = t.receive(t.around(++sequence, make(tos), outer));
        CHECK(verdict == (out < 0 ? Verdict::kCongestionMarked : Verdict::kPending));
        if (out >= 0) CHECK(t.frames.packet(0) == make(expected_tos));
        if (out >= 0) CHECK(t.inner[0].tos == expected_tos);
      }
    }
  }
}

TEST_CASE("opens a batch of mixed SAs, one of them with ESN, and says for each what became of it") {
  Tunnel a;
  Tunnel b(k2to32 - 1, true);
  b.pair.use_keymat("ffeeddccbbaa99887766554433221100ffeeddccbbaa9988776655443322110001020304");
  b.make();
  Frames frames;
  const std::vector<uint8_t> packets[] = {
      a.around(1, inner_v4(1)),          b.around(k2to32, inner_v6(2)),
      a.around(2, inner_v4(3)),          a.around(1, inner_v4(1)),
      b.around(k2to32 + 1, inner_v4(4)), b.around(k2to32, inner_v6(2)),
      b.around(k2to32 + 2, inner_v4(5)), a.around(3, inner_v4(6))};
  for (uint32_t i = 0; i < 8; i++) {
    frames.add(packets[i]);
    const bool is_b = i == 1 || i == 4 || i == 5 || i == 6;
    frames.batch.inbound[i] = is_b ? b.sa.get() : a.sa.get();
  }
  frames.batch.data[6][100 - 60] ^= 1;
  frames.batch.inbound[7] = nullptr;
  inbound(frames.batch, a.offset, a.inner);
  using enum Verdict;
  const Verdict expected[] = {kPending, kPending,         kPending, kReplayDuplicate,
                              kPending, kReplayDuplicate, kIcvBad,  kPending};
  for (uint32_t i = 0; i < 8; i++) {
    CAPTURE(i);
    CHECK(frames.batch.verdict[i] == expected[i]);
  }
  CHECK(frames.packet(0) == inner_v4(1));
  CHECK(frames.packet(1) == inner_v6(2));
  CHECK(frames.packet(4) == inner_v4(4));
  CHECK(frames.packet(7) == packets[7]);  // no SA: left alone
  CHECK(a.sa->packets.load() == 2);
  CHECK(b.sa->packets.load() == 2);
}

TEST_CASE("what outbound sends inbound takes, in every size, family and encapsulation") {
  const unsigned seed = std::random_device{}();
  MESSAGE("seed " << seed);
  std::mt19937 random(seed);
  for (const bool esn : {false, true}) {
    for (const bool udp : {false, true}) {
      for (const bool v6 : {false, true}) {
        Pair pair(0x1000, 0x1000);
        pair.p.esn = esn;
        pair.p.udp_encapsulation = udp;
        pair.p.local = test::ip(v6 ? "2001:db8::1" : "192.0.2.1");
        pair.p.remote = test::ip(v6 ? "2001:db8::2" : "198.51.100.2");
        sad::OutboundSa out(pair.p);
        sad::InboundSa in(pair.p);
        Frames frames;
        uint16_t offset[Batch::kCapacity];
        IpHeader inner[Batch::kCapacity];
        std::vector<std::vector<uint8_t>> sent;
        for (uint32_t i = 0; i < Batch::kCapacity; i++) {
          const auto data = static_cast<uint32_t>(random() % 1400);
          sent.push_back(random() % 2 ? inner_v4(data) : inner_v6(data));
          frames.batch.outbound[frames.add(sent.back())] = &out;
          offset[i] = static_cast<uint16_t>((v6 ? 40 : 20) + (udp ? 8 : 0));
        }
        outbound(frames.batch);
        for (uint32_t i = 0; i < Batch::kCapacity; i++) frames.batch.inbound[i] = &in;
        inbound(frames.batch, offset, inner);
        for (uint32_t i = 0; i < Batch::kCapacity; i++) {
          REQUIRE(frames.batch.verdict[i] == Verdict::kPending);
          REQUIRE(frames.packet(i) == sent[i]);
        }
        CHECK(in.packets.load() == Batch::kCapacity);
        CHECK(in.bytes.load() == out.bytes.load());
      }
    }
  }
}

TEST_CASE("200,000 mutated packets leave the tunnel working and its window alone") {
  const unsigned seed = std::random_device{}();
  MESSAGE("seed " << seed);
  std::mt19937 random(seed);
  Tunnel t(5000);
  const std::vector<uint8_t> good = t.around(5001, inner_v4(40));
  for (int round = 0; round < 200000 / 64; round++) {
    std::vector<std::vector<uint8_t>> packets;
    for (int i = 0; i < 64; i++) {
      std::vector<uint8_t> p = good;
      for (uint32_t n = 1 + random() % 4; n > 0; n--) {
        p[20 + random() % (p.size() - 20)] ^= static_cast<uint8_t>(1 + random() % 255);
      }
      if (random() % 4 == 0) p.resize(20 + random() % (p.size() - 19));
      if (p != good) packets.push_back(std::move(p));
    }
    t.receive(packets);
    for (uint32_t i = 0; i < t.frames.batch.size; i++) {
      REQUIRE(t.frames.batch.verdict[i] != Verdict::kPending);
    }
  }
  CHECK(t.sa->window.highest() == 5000);
  CHECK(t.receive(good) == Verdict::kPending);
}

}  // namespace
}  // namespace esplane::esp
