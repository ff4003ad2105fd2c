// Fragments through the stages of a worker: what comes out, and one verdict for each that came in.
#include <doctest/doctest.h>

#include <random>
#include <string>

#include "test/pipeline/echo.h"

using namespace esplane;
using namespace esplane::test;
using net::NextHop;
using packet::Verdict;

TEST_CASE("ESP in fragments is put together and opened, in any order and encapsulation") {
  for (const bool udp : {false, true}) {
    for (const bool v6 : {false, true}) {
      CAPTURE(udp);
      CAPTURE(v6);
      Echo rig(udp, v6);
      const auto pieces = cut(rig.sealed(inner(1400)), 700);
      REQUIRE(pieces.size() == 3);
      rig.receive_all(Rig::kWan, pieces);
      rig.receive_all(Rig::kWan, reversed(cut(rig.sealed(inner(1400, 2)), 700)));
      CHECK(rig.sent(Rig::kLan) == std::vector<Bytes>{hopped(inner(1400)), hopped(inner(1400, 2))});
      CHECK(rig.counts() == Counts{{"fragment_reassembled", 4}, {"sent", 2}});
      CHECK(rig.pool.available() == Rig::kFrames);
    }
  }
}

TEST_CASE("AH in fragments is put together before its ICV is computed (RFC 4302 §3.4.1)") {
  for (const bool v6 : {false, true}) {
    CAPTURE(v6);
    Echo rig(Echo::Options{.ah = true, .outer_v6 = v6});
    const auto pieces = cut(rig.sealed_by_peer(inner(1400)), 700);
    REQUIRE(pieces.size() == 3);
    rig.receive_all(Rig::kWan, pieces);
    rig.receive_all(Rig::kWan, reversed(cut(rig.sealed_by_peer(inner(1400, 2)), 700)));
    rig.receive_all(Rig::kWan, {rig.sealed_by_peer(inner(100, 3))});
    CHECK(rig.sent(Rig::kLan) == std::vector<Bytes>{hopped(inner(1400)), hopped(inner(1400, 2)),
                                                    hopped(inner(100, 3))});
    CHECK(rig.counts() == Counts{{"fragment_reassembled", 4}, {"sent", 3}});
    auto changed = cut(rig.sealed_by_peer(inner(1400)), 700);
    changed[2].back() ^= 1;
    rig.receive_all(Rig::kWan, changed);
    CHECK(rig.counts() == Counts{{"fragment_reassembled", 2}, {"icv_bad", 1}});
  }
}

TEST_CASE("what AH makes is cut where its SA says so, and before it otherwise") {
  for (const bool after : {false, true}) {
    CAPTURE(after);
    Echo rig(Echo::Options{.ah = true, .fragment_after = after});
    rig.receive_all(Rig::kLan, {inner(1500)});
    CHECK(rig.counts() == Counts{{"fragmented", 1}});
    const auto outer = rig.sent(Rig::kWan);
    REQUIRE(outer.size() == 2);
    for (const auto& p : outer) {
      CHECK(p.size() <= 1500);
      CHECK(p[9] == packet::kAh);
      CHECK((base::load_be16(&p[6]) != 0) == after);
    }
  }
}

TEST_CASE("fragments that come in several bursts, or never") {
  Echo rig;
  const auto pieces = cut(rig.sealed(inner(1400)), 700);
  rig.receive_all(Rig::kWan, {pieces[0]});
  rig.receive_all(Rig::kWan, {pieces[1]});
  CHECK(rig.counts().empty());  // they have no verdict yet
  CHECK(rig.core.waiting());
  CHECK(rig.pool.available() == Rig::kFrames);  // and hold no frame
  SUBCASE("in several bursts") {
    rig.receive_all(Rig::kWan, {pieces[2]});
    CHECK(rig.sent(Rig::kLan).size() == 1);
    CHECK(rig.counts() == Counts{{"fragment_reassembled", 2}, {"sent", 1}});
  }
  SUBCASE("never") {
    rig.core.now_ms += 29'999;
    rig.core.expire_fragments();
    CHECK(rig.counts().empty());
    rig.core.now_ms += 1;
    rig.core.expire_fragments();
    CHECK(rig.counts() == Counts{{"fragment_timeout", 2}});
    CHECK_FALSE(rig.core.waiting());
  }
}

