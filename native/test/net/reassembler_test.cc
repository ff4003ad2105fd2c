// Reassembly: every order, every lie, every limit, with the count of what became of each fragment.
#include "net/reassembler.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <numeric>
#include <random>
#include <string>

#include "test/net/fragments.h"
#include "test/net/reassembler_input.h"

namespace {

using namespace esplane;
using namespace esplane::test;
using net::Reassembler;
using packet::Verdict;
using State = Reassembler::State;

const DatagramFields kV4{};
const DatagramFields kV6{.source = "2001:db8::2", .destination = "2001:db8::1", .id = 0xdeadbeef};

/// A reassembler, and what became of the fragments that it was given.
struct Table {
  explicit Table(const Reassembler::Limits& limits = {}) : reassembler(42, 2048, limits) {}

  /// @return the datagram that this fragment completed, or nothing
  Bytes add(const Bytes& packet) {
    packet::IpHeader header;
    REQUIRE(packet::parse_ip(packet.data(), static_cast<uint32_t>(packet.size()), header) ==
            Verdict::kPending);
    REQUIRE(header.is_fragment());
    const auto result = reassembler.add(packet.data(), header, now_ms);
    count(Verdict::kFragmentEvicted, result.evicted);
    if (result.state == State::kRefused) count(result.verdict, result.others + 1);
    if (result.state != State::kComplete) return {};
    count(Verdict::kFragmentReassembled, result.others + 1);
    Bytes out(result.bytes);
    reassembler.take(out.data());
    return out;
  }
  Bytes add(const std::vector<Bytes>& packets) {
    Bytes last;
    for (const auto& p : packets) {
      CHECK(last.empty());
      last = add(p);
    }
    return last;
  }
  void pass(uint32_t ms) {
    now_ms += ms;
    count(Verdict::kFragmentTimeout, reassembler.expire(now_ms));
  }
  void count(Verdict v, uint32_t n) {
    if (n > 0) ended[packet::kVerdicts[static_cast<uint32_t>(v)].name] += n;
  }

  using Counts = std::map<std::string, uint32_t>;
  Reassembler reassembler;
  uint32_t now_ms = 5'000'000;
  Counts ended;
};
using Counts = Table::Counts;

template <typename T>
std::vector<T> reversed(std::vector<T> v) {
  std::reverse(v.begin(), v.end());
  return v;
}

}  // namespace

TEST_CASE("fragments make their datagram again, in order and reversed") {
  for (const auto& f : {kV4, kV6}) {
    const Bytes data = pattern(3000);
    const auto pieces = fragments(f, data, {1480, 2960});
    for (const auto& order : {pieces, reversed(pieces)}) {
      Table table;
      CHECK(table.add(order) == whole(f, data));
      CHECK(table.ended == Counts{{"fragment_reassembled", 3}});
      CHECK(table.reassembler.held() == 0);
      CHECK(table.reassembler.datagrams() == 0);
    }
  }
}

