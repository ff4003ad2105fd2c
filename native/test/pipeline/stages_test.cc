// The stages of a worker, packet by packet, with the test in the part of the kernel's next hops.
#include <doctest/doctest.h>

#include <random>

#include "packet/checksum.h"
#include "test/pipeline/rig.h"

namespace {

using namespace esplane;
using net::NextHop;
using packet::Verdict;
using test::Rig;

std::vector<std::vector<uint8_t>> numbered(uint32_t count) {
  std::vector<std::vector<uint8_t>> packets;
  for (uint32_t i = 0; i < count; i++)
    packets.push_back(Rig::ipv4("10.1.0.5", "10.2.0.7", static_cast<uint8_t>(i)));
  return packets;
}

/// What the gateway sent, as the peer would send it: outer addresses exchanged.
std::vector<std::vector<uint8_t>> reflected(std::vector<std::vector<uint8_t>> outer) {
  for (auto& p : outer) {
    for (int i = 0; i < 4; i++) std::swap(p[12 + i], p[16 + i]);
  }
  return outer;
}

}  // namespace

TEST_CASE("a priority tag is taken off, and what else is no IP has a name") {
  Rig rig;
  pipeline::Burst burst;
  const auto read = [&](std::vector<uint8_t> types, std::vector<uint8_t> ip) {
    uint8_t* frame = rig.pool.get() + port::FramePool::kHeadroom;
    std::memset(frame, 0, 12);
    std::copy(ip.begin(), ip.end(), std::copy(types.begin(), types.end(), frame + 12));
    burst.batch.clear();
    burst.append(frame, static_cast<uint32_t>(12 + types.size() + ip.size()));
    pipeline::Core::read_headers(burst);
    rig.pool.put(frame);
    return burst.batch.verdict[0];
  };
  const auto packet = Rig::ipv4("10.1.0.5", "10.2.0.7", 1);
  CHECK(read({0x81, 0x00, 0x60, 0x00, 0x08, 0x00}, packet) == Verdict::kPending);
  CHECK(burst.batch.length[0] == packet.size());
  CHECK(std::memcmp(burst.batch.data[0], packet.data(), packet.size()) == 0);
  CHECK(read({0x81, 0x00, 0x60, 0x00, 0x86, 0xdd}, packet) == Verdict::kBadIpVersion);
  CHECK(read({0x81, 0x00, 0x60, 0x00, 0x81, 0x00, 0, 0, 0x08, 0x00}, packet) ==
        Verdict::kBadEthertype);
  CHECK(read({0x81, 0x00, 0x60}, {}) == Verdict::kBadEthertype);
}

TEST_CASE("packets wait in clear for the peer's next hop and leave in order when it answers") {
  Rig rig;
  rig.install();
  rig.receive(Rig::kLan, numbered(10));
  CHECK(rig.hops->asked.size() == 1);
  CHECK(rig.count(Verdict::kHeld) == 10);
  CHECK(rig.sent(Rig::kWan).empty());
  rig.answer("192.0.2.2", NextHop::Kind::kForward, Rig::kWan);
  const auto sent = rig.sent(Rig::kWan);
  REQUIRE(sent.size() == 10);
  for (uint32_t i = 0; i < 10; i++) {
    CHECK(sent[i][9] == packet::kEsp);
    CHECK(base::load_be32(&sent[i][24]) == i + 1);  // sequence numbers in the order of arrival
  }
  CHECK(rig.count(Verdict::kSent) == 10);
  CHECK(rig.counters.esp_out_packets.read() == 10);
  CHECK(rig.pool.available() == Rig::kFrames);
}

TEST_CASE("no more than a bounded few wait for one next hop") {
  Rig rig;
  rig.install();
  rig.receive(Rig::kLan, numbered(64));
  rig.receive(Rig::kLan, numbered(10));
  CHECK(rig.count(Verdict::kHeld) == pipeline::HoldQueue::kPerNextHop);
  CHECK(rig.count(Verdict::kHoldQueueFull) == 74 - pipeline::HoldQueue::kPerNextHop);
  CHECK(rig.pool.available() == Rig::kFrames - pipeline::HoldQueue::kPerNextHop);
}