TEST_CASE("a datagram is worked on when its last fragment arrives: order is kept") {
  for (const uint32_t bytes : {1400u, 6000u}) {  // in a frame, in the large buffer
    CAPTURE(bytes);
    Echo rig;
    const Bytes first = rig.sealed(inner(100, 1)), second = rig.sealed(inner(bytes, 2)),
                third = rig.sealed(inner(100, 3));
    auto wire = cut(second, 700);
    wire.insert(wire.begin() + 1, first);
    wire.push_back(third);
    rig.receive_all(Rig::kWan, wire);
    const auto sent = rig.sent(Rig::kLan);
    REQUIRE(sent.size() >= 3);
    CHECK(sent.front() == hopped(inner(100, 1)));
    CHECK(sent.back() == hopped(inner(100, 3)));
    CHECK(rig.counters.esp_in_packets.read() == 3);
  }
}

TEST_CASE("a replayed fragment train is a replay, and a changed fragment breaks the ICV") {
  Echo rig;
  const auto pieces = cut(rig.sealed(inner(1400)), 1000);
  rig.receive_all(Rig::kWan, pieces);
  rig.receive_all(Rig::kWan, pieces);
  CHECK(rig.counts() ==
        Counts{{"fragment_reassembled", 2}, {"sent", 1}, {"replay_duplicate", 1}});
  auto changed = cut(rig.sealed(inner(1400)), 1000);
  changed[1].back() ^= 1;
  rig.receive_all(Rig::kWan, changed);
  CHECK(rig.counts() == Counts{{"fragment_reassembled", 1}, {"icv_bad", 1}});
}

