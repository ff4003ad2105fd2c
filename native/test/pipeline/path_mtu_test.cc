// ICMP about the path of an SA: what is believed, for how long, and what senders are told then.
#include <doctest/doctest.h>

#include <random>

#include "net/too_big.h"
#include "test/guarded.h"
#include "test/pipeline/echo.h"

using namespace esplane;
using namespace esplane::test;
using packet::Verdict;

namespace {

/// A router's error about a packet of ours.
/// @param quoted_bytes  how much of it is quoted
Bytes too_big(const Bytes& packet, uint32_t mtu, size_t quoted_bytes = 500) {
  const bool is_v4 = packet[0] >> 4 == 4;
  Bytes icmp{static_cast<uint8_t>(is_v4 ? 3 : 2), static_cast<uint8_t>(is_v4 ? 4 : 0), 0, 0,
             static_cast<uint8_t>(is_v4 ? 0 : mtu >> 24), static_cast<uint8_t>(is_v4 ? 0 : mtu >> 16),
             static_cast<uint8_t>(mtu >> 8), static_cast<uint8_t>(mtu)};
  icmp.insert(icmp.end(), packet.begin(),
              packet.begin() + static_cast<long>(std::min(packet.size(), quoted_bytes)));
  const DatagramFields f{.source = is_v4 ? "198.51.100.1" : "2001:db8:f::1",
                         .destination = is_v4 ? "192.0.2.1" : "2001:db8::1",
                         .protocol = is_v4 ? packet::kIcmp : packet::kIcmpV6};
  uint64_t sum = packet::checksum_add(icmp.data(), icmp.size());
  if (!is_v4) {
    sum += packet::pseudo_header_add(address(f.source), address(f.destination), packet::kIcmpV6,
                                     static_cast<uint32_t>(icmp.size()));
  }
  base::store_be16(&icmp[2], static_cast<uint16_t>(~packet::checksum_fold(sum)));
  return whole(f, icmp);
}

constexpr uint16_t kDf = packet::kIpv4DontFragment;

/// A packet that the gateway has sent, 1454 bytes or so.
Bytes sent_packet(Echo& rig) {
  rig.receive_all(Rig::kLan, {inner(1400, 1, "10.1.0.9", kDf)});
  const auto sent = rig.sent(Rig::kWan);
  REQUIRE(sent.size() == 1);
  rig.counts();
  return sent[0];
}

/// The MTU that the gateway tells the sender of a packet with DF, or 0 if it sends it.
uint32_t told(Echo& rig, uint32_t bytes) {
  rig.know("10.2.0.7", Rig::kLan);
  rig.receive_all(Rig::kLan, {inner(bytes, 1, "10.1.0.9", kDf)});
  (void)rig.sent(Rig::kWan);
  const auto errors = rig.sent(Rig::kLan);
  rig.counts();
  return errors.empty() ? 0 : base::load_be16(&errors[0][26]);
}

}  // namespace

TEST_CASE("an SA's path MTU is what ICMP says, and senders learn it with their next packet") {
  for (const bool udp : {false, true}) {
    for (const bool v6 : {false, true}) {
      CAPTURE(udp);
      CAPTURE(v6);
      Echo rig(udp, v6);
      rig.receive_all(Rig::kWan, {too_big(sent_packet(rig), 1350)});
      CHECK(rig.counts() == Counts{{"path_mtu_learned", 1}});
      CHECK(rig.kernel.packets.empty());
      // Around the inner packet: outer headers, ESP header and IV, ICV; two bytes of trailer.
      const uint32_t around = (v6 ? 40 : 20) + (udp ? 8 : 0) + 16 + 16;
      const uint32_t largest = (1350 - around) / 4 * 4 - 2;
      CHECK(told(rig, 1400) == largest);
      CHECK(told(rig, largest + 1) == largest);
      CHECK(told(rig, largest) == 0);
      // Without DF it is cut to fit.
      rig.receive_all(Rig::kLan, {inner(1400)});
      for (const auto& p : rig.sent(Rig::kWan)) CHECK(p.size() <= 1350);
      CHECK(rig.counts() == Counts{{"fragmented", 1}});
    }
  }
}

