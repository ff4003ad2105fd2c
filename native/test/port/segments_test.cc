// Completed checksums and cut super-frames. What comes out is checked as a receiver would: by
// verifying checksums, lengths and sequence numbers, and by putting the payload together again.
#include "port/segments.h"

#include <doctest/doctest.h>

#include "base/bytes.h"
#include "test/port/checksums.h"
#include "test/port/frames.h"

using namespace esplane::test;
using esplane::base::load_be16;
using esplane::base::load_be32;
using esplane::port::OffloadHeader;
using esplane::port::Segments;

namespace {

std::vector<Bytes> cut(const Bytes& frame, const OffloadHeader& offload) {
  Segments segments;
  REQUIRE(segments.start(frame, offload));
  std::vector<Bytes> packets;
  while (!segments.done()) {
    Bytes packet(segments.next_bytes());
    segments.next(packet.data());
    packets.push_back(std::move(packet));
    REQUIRE(packets.size() < 100);
  }
  return packets;
}

Bytes counting(size_t bytes) {
  Bytes data(bytes);
  for (size_t i = 0; i < bytes; i++) data[i] = static_cast<uint8_t>(i * 7 + i / 256);
  return data;
}

/// A TCP header with a timestamp option, sequence number 0xfffffc00, flags CWR, PSH, FIN, ACK.
Bytes tcp(const Bytes& payload) {
  return be16(40000) + be16(443) + Bytes{0xff, 0xff, 0xfc, 0x00} + Bytes{0, 0, 0, 9} +
         Bytes{0x80, 0x99, 0x10, 0x00, 0, 0, 0, 0} + Bytes{1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8} +
         payload;
}

void check_tcp(const std::vector<Bytes>& packets, const Bytes& payload, size_t ip_at, size_t mss) {
  REQUIRE(packets.size() == (payload.size() + mss - 1) / mss);
  Bytes together;
  for (size_t i = 0; i < packets.size(); i++) {
    CAPTURE(i);
    const uint8_t* ip = &packets[i][ip_at];
    const bool v4 = ip[0] >> 4 == 4;
    const size_t bytes = packets[i].size() - ip_at, header = v4 ? 20 : 40;
    CHECK((v4 ? load_be16(ip + 2) : load_be16(ip + 4) + 40u) == bytes);
    if (v4) {
      CHECK(ones_sum(ip, 20) == 0xffff);
      CHECK(load_be16(ip + 4) == i);  // identification
    }
    CHECK(upper_checksum_holds(ip, bytes));
    const uint8_t* t = ip + header;
    CHECK(load_be32(t + 4) == static_cast<uint32_t>(0xfffffc00 + i * mss));
    const bool last = i + 1 == packets.size();
    CHECK(t[13] == (0x10 | (i == 0 ? 0x80 : 0) | (last ? 0x09 : 0)));
    together = together + Bytes(t + 32, ip + bytes);
  }
  CHECK(together == payload);
}

}  // namespace

TEST_CASE("a TCP super-frame over IPv4 is cut into packets that a receiver accepts") {
  const Bytes payload = counting(10000);
  const Bytes frame = ethernet(0x0800, ipv4(6, "10.2.0.1", tcp(payload)));
  const OffloadHeader offload{.flags = OffloadHeader::kNeedsChecksum,
                              .kind = OffloadHeader::kTcpV4 | OffloadHeader::kEcn,
                              .header_bytes = 66,
                              .segment_bytes = 1448,
                              .checksum_start = 34,
                              .checksum_offset = 16};
  check_tcp(cut(frame, offload), payload, 14, 1448);
}

TEST_CASE("a TCP super-frame over IPv6 is cut") {
  const Bytes payload = counting(2896);
  const Bytes frame = ethernet(0x86dd, ipv6(6, "fd02::1", tcp(payload)));
  check_tcp(cut(frame, {.kind = OffloadHeader::kTcpV6, .segment_bytes = 1428}), payload, 14, 1428);
}

TEST_CASE("a UDP super-frame becomes datagrams of its segment size") {
  const Bytes payload = counting(2500);
  const Bytes frame = ethernet(0x0800, ipv4(17, "10.2.0.1", udp(443, payload)));
  const auto packets = cut(frame, {.kind = OffloadHeader::kUdp, .segment_bytes = 1200});
  REQUIRE(packets.size() == 3);
  Bytes together;
  for (const Bytes& packet : packets) {
    CHECK(load_be16(&packet[38]) == packet.size() - 34);
    CHECK(upper_checksum_holds(&packet[14], packet.size() - 14));
    together = together + Bytes(packet.begin() + 42, packet.end());
  }
  CHECK(together == payload);
}

TEST_CASE("a partial checksum is completed, a complete one left alone") {
  Bytes frame = ethernet(0x0800, ipv4(17, "10.2.0.1", udp(53, counting(33))));
  const OffloadHeader needs{.flags = OffloadHeader::kNeedsChecksum,
                            .checksum_start = 34,
                            .checksum_offset = 6};
  // As a local stack leaves it: the sum over the pseudo-header, not complemented.
  uint32_t pseudo = ones_sum(&frame[26], 8, 17 + 41);
  frame[40] = static_cast<uint8_t>(pseudo >> 8);
  frame[41] = static_cast<uint8_t>(pseudo);
  CHECK_FALSE(upper_checksum_holds(&frame[14], frame.size() - 14));
  const auto completed = cut(frame, needs);
  REQUIRE(completed.size() == 1);
  CHECK(upper_checksum_holds(&completed[0][14], frame.size() - 14));
  CHECK(cut(completed[0], {}) == completed);
}

TEST_CASE("super-frames of other kinds or with broken headers are refused") {
  const Bytes good = ethernet(0x0800, ipv4(6, "10.2.0.1", tcp(counting(3000))));
  const auto refuses = [](const Bytes& frame, const OffloadHeader& offload) {
    return !Segments().start(frame, offload);
  };
  CHECK_FALSE(refuses(good, {.kind = OffloadHeader::kTcpV4, .segment_bytes = 1000}));
  CHECK(refuses(good, {.kind = 3, .segment_bytes = 1000}));
  CHECK(refuses(good, {.kind = OffloadHeader::kTcpV4, .segment_bytes = 0}));
  CHECK(refuses(Bytes(13, 0), {}));
  CHECK(refuses(good, {.flags = 1, .checksum_start = 3000, .checksum_offset = 65000}));
  Bytes bad = good;
  bad[34 + 12] = 0x40;  // a TCP header of four words
  CHECK(refuses(bad, {.kind = OffloadHeader::kTcpV4, .segment_bytes = 1000}));
  bad = good;
  bad[23] = 132;
  CHECK(refuses(bad, {.kind = OffloadHeader::kTcpV4, .segment_bytes = 1000}));
  for (size_t bytes = 14; bytes < 86; bytes++) {
    const Bytes part(good.begin(), good.begin() + static_cast<long>(bytes));
    Segments segments;
    if (!segments.start(part, {.kind = OffloadHeader::kTcpV4, .segment_bytes = 1000})) continue;
    CHECK(bytes >= 66);
  }
}