TEST_CASE("a thousand datagrams cut, shuffled and interleaved at random all come out whole") {
  std::mt19937 random(815);
  Table table({.source_datagrams = 256, .source_fragments = 1024});
  uint32_t whole_ones = 0, pieces_given = 0;
  for (uint32_t round = 0; round < 50; round++) {
    std::vector<Bytes> wire;
    std::vector<Bytes> expected;
    for (uint32_t n = 0; n < 20; n++) {
      DatagramFields f = n % 2 ? kV4 : kV6;
      f.id = round << 8 | n;
      f.protocol = n % 3 ? packet::kEsp : packet::kUdp;
      const Bytes data = pattern(64 + random() % 20'000, n);
      std::vector<uint32_t> cuts;
      for (uint32_t at = 0;;) {
        at += 8 * (1 + static_cast<uint32_t>(random() % 180));
        if (at >= data.size() || cuts.size() == 63) break;
        if (data.size() - at > 1900 && cuts.size() > 50) continue;
        cuts.push_back(at);
      }
      if (cuts.empty()) cuts.push_back(8);
      auto pieces = fragments(f, data, cuts);
      if (std::any_of(pieces.begin(), pieces.end(), [](auto& p) { return p.size() > 2000; })) continue;
      if (pieces.size() > 40) continue;  // 20 of them fit the table
      wire.insert(wire.end(), pieces.begin(), pieces.end());
      expected.push_back(whole(f, data));
    }
    std::shuffle(wire.begin(), wire.end(), random);
    std::vector<Bytes> got;
    for (const auto& p : wire) {
      if (auto out = table.add(p); !out.empty()) got.push_back(out);
    }
    pieces_given += static_cast<uint32_t>(wire.size());
    whole_ones += static_cast<uint32_t>(got.size());
    std::sort(got.begin(), got.end());
    std::sort(expected.begin(), expected.end());
    CHECK(got == expected);
  }
  CHECK(whole_ones > 500);
  CHECK(table.ended == Counts{{"fragment_reassembled", pieces_given}});
}

TEST_CASE("an exact duplicate is dropped alone (RFC 8200 §4.5)") {
  for (const auto& f : {kV4, kV6}) {
    const Bytes data = pattern(2000);
    const auto pieces = fragments(f, data, {800, 1600});
    Table table;
    CHECK(table.add({pieces[0], pieces[0], pieces[2], pieces[2], pieces[1]}) == whole(f, data));
    CHECK(table.ended == Counts{{"fragment_duplicate", 2}, {"fragment_reassembled", 3}});
  }
}

TEST_CASE("overlapping fragments discard the datagram, what is still to come too (RFC 5722)") {
  const Bytes data = pattern(2400);
  const auto part = [&](uint32_t from, uint32_t to, bool more) {
    return fragment(kV4, Bytes(data.begin() + from, data.begin() + to), from, more);
  };
  Table table;
  SUBCASE("the tail of the one before") {
    table.add({part(0, 800, true), part(792, 1600, true), part(1600, 2400, false)});
  }
  SUBCASE("the head of the one behind") {
    table.add({part(800, 1600, true), part(0, 808, true), part(1600, 2400, false)});
  }
  SUBCASE("teardrop: inside of another") {
    table.add({part(0, 1600, true), part(80, 160, false), part(1600, 2400, false)});
  }
  SUBCASE("around another") {
    table.add({part(80, 160, true), part(0, 1600, true), part(1600, 2400, false)});
  }
  SUBCASE("the same place, other bytes") {
    table.add({part(0, 800, true), fragment(kV4, pattern(800, 9), 0, true),
               part(800, 2400, false)});
  }
  CHECK(table.ended == Counts{{"fragment_overlap", 3}});
  CHECK(table.reassembler.held() == 0);
  // Until its time is over nothing of this datagram is believed; then the number is free again.
  CHECK(table.add(part(0, 800, true)).empty());
  CHECK(table.ended == Counts{{"fragment_overlap", 4}});
  table.pass(30'000);
  CHECK(table.add(fragments(kV4, data, {1200})) == whole(kV4, data));
}

TEST_CASE("two ends, and data behind the end, are contradictions") {
  const Bytes data = pattern(2400);
  const auto part = [&](uint32_t from, uint32_t to, bool more) {
    return fragment(kV6, Bytes(data.begin() + from, data.begin() + to), from, more);
  };
  for (const auto& pair : {std::vector{part(800, 1600, false), part(1600, 2400, false)},
                           std::vector{part(800, 1600, false), part(1600, 2400, true)},
                           std::vector{part(1600, 2400, true), part(800, 1600, false)},
                           std::vector{part(800, 1600, false), part(800, 1600, true)}}) {
    Table table;
    table.add(pair);
    CHECK(table.ended == Counts{{"fragment_overlap", 2}});
  }
}

TEST_CASE("a datagram that stays incomplete is given up after thirty seconds, not before") {
  Table table;
  const auto pieces = fragments(kV4, pattern(3000), {1000, 2000});
  table.add(pieces[0]);
  table.pass(20'000);
  table.add(pieces[2]);  // does not prolong it (RFC 791 §3.2)
  table.pass(9'999);
  CHECK(table.reassembler.held() == 2);
  table.pass(1);
  CHECK(table.ended == Counts{{"fragment_timeout", 2}});
  CHECK(table.add(pieces[1]).empty());
  CHECK(table.reassembler.held() == 1);
}

TEST_CASE("the time counts on where the clock wraps") {
  Table table;
  table.now_ms = 0xffff'fff0;
  table.add(fragments(kV4, pattern(100), {48})[0]);
  table.pass(29'999);
  CHECK(table.reassembler.held() == 1);
  table.pass(1);
  CHECK(table.reassembler.held() == 0);
}

TEST_CASE("what cannot be a fragment is refused alone") {
  Table table;
  SUBCASE("more to come, and no multiple of eight") {
    table.add(fragment(kV4, pattern(1001), 0, true));
    table.add(fragment(kV6, pattern(1001), 0, true));
  }
  SUBCASE("no data") {
    table.add(fragment(kV4, {}, 800, false));
    table.add(fragment(kV6, {}, 800, true));
  }
  SUBCASE("beyond the longest packet there is") {
    table.add(fragment(kV4, pattern(1480), 65'528, false));
    table.add(fragment(kV6, pattern(1232), 65'528, false));
  }
  CHECK(table.ended == Counts{{"fragment_invalid", 2}});
  CHECK(table.reassembler.datagrams() == 0);
}

TEST_CASE("the longest datagrams there are, and one byte more") {
  for (const uint32_t over : {0u, 1u}) {
    CAPTURE(over);
    for (const auto& f : {kV4, kV6}) {
      const Bytes data = pattern((is_v6(f) ? 65'535u : 65'515u) + over);
      std::vector<uint32_t> cuts;
      for (uint32_t at = 1480; at < data.size(); at += 1480) cuts.push_back(at);
      Table table;
      Bytes out;
      for (const auto& p : fragments(f, data, cuts)) out = table.add(p);
      if (over == 0) {
        CHECK(out == whole(f, data));
      } else {
        CHECK(out.empty());
        CHECK(table.ended == Counts{{"fragment_invalid", 1}});
      }
    }
  }
}

TEST_CASE("headers that only the first fragment has can make a datagram too long") {
  DatagramFields with_options = kV4;
  with_options.ipv4_options = Bytes(8, 1);
  const Bytes data = pattern(65'515);
  Table table;
  Bytes out;
  for (uint32_t at = 0; at < data.size(); at += 1480) {
    const auto to = std::min<size_t>(data.size(), at + 1480);
    out = table.add(fragment(at == 0 ? with_options : kV4,
                             Bytes(data.begin() + at, data.begin() + to), at, to < data.size()));
  }
  CHECK(out.empty());
  CHECK(table.ended == Counts{{"fragment_invalid", 45}});
}

TEST_CASE("headers come from the first fragment, whichever arrives first") {
  const Bytes data = pattern(2000);
  DatagramFields first = kV4, later = kV4;
  first.ipv4_options = {7, 7, 4, 0, 0, 0, 0, 0};  // record route: not copied into fragments
  first.ttl = 61;
  later.ttl = 7;
  Table table;
  CHECK(table.add({fragment(later, Bytes(data.begin() + 1000, data.end()), 1000, false),
                   fragment(first, Bytes(data.begin(), data.begin() + 1000), 0, true)}) ==
        whole(first, data));
}

TEST_CASE("Don't Fragment in fragments stays in the datagram") {
  const Bytes data = pattern(1000);
  Table table;
  CHECK(table
            .add({ipv4_packet(kV4, Bytes(data.begin(), data.begin() + 800), 0x6000),
                  ipv4_packet(kV4, Bytes(data.begin() + 800, data.end()), 0x4000 | 100)}) ==
        whole(kV4, data, packet::kIpv4DontFragment));
}

TEST_CASE("the Fragment header goes, extension headers before it stay (RFC 8200 §4.5)") {
  DatagramFields f = kV6;
  f.ipv6_extensions = {0, 1, 1, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0};
  f.first_extension = packet::kHopByHop;
  const Bytes data = pattern(1000);
  Table table;
  CHECK(table.add(reversed(fragments(f, data, {400, 800}))) == whole(f, data));
}

TEST_CASE("addresses, identification and the protocol of IPv4 tell datagrams apart") {
  const Bytes data = pattern(1000);
  const auto tail = fragments(kV4, data, {800})[1];
  for (int what = 0; what < 4; what++) {
    DatagramFields other = kV4;
    if (what == 0) other.id++;
    if (what == 1) other.protocol = packet::kAh;
    if (what == 2) other.source = "192.0.2.3";
    if (what == 3) other.destination = "192.0.2.4";
    Table table;
    CHECK(table.add({fragments(other, data, {800})[0], tail}).empty());
    CHECK(table.reassembler.datagrams() == 2);
  }
  // IPv6 has one number space for all protocols, and the first fragment says which it is.
  DatagramFields other = kV6;
  other.protocol = packet::kDestinationOptions;
  Table table;
  CHECK(table.add({fragments(other, data, {800})[1], fragments(kV6, data, {800})[0]}) ==
        whole(kV6, data));
}

TEST_CASE("congestion marks of fragments are merged (RFC 3168 §5.3)") {
  const auto reassembled = [](const DatagramFields& base_fields, std::vector<uint8_t> marks) {
    const Bytes data = pattern(8 * marks.size());
    Table table;
    Bytes out;
    for (uint32_t i = 0; i < marks.size(); i++) {
      DatagramFields f = base_fields;
      f.tos = static_cast<uint8_t>(0xb8 | marks[i]);
      out = table.add(fragment(f, Bytes(data.begin() + 8 * i, data.begin() + 8 * i + 8), 8 * i,
                               i + 1 < marks.size()));
    }
    DatagramFields expected = base_fields;
    expected.tos = static_cast<uint8_t>(0xb8 | *std::max_element(marks.begin(), marks.end()));
    if (out == whole(expected, data)) return std::string("highest mark");
    CHECK(table.ended == Counts{{"fragment_invalid", static_cast<uint32_t>(marks.size())}});
    return out.empty() ? std::string("dropped") : std::string("wrong");
  };
  for (const auto& f : {kV4, kV6}) {
    CHECK(reassembled(f, {0, 0}) == "highest mark");
    CHECK(reassembled(f, {2, 3, 2}) == "highest mark");
    CHECK(reassembled(f, {3, 2}) == "highest mark");
    CHECK(reassembled(f, {1, 3}) == "highest mark");
    CHECK(reassembled(f, {0, 3}) == "dropped");
    CHECK(reassembled(f, {3, 0, 2}) == "dropped");
  }
}

TEST_CASE("no datagram holds more fragments than it may") {
  Table table;
  for (uint32_t i = 0; i < 64; i++) table.add(fragment(kV4, pattern(8), 8 * i, true));
  CHECK(table.reassembler.held() == 64);
  table.add(fragment(kV4, pattern(8), 8 * 64, true));
  CHECK(table.ended == Counts{{"fragment_limit", 65}});
  table.add(fragment(kV4, pattern(8), 8 * 65, false));
  CHECK(table.ended == Counts{{"fragment_limit", 66}});
  CHECK(table.reassembler.held() == 0);
}

TEST_CASE("a flood of fragments evicts the oldest, and honest datagrams still come through") {
  Table table;
  std::vector<std::string> sources;
  for (int i = 0; i < 5000; i++)
    sources.push_back("198.18." + std::to_string(i / 250) + "." + std::to_string(i % 250 + 1));
  const Bytes data = pattern(2000);
  uint32_t whole_ones = 0;
  for (uint32_t i = 0; i < 5000; i++) {
    DatagramFields f = kV4;
    f.source = sources[i].c_str();
    table.add(fragment(f, pattern(16), 800, true));
    if (i % 50 != 0) continue;
    DatagramFields honest = kV4;
    honest.id = i;
    const auto pieces = fragments(honest, data, {1200});
    table.add(pieces[0]);
    table.add(fragment(f, pattern(16), 1600, true));
    if (table.add(pieces[1]) == whole(honest, data)) whole_ones++;
  }
  CHECK(whole_ones == 100);
  CHECK(table.reassembler.datagrams() == 256);
  CHECK(table.ended["fragment_reassembled"] == 200);
  CHECK(table.ended["fragment_evicted"] + table.reassembler.held() == 5100);
  CHECK(table.reassembler.held() <= 1024);
}

TEST_CASE("one source displaces only itself") {
  Table table;
  DatagramFields honest = kV4;
  honest.source = "203.0.113.9";
  const Bytes data = pattern(2000);
  const auto pieces = fragments(honest, data, {1200});
  table.add(pieces[0]);
  SUBCASE("with datagrams") {
    for (uint32_t id = 0; id < 1000; id++) {
      DatagramFields f = kV4;
      f.id = id;
      table.add(fragment(f, pattern(8), 800, true));
    }
    CHECK(table.reassembler.datagrams() == 65);
    CHECK(table.ended == Counts{{"fragment_evicted", 1000 - 64}});
  }
  SUBCASE("with fragments") {
    for (uint32_t id = 0; id < 10; id++) {
      DatagramFields f = kV4;
      f.id = id;
      for (uint32_t i = 0; i < 60; i++) table.add(fragment(f, pattern(8), 16 * i, true));
    }
    CHECK(table.reassembler.held() <= 257);
    CHECK(table.ended["fragment_evicted"] + table.reassembler.held() == 601);
  }
  SUBCASE("with addresses of its /64") {
    for (uint32_t i = 0; i < 1000; i++) {
      DatagramFields f = kV6;
      const std::string source = "2001:db8::" + std::to_string(i + 10);
      f.source = source.c_str();
      table.add(fragment(f, pattern(8), 800, true));
    }
    CHECK(table.reassembler.datagrams() == 65);
  }
  CHECK(table.add(pieces[1]) == whole(honest, data));
}

TEST_CASE("two sources fill the table of fragments, and the oldest gives way") {
  Table table({.datagrams = 8, .fragments = 4, .fragments_each = 4, .source_datagrams = 8,
               .source_fragments = 4});
  DatagramFields second = kV4;
  second.id++;
  table.add(fragment(kV4, pattern(8), 0, true));
  table.add(fragment(kV4, pattern(8), 8, true));
  table.add(fragment(second, pattern(8), 0, true));
  table.add(fragment(second, pattern(8), 8, true));
  CHECK(table.ended.empty());
  table.add(fragment(second, pattern(8), 16, true));
  CHECK(table.ended == Counts{{"fragment_evicted", 2}});
  table.add(fragment(second, pattern(8), 24, true));
  CHECK(table.reassembler.held() == 4);
  // Nobody but itself could give way.
  table.add(fragment(second, pattern(8), 32, true));
  CHECK(table.ended == Counts{{"fragment_evicted", 2}, {"fragment_limit", 5}});
}

TEST_CASE("random and mutated packets keep the limits and the accounts") {
  std::mt19937 random(5722);
  std::vector<Bytes> seeds;
  for (const auto& f : {kV4, kV6}) {
    for (const auto& p : fragments(f, pattern(200), {64, 128})) seeds.push_back(p);
  }
  for (int round = 0; round < 3000; round++) {
    Bytes input;
    for (auto n = 1 + random() % 40; n > 0; n--) {
      Bytes p = seeds[random() % seeds.size()];
      const bool is_v4 = p[0] >> 4 == 4;
      for (auto k = random() % 4; k > 0; k--) {
        // Mostly identification, offset and addresses: what makes fragments meet.
        const size_t at = random() % 3 ? (is_v4 ? 4 + random() % 10 : 40 + random() % 8)
                                       : random() % p.size();
        p[at] = random() % 2 ? static_cast<uint8_t>(random() % 4) : static_cast<uint8_t>(random());
      }
      if (random() % 16 == 0) p.resize(random() % p.size());
      if (is_v4 && p.size() >= 20) {
        base::store_be16(&p[10], 0);
        base::store_be16(&p[10], packet::internet_checksum(p.data(), 20));
      }
      input.push_back(static_cast<uint8_t>(p.size() >> 8));
      input.push_back(static_cast<uint8_t>(p.size()));
      input.insert(input.end(), p.begin(), p.end());
    }
    REQUIRE(feed_reassembler(input.data(), input.size()));
  }
}
