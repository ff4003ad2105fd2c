// Segments joined to super-frames. What a frame has to look like follows from the headers that it
// is to be cut into again; that it is cut so is checked by cutting it, and by a kernel's TCP.
#include "port/tun/super_frames.h"

#include <doctest/doctest.h>

#include <functional>
#include <map>
#include <random>

#include "base/bytes.h"
#include "test/port/checksums.h"
#include "test/port/frames.h"

using namespace esplane::test;
using esplane::base::load_be16;
using esplane::base::load_be32;
using esplane::base::store_be16;
using esplane::base::store_be32;
using esplane::port::OffloadHeader;
using esplane::port::Segments;
using esplane::port::SuperFrames;

namespace {

constexpr uint8_t kFin = 0x01, kSyn = 0x02, kRst = 0x04, kPsh = 0x08, kAck = 0x10, kUrg = 0x20,
                  kEce = 0x40, kCwr = 0x80;
const Bytes kTimestamps{1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8};  // RFC 7323 §3.2

/// One TCP segment, field by field.
struct Tcp {
  bool v6 = false;
  uint16_t from = 40000;
  uint32_t sequence = 0xfffff000;
  uint8_t flags = kAck;
  size_t payload_bytes = 1000;
  uint16_t id = 0xfffe;
  bool df = false;
  Bytes options = kTimestamps;

  size_t tcp_at() const { return v6 ? 40 : 20; }

  /// @param change  made before the checksums are
  Bytes packet(const std::function<void(Bytes&)>& change = {}) const {
    Bytes payload(payload_bytes);
    for (size_t i = 0; i < payload_bytes; i++)
      payload[i] = static_cast<uint8_t>((sequence + i) * 7 + (sequence + i) / 256);
    const auto offset = static_cast<uint8_t>((20 + options.size()) / 4 << 4);
    Bytes tcp = be16(from) + be16(443) + be16(sequence >> 16) + be16(sequence & 0xffff) +
                Bytes{0, 0, 0, 9, offset, flags, 0x10, 0, 0, 0, 0, 0} + options + payload;
    Bytes p = v6 ? ipv6(6, "fd02::1", tcp)
                 : ipv4(6, "10.2.0.1", tcp, {.flags_and_offset = df ? 0x4000u : 0});
    if (!v6) store_be16(&p[4], id);
    if (change) change(p);
    write_checksums(p, tcp_at());
    return p;
  }
  static void write_checksums(Bytes& p, size_t tcp_at) {
    if (p[0] >> 4 == 4) {
      store_be16(&p[10], 0);
      store_be16(&p[10], static_cast<uint16_t>(~ones_sum(p.data(), 4u * (p[0] & 15))));
    }
    store_be16(&p[tcp_at + 16], 0);
    const size_t bytes = p.size() - tcp_at;
    const uint32_t sum = p[0] >> 4 == 4 ? ones_sum(&p[12], 8) : ones_sum(&p[8], 32);
    store_be16(&p[tcp_at + 16], static_cast<uint16_t>(~ones_sum(&p[tcp_at], bytes,
                                                      sum + 6 + static_cast<uint32_t>(bytes))));
  }
  Tcp then(size_t bytes = 1000, uint8_t next_flags = kAck) const {
    Tcp next = *this;
    next.sequence += static_cast<uint32_t>(payload_bytes);
    next.id++;
    next.payload_bytes = bytes;
    next.flags = next_flags;
    return next;
  }
};

/// What the kernel is handed for one frame.
struct Written {
  OffloadHeader offload;
  Bytes bytes;
  uint64_t packets;
};

std::vector<Written> joined(std::vector<Bytes> burst) {
  SuperFrames frames;
  for (Bytes& p : burst) frames.add(p.data(), static_cast<uint32_t>(p.size()));
  std::vector<Written> all;
  for (uint32_t n = 0; n < frames.count(); n++) {
    Written written{.offload = {}, .bytes = {}, .packets = frames.packets(n)};
    iovec parts[SuperFrames::kMostPackets];
    const uint32_t count = frames.finish(n, written.offload, parts);
    REQUIRE(count <= SuperFrames::kMostPackets);
    for (uint32_t i = 0; i < count; i++) {
      const auto* part = static_cast<const uint8_t*>(parts[i].iov_base);
      written.bytes.insert(written.bytes.end(), part, part + parts[i].iov_len);
    }
    all.push_back(std::move(written));
  }
  return all;
}

std::vector<Bytes> cut(const Written& frame) {
  Segments segments;
  REQUIRE(segments.start(frame.bytes, frame.offload, Segments::Begin::kIp));
  std::vector<Bytes> packets;
  while (!segments.done()) {
    packets.emplace_back(segments.next_bytes());
    segments.next(packets.back().data());
  }
  return packets;
}

std::vector<uint64_t> places(const std::vector<Bytes>& burst) {
  std::vector<uint64_t> all;
  for (const Written& frame : joined(burst)) all.push_back(frame.packets);
  return all;
}

using Places = std::vector<uint64_t>;
const Places kJoined{0b11}, kApart{0b01, 0b10};

}  // namespace

