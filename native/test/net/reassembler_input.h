// Untrusted bytes for the reassembler: shared by its fuzzer and its unit test.
#pragma once

#include <cstdint>
#include <vector>

#include "base/bytes.h"
#include "net/reassembler.h"
#include "packet/ip.h"

namespace esplane::test {

/// Reads `bytes` as a list of packets, each behind its length in two bytes, and gives those that
/// are fragments to a small reassembler. What comes out whole is parsed again.
/// @return false if a limit or an account was broken
inline bool feed_reassembler(const uint8_t* data, size_t bytes) {
  const net::Reassembler::Limits limits{.datagrams = 8, .fragments = 16, .fragments_each = 6,
                                        .source_datagrams = 4, .source_fragments = 10,
                                        .timeout_ms = 20};
  net::Reassembler reassembler(7, 2048, limits);
  uint64_t given = 0, ended = 0;
  uint32_t now_ms = 0;
  while (bytes >= 2) {
    const uint32_t claimed = base::load_be16(data) % 2049;
    data += 2;
    bytes -= 2;
    const auto length = static_cast<uint32_t>(std::min<size_t>(claimed, bytes));
    // A copy of its own, so that a read behind it is seen.
    const std::vector<uint8_t> packet(data, data + length);
    data += length;
    bytes -= length;
    packet::IpHeader header;
    if (packet::parse_ip(packet.data(), length, header) != packet::Verdict::kPending) continue;
    if (!header.is_fragment()) continue;
    given++;
    ended += reassembler.expire(now_ms++);
    const auto result = reassembler.add(packet.data(), header, now_ms);
    ended += result.others + result.evicted + (result.state != net::Reassembler::State::kHeld);
    if (result.state == net::Reassembler::State::kComplete) {
      std::vector<uint8_t> out(result.bytes);
      reassembler.take(out.data());
      packet::IpHeader again;
      (void)packet::parse_ip(out.data(), result.bytes, again);
    }
    if (reassembler.held() > limits.fragments || reassembler.datagrams() > limits.datagrams)
      return false;
    if (given != ended + reassembler.held()) return false;
  }
  ended += reassembler.clear();
  return given == ended && reassembler.held() == 0 && reassembler.datagrams() == 0;
}

}  // namespace esplane::test