TEST_CASE("a packet longer than a frame is opened, and cut for the LAN where it has no DF") {
  for (const uint32_t bytes : {1950u, 9000u, 65'400u}) {
    CAPTURE(bytes);
    Echo rig;
    const auto pieces = cut(rig.sealed(inner(bytes)), 1500);
    rig.receive_all(Rig::kWan, pieces);
    const auto sent = rig.sent(Rig::kLan);
    for (const auto& p : sent) CHECK(p.size() <= 1500);
    CHECK(sent.size() == (bytes - 20 + 1479) / 1480);
    CHECK(joined(sent) == hopped(inner(bytes)));
    CHECK(rig.counts() == Counts{{"fragment_reassembled", pieces.size() - 1}, {"fragmented", 1}});
    CHECK(rig.pool.available() == Rig::kFrames);
  }
}

TEST_CASE("pieces of a long packet wait for their next hop") {
  Echo rig;
  rig.receive_all(Rig::kWan, cut(rig.sealed(inner(9000, 1, "10.1.0.77")), 1500));
  CHECK(rig.sent(Rig::kLan).empty());
  rig.answer("10.1.0.77", NextHop::Kind::kForward, Rig::kLan);
  CHECK(joined(rig.sent(Rig::kLan)) == hopped(inner(9000, 1, "10.1.0.77")));
  CHECK(rig.counts() == Counts{{"fragment_reassembled", 6}, {"fragmented", 1}});
}

TEST_CASE("a long packet with DF is answered with ICMP through its tunnel (RFC 1191 §4)") {
  Echo rig;
  const Bytes long_one = inner(9000, 1, "10.1.0.9", packet::kIpv4DontFragment);
  rig.receive_all(Rig::kWan, cut(rig.sealed(long_one), 1500));
  CHECK(rig.sent(Rig::kLan).empty());
  const auto sent = rig.sent(Rig::kWan);
  REQUIRE(sent.size() == 1);
  CHECK(rig.counts() == Counts{{"fragment_reassembled", 6}, {"too_big", 1}});
  rig.receive_all(Rig::kWan, {Echo::reflected(sent[0])});
  rig.answer("10.2.0.7", NextHop::Kind::kForward, Rig::kLan);
  const auto errors = rig.sent(Rig::kLan);
  REQUIRE(errors.size() == 1);
  const auto& error = errors[0];
  CHECK(error.size() == 576);
  CHECK(error[20] == 3);
  CHECK(error[21] == 4);
  CHECK(base::load_be16(&error[26]) == 1500);
  CHECK(Bytes(error.begin() + 28, error.end()) ==
        Bytes(long_one.begin(), long_one.begin() + (576 - 28)));
  CHECK(rig.pool.available() == Rig::kFrames);
}

TEST_CASE("a long packet to the host is the kernel's, whole") {
  Echo rig;
  rig.answer("10.1.0.1", NextHop::Kind::kLocal, 0);
  (void)rig.core.next_hop(test::address("10.1.0.1"));
  rig.answer("10.1.0.1", NextHop::Kind::kLocal, 0);
  const Bytes long_one = inner(9000, 1, "10.1.0.1", packet::kIpv4DontFragment);
  rig.receive_all(Rig::kWan, cut(rig.sealed(long_one), 1500));
  CHECK(rig.kernel.packets == std::vector<Bytes>{long_one});
  CHECK(rig.counts() == Counts{{"fragment_reassembled", 6}, {"reinjected", 1}});
}

TEST_CASE("a packet that fits no LAN and has no DF is cut there, however it came") {
  Echo rig;
  rig.answer("10.1.0.9", NextHop::Kind::kForward, Rig::kLan);
  auto* entry = rig.core.hops.find(test::address("10.1.0.9"), rig.core.now_ms);
  entry->hop.mtu_bytes = 576;
  rig.receive_all(Rig::kWan, {rig.sealed(inner(1400))});
  const auto sent = rig.sent(Rig::kLan);
  CHECK(sent.size() == 3);
  CHECK(joined(sent) == hopped(inner(1400)));
  CHECK(rig.counts() == Counts{{"fragmented", 1}});
  rig.receive_all(Rig::kWan, {rig.sealed(inner(1400, 1, "10.1.0.9", packet::kIpv4DontFragment))});
  CHECK(rig.counts() == Counts{{"too_big", 1}});
}

TEST_CASE("fragments of IKE go to the kernel whole, others' fragments as they are") {
  Echo rig;
  const DatagramFields f{.protocol = packet::kUdp};
  Bytes ike(3000, 0x55);
  base::store_be16(&ike[0], 4500);
  base::store_be16(&ike[2], 4500);
  base::store_be16(&ike[4], 3000);
  base::store_be32(&ike[8], 0);  // the non-ESP marker
  rig.receive_all(Rig::kWan, reversed(cut(whole(f, ike), 1500)));
  CHECK(rig.kernel.packets == std::vector<Bytes>{whole(f, ike)});
  CHECK(rig.counts() == Counts{{"fragment_reassembled", 2}, {"reinjected", 1}});

  rig.kernel.packets.clear();
  DatagramFields other = f;
  other.destination = "192.0.2.99";
  const auto pieces = cut(whole(other, ike), 1500);
  rig.receive_all(Rig::kWan, pieces);
  CHECK(rig.kernel.packets == pieces);
  DatagramFields tcp = f;
  tcp.protocol = packet::kTcp;
  rig.receive_all(Rig::kWan, cut(whole(tcp, Bytes(2000, 1)), 1500));
  CHECK(rig.kernel.packets.size() == pieces.size() + 2);
}

TEST_CASE("a datagram in fragments in fragments is nobody's") {
  Echo rig(false, true);
  // The reassembled packet begins with a Fragment header of its own.
  DatagramFields f{.source = "2001:db8::2", .destination = "2001:db8::1"};
  Bytes nested(8 + 400, 3);
  nested[0] = packet::kEsp;
  base::store_be16(&nested[2], 1);
  f.protocol = packet::kFragmentHeader;
  auto pieces = fragments(f, nested, {200});
  // Only its later fragments look like ESP; the classifier takes what says ESP.
  pieces[1][40] = packet::kEsp;
  packet::IpHeader header;
  REQUIRE(packet::parse_ip(pieces[0].data(), static_cast<uint32_t>(pieces[0].size()), header) ==
          Verdict::kPending);
  rig.receive_all(Rig::kWan, pieces);
  CHECK(rig.counts()["fragment_invalid"] <= 1);
  CHECK(rig.sent(Rig::kLan).empty());
}

TEST_CASE("every fragment of a flood has one verdict, and honest packets get through") {
  Echo rig;
  std::mt19937 random(4963);
  uint64_t received = 0, whole_ones = 0;
  for (int round = 0; round < 300; round++) {
    std::vector<Bytes> wire;
    for (int n = 0; n < 60; n++) {
      const std::string source = "198.51." + std::to_string(random() % 250) + "." +
                                 std::to_string(random() % 250);
      DatagramFields f;
      f.source = source.c_str();
      f.id = static_cast<uint32_t>(random() % 16);
      f.protocol = random() % 2 ? packet::kEsp : packet::kUdp;
      wire.push_back(fragment(f, pattern(8 * (1 + random() % 20)),
                                    static_cast<uint32_t>(8 * (random() % 30)), random() % 8 != 0));
    }
    const auto honest = cut(rig.sealed(inner(1400, static_cast<uint8_t>(round))), 1000);
    wire.push_back(honest[0]);
    wire.push_back(honest[1]);
    received += wire.size();
    rig.receive_all(Rig::kWan, wire);
    whole_ones += rig.sent(Rig::kLan).size();
  }
  CHECK(whole_ones == 300);
  uint64_t ended = 0;
  for (const auto& [name, n] : rig.counts()) ended += n;
  CHECK(ended + rig.core.outer_fragments.held() == received);
  CHECK(rig.core.clear_fragments() == received - ended);
  CHECK(rig.pool.available() == Rig::kFrames);
}