TEST_CASE("segments that follow each other become a frame that says where to cut it") {
  for (const bool v6 : {false, true}) {
    CAPTURE(v6);
    const Tcp first{.v6 = v6};
    const Tcp last = first.then().then(400, kAck | kPsh);
    const std::vector<Bytes> burst{first.packet(), first.then().packet(), last.packet()};
    const auto frames = joined(burst);
    REQUIRE(frames.size() == 1);
    const auto& [offload, bytes, packets] = frames[0];
    CHECK(packets == 0b111);
    const size_t tcp_at = first.tcp_at(), payload_at = tcp_at + 32;
    // VIRTIO 1.2 §5.1.6.2: what to cut, and where the sum that is left out begins and goes.
    CHECK(offload.flags == 1);
    CHECK(offload.kind == (v6 ? 4 : 1));
    CHECK(offload.header_bytes == payload_at);
    CHECK(offload.segment_bytes == 1000);
    CHECK(offload.checksum_start == tcp_at);
    CHECK(offload.checksum_offset == 16);
    REQUIRE(bytes.size() == payload_at + 2400);
    // The first one's headers, but for lengths, sums and the flag that ends it.
    Bytes expected(burst[0].begin(), burst[0].begin() + static_cast<long>(payload_at));
    expected[tcp_at + 13] = kAck | kPsh;
    if (v6) {
      store_be16(&expected[4], static_cast<uint16_t>(32 + 2400));
    } else {
      store_be16(&expected[2], static_cast<uint16_t>(52 + 2400));
      store_be16(&expected[10], 0);
      store_be16(&expected[10], static_cast<uint16_t>(~ones_sum(expected.data(), 20)));
    }
    const uint32_t addresses = v6 ? ones_sum(&expected[8], 32) : ones_sum(&expected[12], 8);
    store_be16(&expected[tcp_at + 16],
               static_cast<uint16_t>(ones_sum(nullptr, 0, addresses + 6 + 32 + 2400)));
    CHECK(Bytes(bytes.begin(), bytes.begin() + static_cast<long>(payload_at)) == expected);
    CHECK(cut(frames[0]) == burst);
  }
}

TEST_CASE("one packet alone is written as it is, whatever it is") {
  for (const Bytes& p : {Tcp{}.packet(), Bytes{}, Bytes{0x45}, Bytes(20, 0x45), Bytes(40, 0x60)}) {
    const auto frames = joined({p});
    REQUIRE(frames.size() == 1);
    CHECK(frames[0].bytes == p);
    CHECK(frames[0].offload.kind == 0);
    CHECK(frames[0].offload.flags == 0);
  }
}

