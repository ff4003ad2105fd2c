// Fragments put together again, as their receiver would.
#pragma once

#include <doctest/doctest.h>

#include "net/reassembler.h"
#include "test/net/fragments.h"

namespace esplane::test {

/// The last datagram that the pieces complete, or nothing.
inline Bytes joined(const std::vector<Bytes>& pieces) {
  net::Reassembler reassembler(1, 4096);
  Bytes out;
  for (const auto& p : pieces) {
    packet::IpHeader header;
    REQUIRE(packet::parse_ip(p.data(), static_cast<uint32_t>(p.size()), header) ==
            packet::Verdict::kPending);
    const auto result = reassembler.add(p.data(), header, 0);
    if (result.state != net::Reassembler::State::kComplete) continue;
    out.resize(result.bytes);
    reassembler.take(out.data());
  }
  return out;
}

}  // namespace esplane::test