TEST_CASE("a neighbour that does not answer costs the packets their name") {
  Rig rig;
  rig.install();
  rig.receive(Rig::kLan, numbered(2));
  rig.answer("192.0.2.2", NextHop::Kind::kUnresolved, Rig::kWan);
  rig.receive(Rig::kLan, numbered(1));
  CHECK(rig.count(Verdict::kNeighbourUnresolved) == 3);
  CHECK(rig.pool.available() == Rig::kFrames);
}

TEST_CASE("a peer without a route, or behind the kernel's own interfaces, is never sent to") {
  for (const auto kind :
       {NextHop::Kind::kNoRoute, NextHop::Kind::kElsewhere, NextHop::Kind::kLocal}) {
    Rig rig;
    rig.install();
    rig.receive(Rig::kLan, numbered(1));
    rig.answer("192.0.2.2", kind, 0);
    CHECK(rig.count(Verdict::kNoRoute) == 1);
    CHECK(rig.kernel.packets.empty());
  }
}

TEST_CASE("an SA that was removed while packets waited for it is not used") {
  Rig rig;
  const uint32_t spi = rig.install();
  rig.receive(Rig::kLan, numbered(3));
  rig.remove(spi);
  rig.answer("192.0.2.2", NextHop::Kind::kForward, Rig::kWan);
  CHECK(rig.count(Verdict::kNoSa) == 3);
  CHECK(rig.sent(Rig::kWan).empty());
  CHECK(rig.pool.available() == Rig::kFrames);
}

TEST_CASE("decrypted packets wait for the inner destination's next hop") {
  Rig rig;
  rig.install();
  rig.receive(Rig::kLan, {Rig::ipv4("10.1.0.5", "10.2.0.7", 1)});
  rig.answer("192.0.2.2", NextHop::Kind::kForward, Rig::kWan);
  // Our own packet back is authentic, but its inner addresses are the wrong way round.
  rig.receive(Rig::kWan, reflected(rig.sent(Rig::kWan)));
  CHECK(rig.count(Verdict::kSelectorMismatch) == 1);
}

TEST_CASE("ESP in UDP and ESP alone are both taken, whichever the SA itself sends") {
  // RFC 7296 §2.23: with NAT traversal both have to be received and processed at any time.
  static constexpr uint8_t kKey[20] = {9};
  const auto any = Rig::range("10.0.0.0", "10.255.255.255");
  for (const bool sends_in_udp : {false, true}) {
    CAPTURE(sends_in_udp);
    Rig rig;
    auto entry = Rig::entry(spd::Direction::kOutbound);
    entry.local = entry.remote = {any};
    rig.spd.set({entry});
    sad::SaParameters p;
    p.inbound_spi = p.outbound_spi = rig.sad.allocate_spi();
    p.local = test::address("192.0.2.1");
    p.remote = test::address("192.0.2.2");
    p.udp_encapsulation = sends_in_udp;
    p.inbound_key = p.outbound_key = kKey;
    p.local_selectors = p.remote_selectors = {any};
    rig.spd.attach("tunnel", rig.sad.install(p), {any}, {any});
    rig.receive(Rig::kLan, {Rig::ipv4("10.2.0.7", "10.1.0.9", 7)});
    rig.answer("192.0.2.2", NextHop::Kind::kForward, Rig::kWan);
    auto outer = reflected(rig.sent(Rig::kWan));
    REQUIRE(outer.size() == 1);
    // The other encapsulation: a UDP header put in, or taken out.
    auto& packet = outer[0];
    if (sends_in_udp) {
      packet.erase(packet.begin() + 20, packet.begin() + 28);
      packet[9] = packet::kEsp;
    } else {
      const auto bytes = static_cast<uint16_t>(packet.size() - 20 + 8);
      packet.insert(packet.begin() + 20, 8, 0);
      base::store_be16(&packet[20], 4500);
      base::store_be16(&packet[22], 4500);
      base::store_be16(&packet[24], bytes);
      packet[9] = packet::kUdp;
    }
    base::store_be16(&packet[2], static_cast<uint16_t>(packet.size()));
    base::store_be16(&packet[10], 0);
    base::store_be16(&packet[10], packet::internet_checksum(packet.data(), 20));
    rig.receive(Rig::kWan, outer);
    rig.answer("10.1.0.9", NextHop::Kind::kForward, Rig::kLan);
    CHECK(rig.sent(Rig::kLan).size() == 1);
    CHECK(rig.counters.esp_in_packets.read() == 1);
    pipeline::Event event;
    while (rig.events.pop(event)) CHECK(event.kind != pipeline::Event::Kind::kNatMappingChanged);
  }
}