TEST_CASE("a segment of another kind is not joined") {
  const Tcp first;
  REQUIRE(places({first.packet(), first.then().packet()}) == kJoined);
  const auto apart = [](const Tcp& tcp, size_t at, uint8_t flip) {
    CAPTURE(at);
    const auto change = [&](Bytes& p) { p[at] ^= flip; };
    CHECK(places({tcp.packet(), tcp.then().packet(change)}) == kApart);
  };
  // TOS with CE, identification, reserved flag, TTL, source, destination; ports, sequence number,
  // acknowledgement, reserved bits, window, urgent pointer, timestamp.
  for (const size_t at : {1, 5, 8, 12, 19}) apart(first, at, 1);
  apart(first, 6, 0x80);
  for (const size_t at : {21, 23, 24, 27, 31, 32, 34, 39, 47, 51}) apart(first, at, 1);
  const Tcp over_v6{.v6 = true};
  // Traffic class, flow label, hop limit, source, destination; and ports.
  for (const size_t at : {1, 3, 7, 23, 39, 40, 43}) apart(over_v6, at, 1);
  for (const uint8_t flags : {kSyn, kRst, kUrg, kEce, kCwr}) {
    apart(first, 33, flags);
    const Tcp flagged{.flags = static_cast<uint8_t>(kAck | flags)};
    CHECK(places({flagged.packet(), flagged.then(1000, flagged.flags).packet()}) == kApart);
  }
  apart(first, 33, kAck);
  Tcp optionless = first.then();
  optionless.options = {};
  CHECK(places({first.packet(), optionless.packet()}) == kApart);
  CHECK(places({first.packet(), first.packet()}) == kApart);               // once more
  CHECK(places({first.then().packet(), first.packet()}) == kApart);        // in the wrong order
  CHECK(places({first.packet(), first.then().then().packet()}) == kApart); // one is missing
}

TEST_CASE("identifications count up, or are those of packets that are never cut") {
  const Tcp first{.df = true};
  Tcp next = first.then();
  next.id = 7;
  CHECK(places({first.packet(), next.packet()}) == kJoined);
  next.df = false;
  CHECK(places({first.packet(), next.packet()}) == kApart);
  CHECK(places({next.packet(), next.then().packet()}) == kJoined);
}

TEST_CASE("PSH, FIN, a short segment and a longer one end a frame") {
  const Tcp first;
  for (const uint8_t flag : {kPsh, kFin}) {
    const Tcp ends{.flags = static_cast<uint8_t>(kAck | flag)};
    CHECK(places({ends.packet(), ends.then().packet()}) == kApart);
    const Tcp second = first.then(1000, ends.flags);
    CHECK(places({first.packet(), second.packet(), second.then().packet()}) ==
          Places{0b011, 0b100});
  }
  const Tcp shorter = first.then(999);
  CHECK(places({first.packet(), shorter.packet(), shorter.then(999).packet()}) ==
        Places{0b011, 0b100});
  CHECK(places({first.packet(), first.then(1001).packet()}) == kApart);
  CHECK(places({first.packet(), first.then(0).packet()}) == kApart);
}

TEST_CASE("a segment whose checksum is wrong stays alone, and wrong") {
  const Tcp first;
  Bytes bad = first.packet();
  bad.back() ^= 1;
  CHECK(places({bad, first.then().packet()}) == kApart);
  bad = first.then().packet();
  bad.back() ^= 1;
  const auto frames = joined({first.packet(), bad});
  REQUIRE(frames.size() == 2);
  CHECK(frames[1].bytes == bad);
  CHECK(frames[1].offload.flags == 0);
}