TEST_CASE("what was learnt is believed for ten minutes (RFC 1191 §6.3)") {
  Echo rig;
  rig.receive_all(Rig::kWan, {too_big(sent_packet(rig), 1300)});
  rig.core.now_ms += 599'999;
  rig.know("192.0.2.2", Rig::kWan);
  CHECK(told(rig, 1400) != 0);
  rig.core.now_ms += 1;
  CHECK(told(rig, 1400) == 0);
  // Once forgotten it does not come back when the clock comes round.
  auto& path = rig.sad.outbound(rig.spi)->path_mtu;
  CHECK(path.least(1500, rig.core.now_ms - 600'000) == 1500);
}

TEST_CASE("an MTU only falls, and never below what every path carries") {
  Echo rig;
  const Bytes packet = sent_packet(rig);
  rig.receive_all(Rig::kWan, {too_big(packet, 1300), too_big(packet, 1400), too_big(packet, 68)});
  CHECK(rig.counts() == Counts{{"path_mtu_learned", 3}});
  CHECK(rig.sad.outbound(rig.spi)->path_mtu.least(1500, rig.core.now_ms) == 576);
  Echo rig6(false, true);
  rig6.receive_all(Rig::kWan, {too_big(sent_packet(rig6), 600)});
  CHECK(rig6.sad.outbound(rig6.spi)->path_mtu.least(1500, rig6.core.now_ms) == 1280);
}

TEST_CASE("an old router that tells no MTU means the next plateau below (RFC 1191 §5)") {
  Echo rig;
  rig.receive_all(Rig::kWan, {too_big(sent_packet(rig), 0)});
  CHECK(rig.counts() == Counts{{"path_mtu_learned", 1}});
  CHECK(rig.sad.outbound(rig.spi)->path_mtu.least(1500, rig.core.now_ms) == 1006);
}

TEST_CASE("what quotes nothing that the SA has sent of late changes nothing") {
  Echo rig;
  const Bytes packet = sent_packet(rig);
  auto changed = [&](size_t at, uint32_t value) {
    Bytes p = packet;
    base::store_be32(&p[at], value);
    return p;
  };
  SUBCASE("a number to come") { rig.receive_all(Rig::kWan, {too_big(changed(24, 2), 1300)}); }
  SUBCASE("a number long gone") {
    rig.sad.outbound(rig.spi)->reserve(1u << 20);
    rig.receive_all(Rig::kWan, {too_big(packet, 1300)});
  }
  SUBCASE("from another address of ours") {
    rig.networks.local_addresses.push_back(address("192.0.2.9"));
    rig.receive_all(Rig::kWan, {too_big(changed(12, 0xc0000209), 1300)});
  }
  CHECK(rig.counts() == Counts{{"icmp_implausible", 1}});
  CHECK(told(rig, 1400) == 0);
}

TEST_CASE("what concerns no SA of ours is the kernel's") {
  Echo rig;
  const Bytes packet = sent_packet(rig);
  std::vector<Bytes> errors;
  Bytes other = packet;
  base::store_be32(&other[20], 0x1234'5678);  // another SPI
  errors.push_back(too_big(other, 1300));
  other = packet;
  other[19] = 99;  // another peer
  errors.push_back(too_big(other, 1300));
  errors.push_back(too_big(packet, 1300, 23));    // ends before the SPI does
  errors.push_back(too_big(packet, static_cast<uint32_t>(packet.size())));  // it did fit
  errors.push_back(too_big(packet, 1300));
  errors.back()[22] ^= 1;                         // checksum
  errors.push_back(too_big(packet, 1300));
  errors.back()[21] = 1;                          // host unreachable
  const DatagramFields ike{.source = "192.0.2.1", .destination = "192.0.2.2", .protocol = 17};
  Bytes message(1200);
  base::store_be16(&message[0], 4500);
  errors.push_back(too_big(whole(ike, message), 1000));
  rig.receive_all(Rig::kWan, errors);
  CHECK(rig.counts() == Counts{{"reinjected", errors.size()}});
  CHECK(rig.kernel.packets == errors);
  CHECK(told(rig, 1400) == 0);
}

TEST_CASE("a quotation that ends behind the SPI is enough") {
  Echo rig;
  rig.receive_all(Rig::kWan, {too_big(sent_packet(rig), 1300, 24)});
  CHECK(rig.counts() == Counts{{"path_mtu_learned", 1}});
}

TEST_CASE("no more than a bounded number of errors is looked at") {
  Echo rig;
  const Bytes error = too_big(sent_packet(rig), 1300);
  for (int i = 0; i < 5; i++) rig.receive_all(Rig::kWan, std::vector<Bytes>(60, error));
  CHECK(rig.counts() == Counts{{"path_mtu_learned", 100}, {"icmp_limited", 200}});
}

TEST_CASE("an error about our own IPv6 fragment counts for its SA") {
  Echo rig(Echo::Options{.outer_v6 = true, .fragment_after = true});
  rig.receive_all(Rig::kLan, {inner(1500)});
  const auto sent = rig.sent(Rig::kWan);
  REQUIRE(sent.size() == 2);
  rig.counts();
  rig.receive_all(Rig::kWan, {too_big(sent[0], 1400)});
  CHECK(rig.counts() == Counts{{"path_mtu_learned", 1}});
  rig.receive_all(Rig::kWan, {too_big(sent[1], 1300)});  // shows no SPI
  CHECK(rig.counts() == Counts{{"reinjected", 1}});
}

TEST_CASE("errors are read within their bounds, whatever they quote") {
  Echo rig;
  Echo rig6(true, true);
  std::mt19937 random(4301);
  Guarded memory(2048);
  const Bytes errors[] = {too_big(sent_packet(rig), 1300, 60), too_big(sent_packet(rig6), 1300, 90)};
  for (int round = 0; round < 50'000; round++) {
    Bytes p = errors[round % 2];
    p.resize(p.size() - random() % (p.size() - 21));
    for (auto n = random() % 4; n > 0; n--) p[random() % p.size()] = static_cast<uint8_t>(random());
    uint8_t* data = memory.at_end(p.size());
    std::copy(p.begin(), p.end(), data);
    packet::IpHeader header;
    // As if its IP header had been checked.
    header.family = p[0] >> 4 == 6 ? packet::Family::kV6 : packet::Family::kV4;
    header.header_bytes = header.family == packet::Family::kV6 ? 40 : 20;
    header.total_bytes = static_cast<uint32_t>(p.size());
    header.protocol = header.family == packet::Family::kV6 ? packet::kIcmpV6 : packet::kIcmp;
    if (header.total_bytes < header.header_bytes) continue;
    (void)net::read_too_big(data, header, 4500);
  }
}