TEST_CASE("of ESP from elsewhere only the newest tells of a new mapping") {
  // RFC 7296 §2.23: an update is made in response to a new packet only.
  static constexpr uint8_t kKey[20] = {9};
  const auto any = Rig::range("10.0.0.0", "10.255.255.255");
  Rig rig;
  auto entry = Rig::entry(spd::Direction::kOutbound);
  entry.local = entry.remote = {any};
  rig.spd.set({entry});
  sad::SaParameters p;
  p.inbound_spi = p.outbound_spi = rig.sad.allocate_spi();
  p.local = test::address("192.0.2.1");
  p.remote = test::address("192.0.2.2");
  p.udp_encapsulation = true;
  p.inbound_key = p.outbound_key = kKey;
  p.local_selectors = p.remote_selectors = {any};
  rig.spd.attach("tunnel", rig.sad.install(p), {any}, {any});
  const auto packet = [](uint8_t n) { return Rig::ipv4("10.2.0.7", "10.1.0.9", n); };
  rig.receive(Rig::kLan, {packet(1), packet(2), packet(3)});
  rig.answer("192.0.2.2", NextHop::Kind::kForward, Rig::kWan);
  const auto outer = reflected(rig.sent(Rig::kWan));
  REQUIRE(outer.size() == 3);
  const auto from_port = [&](size_t n, uint16_t port) {
    auto copy = outer[n];
    base::store_be16(&copy[20], port);
    return copy;
  };
  pipeline::Event event;
  rig.receive(Rig::kWan, {outer[1]});
  rig.receive(Rig::kWan, {from_port(0, 5000)});
  while (rig.events.pop(event)) CHECK(event.kind != pipeline::Event::Kind::kNatMappingChanged);
  rig.receive(Rig::kWan, {from_port(2, 6000)});
  CHECK(rig.counters.esp_in_packets.read() == 3);
  bool told = false;
  while (rig.events.pop(event)) {
    if (event.kind != pipeline::Event::Kind::kNatMappingChanged) continue;
    told = true;
    CHECK(event.port == 6000);
  }
  CHECK(told);
}

TEST_CASE("a decrypted packet for the host is the kernel's, TTL untouched") {
  Rig rig;
  // Selectors that fit both ways, so that the echo of our own packet is accepted.
  const auto any = Rig::range("10.0.0.0", "10.255.255.255");
  auto entry = Rig::entry(spd::Direction::kOutbound);
  entry.local = entry.remote = {any};
  rig.spd.set({entry});
  static constexpr uint8_t kKey[20] = {9};
  sad::SaParameters p;
  p.inbound_spi = p.outbound_spi = rig.sad.allocate_spi();
  p.local = test::address("192.0.2.1");
  p.remote = test::address("192.0.2.2");
  p.inbound_key = p.outbound_key = kKey;
  p.local_selectors = p.remote_selectors = {any};
  rig.spd.attach("tunnel", rig.sad.install(p), {any}, {any});

  const auto echo = [&](const char* to) {
    rig.receive(Rig::kLan, {Rig::ipv4("10.2.0.7", to, 7)});
    if (rig.count(Verdict::kHeld) == 1)
      rig.answer("192.0.2.2", NextHop::Kind::kForward, Rig::kWan);
    rig.receive(Rig::kWan, reflected(rig.sent(Rig::kWan)));
  };
  SUBCASE("to the kernel") {
    echo("10.1.0.1");
    CHECK(rig.count(Verdict::kHeld) == 2);
    rig.answer("10.1.0.1", NextHop::Kind::kLocal, 0);
    REQUIRE(rig.kernel.packets.size() == 1);
    CHECK(rig.kernel.packets[0][8] == 63);  // once, by the encapsulator
    CHECK(rig.count(Verdict::kReinjected) == 1);
  }
  SUBCASE("forwarded to the LAN, TTL decremented") {
    echo("10.1.0.9");
    rig.answer("10.1.0.9", NextHop::Kind::kForward, Rig::kLan);
    const auto sent = rig.sent(Rig::kLan);
    REQUIRE(sent.size() == 1);
    CHECK(sent[0][8] == 62);
    CHECK(packet::internet_checksum(sent[0].data(), 20) == 0);
  }
  SUBCASE("towards the WAN side: encrypted again, never in clear") {
    echo("10.3.0.9");
    rig.answer("10.3.0.9", NextHop::Kind::kForward, Rig::kWan);
    const auto sent = rig.sent(Rig::kWan);
    REQUIRE(sent.size() == 1);
    CHECK(sent[0][9] == packet::kEsp);
  }
  SUBCASE("out of an interface that is none of ours: policy decides, and it says PROTECT") {
    echo("10.3.0.9");
    rig.answer("10.3.0.9", NextHop::Kind::kElsewhere, 0);
    CHECK(rig.kernel.packets.empty());
    CHECK(rig.sent(Rig::kWan).size() == 1);
  }
  SUBCASE("without a route") {
    echo("10.1.9.9");
    rig.answer("10.1.9.9", NextHop::Kind::kNoRoute, 0);
    CHECK(rig.count(Verdict::kNoRoute) == 1);
  }
  CHECK(rig.pool.available() == Rig::kFrames);
}