TEST_CASE("packets of one flow keep their order, those of others go past") {
  const Tcp a, b{.from = 40001};
  const Bytes udp_packet = ipv4(17, "10.2.0.1", udp(53, {1, 2, 3}));
  CHECK(places({a.packet(), b.packet(), udp_packet, a.then().packet(), b.then().packet()}) ==
        Places{0b01001, 0b10010, 0b00100});
  // An acknowledgement between two segments stays there.
  CHECK(places({a.packet(), a.then(0).packet(), a.then().packet()}) == Places{1, 2, 4});
  // Whose flow cannot be read may be anybody's: a fragment, IPv4 options, IPv6 extension headers.
  const Bytes fragment = b.packet([](Bytes& p) { p[7] = 1; });
  Bytes options = ipv4(6, "10.2.0.1", Bytes(40, 0x50), {.options = {0, 0, 0, 0}});
  store_be16(&options[10], static_cast<uint16_t>(~ones_sum(options.data(), 24)));
  const Bytes extension = ipv6(0, "fd02::1", {6, 0, 1, 4, 0, 0, 0, 0});
  for (const Bytes& hidden : {fragment, options, extension})
    CHECK(places({a.packet(), hidden, a.then().packet()}) == Places{1, 2, 4});
}

TEST_CASE("a frame is at most as long as IPv4 can say") {
  std::vector<Bytes> burst;
  Tcp next{.payload_bytes = 1448};
  for (int i = 0; i < 64; i++, next = next.then(1448)) burst.push_back(next.packet());
  const auto frames = joined(burst);
  REQUIRE(frames.size() == 2);
  CHECK(frames[0].bytes.size() == 52 + 45 * 1448);  // one more would make 66,660
  CHECK(frames[1].bytes.size() == 52 + 19 * 1448);
}

TEST_CASE("whatever is joined, cutting gives the same packets in the order of their flows") {
  std::mt19937 random(7);
  const auto chance = [&](uint32_t in) { return random() % in == 0; };
  uint32_t fewer = 0;
  for (int round = 0; round < 500; round++) {
    CAPTURE(round);
    std::vector<Tcp> flows;
    for (uint16_t i = 0; i < 1 + random() % 4; i++)
      flows.push_back({.v6 = chance(2), .from = static_cast<uint16_t>(40000 + i), .df = chance(2)});
    std::vector<Bytes> burst;
    for (uint32_t n = 1 + random() % 64; n > 0; n--) {
      Tcp& flow = flows[random() % flows.size()];
      flow = flow.then(chance(8) ? random() % 1400 : 1000, chance(8) ? kAck | kPsh : kAck);
      Bytes p = flow.packet([&](Bytes& changed) {
        if (chance(16)) changed[random() % changed.size()] ^= static_cast<uint8_t>(random());
      });
      if (chance(16)) p[random() % p.size()] ^= static_cast<uint8_t>(random());
      if (chance(32)) p.resize(random() % p.size());
      burst.push_back(std::move(p));
    }
    const auto frames = joined(burst);
    fewer += static_cast<uint32_t>(burst.size() - frames.size());
    uint64_t seen = 0;
    std::map<uint16_t, int> last;  // place in the burst, by the flow's port
    for (const Written& frame : frames) {
      REQUIRE((seen & frame.packets) == 0);
      seen |= frame.packets;
      const auto packets = frame.offload.kind == 0 ? std::vector<Bytes>{frame.bytes} : cut(frame);
      size_t n = 0;
      for (int i = 0; i < 64; i++) {
        if (!(frame.packets >> i & 1)) continue;
        Bytes expected = burst[static_cast<size_t>(i)];
        REQUIRE(n < packets.size());
        Bytes got = packets[n++];
        // What an identification means nothing in is cut with another one.
        if (frame.offload.kind == OffloadHeader::kTcpV4 && (got[6] & 0x40)) {
          for (Bytes* p : {&expected, &got}) {
            store_be16(&(*p)[4], 0);
            Tcp::write_checksums(*p, 20);
          }
        }
        REQUIRE(got == expected);
        const size_t tcp_at = got.empty() || got[0] >> 4 == 4 ? 20 : 40;
        if (got.size() < tcp_at + 20) continue;
        int& before = last.try_emplace(load_be16(&got[tcp_at]), -1).first->second;
        CHECK(before < i);
        before = i;
      }
      REQUIRE(n == packets.size());
    }
    CHECK(seen == (burst.size() == 64 ? ~uint64_t{0} : (uint64_t{1} << burst.size()) - 1));
  }
  CHECK(fewer > 1000);
}
