// ESP with every suite, in both modes, over both families: what one end sends the other takes, and
// what RFC 4303 asks for whatever the algorithms are. Bytes are compared with those of others in
// vectors_test.cc.
#include <doctest/doctest.h>

#include <memory>
#include <set>
#include <string>

#include "base/bytes.h"
#include "esp/inbound.h"
#include "esp/locate.h"
#include "esp/outbound.h"
#include "packet/checksum.h"
#include "test/esp/frames.h"
#include "test/esp/inner_packets.h"
#include "test/esp/suites.h"

namespace esplane::esp {
namespace {

using base::load_be16;
using base::load_be32;
using base::load_be64;
using packet::Batch;
using packet::IpHeader;
using packet::Verdict;
using sad::Mode;
using sad::Protocol;
using test::Frames;
using test::inner_v4;
using test::inner_v6;
using test::SuitePair;

/// Both ends of a pair of SAs.
struct Ends {
  sad::OutboundSa out;
  sad::InboundSa in;

  explicit Ends(const SuitePair& pair) : out(pair.p), in(pair.p) {}
};

void use_family(SuitePair& pair, bool v4) {
  if (pair.p.mode == Mode::kTransport) {  // the ends of inner_v4() and inner_v6()
    pair.p.local = test::ip(v4 ? "10.1.0.5" : "fd01::5");
    pair.p.remote = test::ip(v4 ? "10.2.0.9" : "fd02::9");
  } else {
    pair.p.local = test::ip(v4 ? "192.0.2.1" : "2001:db8::1");
    pair.p.remote = test::ip(v4 ? "198.51.100.2" : "2001:db8::2");
  }
}

void send(Frames& frames, sad::OutboundSa& sa, const std::vector<std::vector<uint8_t>>& packets) {
  frames.clear();
  for (const auto& p : packets) frames.batch.outbound[frames.add(p)] = &sa;
  outbound(frames.batch);
  for (uint32_t i = 0; i < frames.batch.size; i++) {
    REQUIRE(frames.batch.verdict[i] == Verdict::kPending);
  }
}

/// Receives what is in the frames, each packet located as the pipeline does it.
void receive(Frames& frames, sad::InboundSa& sa, IpHeader inner[Batch::kCapacity]) {
  uint16_t offset[Batch::kCapacity];
  for (uint32_t i = 0; i < frames.batch.size; i++) {
    IpHeader outer;
    frames.batch.verdict[i] =
        packet::parse_ip(frames.batch.data[i], frames.batch.length[i], outer);
    REQUIRE(frames.batch.verdict[i] == Verdict::kPending);
    REQUIRE(outer.total_bytes == frames.batch.length[i]);
    const Location at = locate(frames.batch.data[i], outer);
    REQUIRE(at.is_ipsec());
    REQUIRE(at.spi == sa.spi);
    REQUIRE((at.content == Content::kAh) == (sa.protocol == Protocol::kAh));
    offset[i] = at.offset;
    frames.batch.inbound[i] = &sa;
  }
  inbound(frames.batch, offset, inner);
}

/// Calls `each(suite)` for every suite of a protocol.
template <typename Each>
void for_each_suite(Protocol protocol, Each each) {
  for (const crypto::Suite* suite : test::suites_of(protocol)) {
    CAPTURE(suite->name);
    each(*suite);
  }
}

void round_trip(SuitePair& pair, bool v4) {
  use_family(pair, v4);
  Ends ends(pair);
  Frames frames;
  IpHeader inner[Batch::kCapacity];
  std::vector<std::vector<uint8_t>> sent;
  const bool transport = pair.p.mode == Mode::kTransport;
  for (uint32_t i = 0; i < Batch::kCapacity; i++) {
    const uint32_t data = i < 40 ? i : i * 20;
    const bool inner_is_v4 = transport ? v4 : i % 2 == 0;
    sent.push_back(inner_is_v4 ? inner_v4(data, 0x28) : inner_v6(data, 0x28));
  }
  send(frames, ends.out, sent);
  const uint32_t kept = v4 ? packet::kIpv4HeaderBytes : packet::kIpv6HeaderBytes;
  for (uint32_t i = 0; i < Batch::kCapacity; i++) {
    const auto bytes = static_cast<uint32_t>(sent[i].size());
    REQUIRE(frames.batch.length[i] == sealed_bytes(ends.out, bytes, kept));
    // With ESN AH has four bytes more behind the packet for a while.
    if (pair.p.protocol == Protocol::kEsp) REQUIRE(frames.untouched_around(i));
  }
  receive(frames, ends.in, inner);
  for (uint32_t i = 0; i < Batch::kCapacity; i++) {
    REQUIRE(frames.batch.verdict[i] == Verdict::kPending);
    REQUIRE(frames.packet(i) == sent[i]);
    REQUIRE(inner[i].total_bytes == sent[i].size());
  }
  CHECK(ends.in.packets.load() == Batch::kCapacity);
  CHECK(ends.in.bytes.load() == ends.out.bytes.load());
  CHECK(ends.in.window.highest() == pair.p.inbound_sequence + Batch::kCapacity);
}

TEST_CASE("every suite of ESP goes through, tunnel and transport, IPv4 and IPv6, ESN, UDP") {
  for_each_suite(Protocol::kEsp, [](const crypto::Suite& suite) {
    for (const bool transport : {false, true}) {
      for (const bool v4 : {true, false}) {
        for (const bool esn : {false, true}) {
          for (const bool udp : {false, true}) {
            CAPTURE(transport);
            CAPTURE(v4);
            CAPTURE(esn);
            CAPTURE(udp);
            SuitePair pair(suite, esn);
            pair.p.mode = transport ? Mode::kTransport : Mode::kTunnel;
            pair.p.udp_encapsulation = udp;
            if (esn) pair.p.outbound_sequence = pair.p.inbound_sequence = 0x2ffffffe0;
            round_trip(pair, v4);
          }
        }
      }
    }
  });
}

TEST_CASE("every suite of AH goes through, tunnel and transport, IPv4 and IPv6, ESN") {
  for_each_suite(Protocol::kAh, [](const crypto::Suite& suite) {
    for (const bool transport : {false, true}) {
      for (const bool v4 : {true, false}) {
        for (const bool esn : {false, true}) {
          CAPTURE(transport);
          CAPTURE(v4);
          CAPTURE(esn);
          SuitePair pair(suite, esn);
          pair.p.mode = transport ? Mode::kTransport : Mode::kTunnel;
          if (esn) pair.p.outbound_sequence = pair.p.inbound_sequence = 0x2ffffffe0;
          round_trip(pair, v4);
        }
      }
    }
  });
}

TEST_CASE("the high half of the sequence number is authenticated, by every suite with ESN") {
  for (const Protocol protocol : {Protocol::kEsp, Protocol::kAh}) {
    for_each_suite(protocol, [](const crypto::Suite& suite) {
      SuitePair sender(suite, true);
      SuitePair receiver(suite, true);
      sender.p.outbound_sequence = 0x100000000;
      receiver.p.inbound_sequence = 0x200000000;
      sad::OutboundSa out(sender.p);
      sad::InboundSa in(receiver.p);
      Frames frames;
      IpHeader inner[Batch::kCapacity];
      send(frames, out, {inner_v4(40)});
      receive(frames, in, inner);
      CHECK(frames.batch.verdict[0] == Verdict::kIcvBad);
    });
  }
}

TEST_CASE("eight copies in one batch: one accepted, with every suite") {
  for (const Protocol protocol : {Protocol::kEsp, Protocol::kAh}) {
    for_each_suite(protocol, [](const crypto::Suite& suite) {
      SuitePair pair(suite);
      Ends ends(pair);
      Frames frames;
      IpHeader inner[Batch::kCapacity];
      send(frames, ends.out, {inner_v4(40)});
      const auto copy = frames.packet(0);
      frames.clear();
      for (int i = 0; i < 8; i++) frames.add(copy);
      receive(frames, ends.in, inner);
      CHECK(frames.batch.verdict[0] == Verdict::kPending);
      for (uint32_t i = 1; i < 8; i++) {
        CHECK(frames.batch.verdict[i] == Verdict::kReplayDuplicate);
      }
      CHECK(ends.in.packets.load() == 1);
      CHECK(ends.in.refused(Verdict::kReplayDuplicate) == 7);
    });
  }
}

TEST_CASE("bad ICV leaves the window alone, with every suite and every bit of the packet") {
  for (const Protocol protocol : {Protocol::kEsp, Protocol::kAh}) {
    for_each_suite(protocol, [](const crypto::Suite& suite) {
      SuitePair pair(suite);
      pair.p.outbound_sequence = 1000;
      Ends ends(pair);
      Frames frames;
      IpHeader inner[Batch::kCapacity];
      send(frames, ends.out, {inner_v4(5)});
      const auto good = frames.packet(0);
      // SPI, AH's length and its reserved bits stay: they decide what is looked at.
      const size_t first = pair.p.protocol == Protocol::kAh ? 28 : 24;
      uint64_t spoiled = 0;
      for (size_t bit = first * 8; bit < good.size() * 8; bit++) {
        std::vector<uint8_t> bad = good;
        bad[bit / 8] ^= static_cast<uint8_t>(1u << bit % 8);
        frames.clear();
        frames.add(bad);
        receive(frames, ends.in, inner);
        REQUIRE(frames.batch.verdict[0] == Verdict::kIcvBad);
        spoiled++;
      }
      CHECK(ends.in.window.highest() == 0);
      CHECK(ends.in.refused(Verdict::kIcvBad) == spoiled);
      frames.clear();
      frames.add(good);
      receive(frames, ends.in, inner);
      CHECK(frames.batch.verdict[0] == Verdict::kPending);
      CHECK(frames.packet(0) == inner_v4(5));
    });
  }
}

TEST_CASE("5,000 packets have 5,000 IVs for every algorithm") {
  for_each_suite(Protocol::kEsp, [](const crypto::Suite& suite) {
    if (suite.iv_bytes == 0) return;
    SuitePair pair(suite);
    sad::OutboundSa sa(pair.p);
    Frames frames;
    std::set<std::string> ivs;
    uint32_t sent = 0;
    while (sent < 5000) {
      const uint32_t burst = std::min(5000 - sent, Batch::kCapacity);
      send(frames, sa, {burst, inner_v4(4)});
      for (uint32_t i = 0; i < burst; i++) {
        ivs.insert(test::hex_of(frames.batch.data[i] + 28, suite.iv_bytes));
      }
      sent += burst;
    }
    CHECK(ivs.size() == 5000);
    if (suite.iv_bytes != 16) return;
    // What cannot be foretold does not count: half of the bits change from one to the next.
    uint64_t changed = 0;
    send(frames, sa, {Batch::kCapacity, inner_v4(4)});
    for (uint32_t i = 1; i < Batch::kCapacity; i++) {
      for (uint32_t b = 0; b < 16; b += 8) {
        changed += static_cast<uint64_t>(
            __builtin_popcountll(load_be64(frames.batch.data[i] + 28 + b) ^
                                 load_be64(frames.batch.data[i - 1] + 28 + b)));
      }
    }
    CHECK(changed > 63 * 128 * 4 / 10);
    CHECK(changed < 63 * 128 * 6 / 10);
  });
}

TEST_CASE("implicit IV: nothing between header and text, and the number is the nonce (RFC 8750)") {
  for_each_suite(Protocol::kEsp, [](const crypto::Suite& suite) {
    if (!suite.implicit_iv()) return;
    SuitePair pair(suite);
    sad::OutboundSa sa(pair.p);
    Frames frames;
    send(frames, sa, {inner_v4(6), inner_v4(6)});
    CHECK(frames.batch.length[0] == 20u + 8 + 36 + suite.icv_bytes);
    // The same plaintext under two numbers.
    CHECK(frames.packet(0) != frames.packet(1));
  });
}

TEST_CASE("NULL/NULL refused") {
  test::Pair pair(0x1000);
  pair.p.encryption = crypto::kEncrNull;
  pair.p.key_bits = 0;
  pair.p.inbound_key = pair.p.outbound_key = {};
  CHECK_THROWS_WITH(sad::validate(pair.p),
                    "SA: encryption 11 with a key of 0 bits and integrity 0 is not supported");
  pair.p.encryption = 0;
  CHECK_THROWS_WITH(sad::validate(pair.p),
                    "SA: encryption 0 with a key of 0 bits and integrity 0 is not supported");
}

TEST_CASE("a suite of AH is none of ESP, and the other way round") {
  SuitePair ah(*crypto::find_suite(0, 0, crypto::kAuthHmacSha2_256_128));
  sad::validate(ah.p);
  ah.p.protocol = Protocol::kEsp;
  CHECK_THROWS_WITH(sad::validate(ah.p),
                    "SA: HMAC-SHA2-256-128 is not for ESP, which names NULL encryption (RFC 2410)");
  test::Pair esp(0x1000);
  esp.p.protocol = Protocol::kAh;
  CHECK_THROWS_WITH(sad::validate(esp.p), "SA: AES-GCM-16-128 is not for AH");
}

}  // namespace
}  // namespace esplane::esp