TEST_CASE("of a hundred thousand mutated packets each gets one verdict, and no frame is lost") {
  Rig rig;
  rig.install();
  rig.receive(Rig::kLan, numbered(32));
  rig.answer("192.0.2.2", NextHop::Kind::kForward, Rig::kWan);
  const auto esp = reflected(rig.sent(Rig::kWan));
  std::vector<std::vector<uint8_t>> seeds = numbered(4);
  seeds.insert(seeds.end(), esp.begin(), esp.begin() + 8);
  seeds.push_back(Rig::ipv4("10.1.0.5", "10.2.0.7", 1, 1500, 1));
  uint64_t fed = 32;

  std::mt19937 random(4303);
  const auto below = [&](size_t n) { return static_cast<size_t>(random() % n); };
  for (int round = 0; round < 100'000 / 32; round++) {
    std::vector<std::vector<uint8_t>> frames;
    for (int k = 0; k < 32; k++) {
      std::vector<uint8_t> f(14, 0);
      const auto& seed = seeds[below(seeds.size())];
      f.insert(f.end(), seed.begin(), seed.end());
      f[12] = below(8) == 0 ? 0x86 : 0x08;
      f[13] = below(8) == 0 ? 0xdd : 0x00;
      for (size_t n = below(6); n > 0; n--) f[below(std::min<size_t>(f.size(), 90))] = static_cast<uint8_t>(random());
      if (below(4) == 0) f.resize(below(f.size() + 1));
      if (f.size() >= 34 && below(2) == 0) {  // so that mutations get past the IPv4 checksum
        const size_t header = (f[14] & 15u) * 4;
        if (header >= 20 && f.size() >= 14 + header) {
          base::store_be16(&f[24], 0);
          base::store_be16(&f[24], packet::internet_checksum(&f[14], header));
        }
      }
      frames.push_back(std::move(f));
    }
    fed += 32;
    rig.core.now_ms += 3;
    rig.receive_frames(below(2) ? Rig::kLan : Rig::kWan, frames);
    rig.sent(Rig::kLan);
    rig.sent(Rig::kWan);
    while (auto* e = rig.core.held.overdue(rig.core.now_ms)) {
      pipeline::HoldQueue::Packet p;
      while (rig.core.held.release(*e, p))
        rig.core.egress.finish(p.data, Verdict::kNeighbourUnresolved, p.origin);
    }
  }
  while (auto* e = rig.core.held.any()) {
    pipeline::HoldQueue::Packet p;
    while (rig.core.held.release(*e, p)) rig.core.egress.finish(p.data, Verdict::kStopping, p.origin);
  }
  CHECK(rig.counters.rx_packets.read() == fed);
  CHECK(rig.pool.available() == Rig::kFrames);
  // ICMP errors of ours that were held and given up are counted as drops too.
  const uint64_t ended = rig.verdicts() + rig.core.clear_fragments();
  CHECK(ended >= fed);
  CHECK(ended <= fed + rig.counters.icmp_errors.read());
}
