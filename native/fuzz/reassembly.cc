// Fragments. First as they come, by the test that native/test shares with us; then well-formed ones
// of a few datagrams in any order and overlap, whose bytes tell where they belong: what comes out
// whole must be right, and nothing may come out that was not all there.
//
// Input, by its first byte: even, packets behind their lengths (two bytes); odd, six bytes for each
// fragment (datagram, offset, length, flags).
#include <bitset>
#include <set>

#include "fuzz/input.h"
#include "net/reassembler.h"
#include "test/net/fragments.h"
#include "test/net/reassembler_input.h"

namespace esplane {
namespace {

constexpr uint32_t kDatagrams = 4;
constexpr uint32_t kMostBytes = 65536;
constexpr uint32_t kMostFragments = 48;  // of an input: more only make it slow

/// The byte at a place of a datagram.
uint8_t byte_at(uint32_t datagram, uint32_t place) {
  return static_cast<uint8_t>(place * 7 + (place >> 8) * 3 + datagram * 91);
}

/// What was sent of one datagram since it was last whole.
struct Sent {
  std::bitset<kMostBytes> covered;
  std::set<uint32_t> ends;
};

test::DatagramFields fields_of(uint32_t datagram) {
  test::DatagramFields f{.id = 0x100 + datagram};
  if (datagram % 2 == 1) {
    f.source = "2001:db8::2";
    f.destination = "2001:db8::1";
  }
  return f;
}

std::vector<uint8_t> payload(uint32_t datagram, uint32_t offset, uint32_t bytes) {
  std::vector<uint8_t> data(bytes);
  for (uint32_t i = 0; i < bytes; i++) data[i] = byte_at(datagram, offset + i);
  return data;
}

void check_whole(net::Reassembler& reassembler, uint32_t bytes, uint32_t datagram,
                 const Sent& sent) {
  std::vector<uint8_t> out(bytes);
  reassembler.take(out.data());
  packet::IpHeader h;
  FUZZ_CHECK(packet::parse_ip(out.data(), bytes, h) == packet::Verdict::kPending);
  FUZZ_CHECK(h.total_bytes == bytes && !h.is_fragment() && h.protocol == packet::kEsp);
  const uint32_t length = bytes - h.header_bytes;
  FUZZ_CHECK(sent.ends.contains(length));
  for (uint32_t place = 0; place < length; place++) {
    FUZZ_CHECK(sent.covered[place]);
    FUZZ_CHECK(out[h.header_bytes + place] == byte_at(datagram, place));
  }
}

void feed_well_formed(fuzz::Input& input) {
  net::Reassembler reassembler(7, 2048, {.datagrams = 8, .fragments = 32, .fragments_each = 16});
  static Sent sent[kDatagrams];
  for (Sent& s : sent) s = {};
  uint32_t now_ms = 0;
  for (uint32_t n = 0; n < kMostFragments && input.left() >= 6; n++) {
    const uint32_t datagram = input.byte() % kDatagrams;
    const uint32_t offset = input.u16() & ~7u;
    const uint8_t flags = input.byte();
    const bool more = flags & 1;
    uint32_t length = 1 + input.u16() % 1400;
    if (more) length = (length + 7) & ~7u;
    if (offset + length > 65000) continue;
    const auto packet = test::fragment(fields_of(datagram), payload(datagram, offset, length),
                                       offset, more);
    packet::IpHeader header;
    FUZZ_CHECK(packet::parse_ip(packet.data(), static_cast<uint32_t>(packet.size()), header) ==
               packet::Verdict::kPending);
    if (!header.is_fragment()) continue;
    if (flags & 2) now_ms += 1000;
    reassembler.expire(now_ms);
    Sent& s = sent[datagram];
    for (uint32_t place = offset; place < offset + length; place++) s.covered.set(place);
    if (!more) s.ends.insert(offset + length);
    const auto result = reassembler.add(packet.data(), header, now_ms);
    if (result.state != net::Reassembler::State::kComplete) continue;
    check_whole(reassembler, result.bytes, datagram, s);
    s = {};
  }
  reassembler.clear();
  FUZZ_CHECK(reassembler.held() == 0 && reassembler.datagrams() == 0);
}

/// The same bytes with IPv4 checksums that hold.
std::vector<uint8_t> repaired(fuzz::Input& input) {
  std::vector<uint8_t> all;
  while (input.left() >= 2) {
    const uint16_t length = input.u16();
    std::vector<uint8_t> packet = input.bytes(length % 2049);
    fuzz::repair_ipv4_checksum(packet);
    all.push_back(static_cast<uint8_t>(length >> 8));
    all.push_back(static_cast<uint8_t>(length));
    all.insert(all.end(), packet.begin(), packet.end());
  }
  return all;
}

}  // namespace
}  // namespace esplane

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t bytes) {
  using namespace esplane;
  fuzz::Input input(data, bytes);
  if (input.byte() & 1) {
    feed_well_formed(input);
  } else {
    const auto packets = repaired(input);
    FUZZ_CHECK(test::feed_reassembler(packets.data(), packets.size()));
  }
  return 0;
}
