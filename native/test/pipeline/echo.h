// A gateway that reads its own packets, cut into fragments on their way and put together again.
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "esp/outbound.h"
#include "net/fragmenter.h"
#include "packet/checksum.h"
#include "test/net/fragments.h"
#include "test/net/joined.h"
#include "test/pipeline/rig.h"

namespace esplane::test {

using Counts = std::map<std::string, uint64_t>;

/// A gateway with one tunnel whose peer has the same keys, so that it can read its own packets.
struct Echo : Rig {
  uint32_t spi;
  const bool v6;
  std::unique_ptr<sad::OutboundSa> peer;  ///< with numbers of its own

  struct Options {
    bool udp = false;
    bool ah = false;
    bool outer_v6 = false;
    bool fragment_after = false;
    bool clamp_mss = true;
    sad::Tfc tfc = {};
    sad::LifetimeLimits lifetime = {};
    sad::OuterPolicy::DontFragment df = sad::OuterPolicy::DontFragment::kCopy;
    std::vector<packet::Selector> selectors = everyone();  ///< of either side, entry and SA
    std::vector<spd::Entry> before = {};                   ///< entries before the tunnel's
  };

  static std::vector<packet::Selector> everyone() {
    return {range("10.0.0.0", "10.255.255.255"), range("2001:db8:a::", "2001:db8:a:ffff::")};
  }

  explicit Echo(bool udp = false, bool outer_v6 = false)
      : Echo(Options{.udp = udp, .outer_v6 = outer_v6}) {}
  explicit Echo(const Options& options) : v6(options.outer_v6) {
    static constexpr uint8_t kKey[20] = {9}, kAhKey[32] = {9};
    auto out = entry(spd::Direction::kOutbound);
    out.local = out.remote = options.selectors;
    auto entries = options.before;
    entries.push_back(out);
    spd.set(entries);
    networks.local_addresses.push_back(address("2001:db8::1"));
    sad::SaParameters p;
    p.inbound_spi = p.outbound_spi = spi = sad.allocate_spi();
    p.local = address(v6 ? "2001:db8::1" : "192.0.2.1");
    p.remote = address(v6 ? "2001:db8::2" : "192.0.2.2");
    p.udp_encapsulation = options.udp;
    p.fragment_after = options.fragment_after;
    p.clamp_mss = options.clamp_mss;
    p.tfc = options.tfc;
    p.lifetime = options.lifetime;
    p.outer.dont_fragment = options.df;
    p.inbound_key = p.outbound_key = kKey;
    p.local_selectors = p.remote_selectors = options.selectors;
    if (options.ah) {
      p.protocol = sad::Protocol::kAh;
      p.encryption = p.key_bits = 0;
      p.integrity = crypto::kAuthHmacSha2_256_128;
      p.inbound_key = p.outbound_key = kAhKey;
    }
    spd.attach("tunnel", sad.install(p), p.local_selectors, p.remote_selectors);
    sad.set_masked(spi, true);
    std::swap(p.local, p.remote);
    peer = std::make_unique<sad::OutboundSa>(p);
    know(v6 ? "2001:db8::2" : "192.0.2.2", kWan);
    know("10.1.0.9", kLan);
    core.port_addresses[1] = {address("2001:db8:a::1"), address("2001:db8::1")};
  }

  /// The next hop to `destination` is known.
  void know(const char* destination, uint16_t port, uint32_t mtu = 1500) {
    (void)core.next_hop(address(destination));
    answer(destination, net::NextHop::Kind::kForward, port);
    core.hops.find(address(destination), core.now_ms)->hop.mtu_bytes = mtu;
  }
  /// Gives back to the gateway what it has sent, as its peer would send it.
  std::vector<Bytes> reflect_all() {
    const auto outer = sent(kWan);
    std::vector<Bytes> back;
    for (const auto& p : outer) back.push_back(reflected(p));
    receive_all(kWan, back);
    return outer;
  }

  /// What the peer would send for this inner packet.
  Bytes sealed(const Bytes& inner) { return reflected(sealed(inner, *sad.outbound(spi))); }
  static Bytes sealed(const Bytes& inner, sad::OutboundSa& sa) {
    pipeline::LargeBuffer buffer;
    packet::Batch batch;
    batch.size = 1;
    batch.chunk_bytes = pipeline::LargeBuffer::kBytes;
    batch.data[0] = buffer.packet();
    batch.length[0] = static_cast<uint32_t>(inner.size());
    batch.verdict[0] = packet::Verdict::kPending;
    batch.outbound[0] = &sa;
    std::copy(inner.begin(), inner.end(), batch.data[0]);
    esp::outbound(batch);
    REQUIRE(batch.verdict[0] == packet::Verdict::kPending);
    return Bytes(batch.data[0], batch.data[0] + batch.length[0]);
  }
  /// Likewise, by the peer's own SA: of AH, which authenticates the addresses.
  Bytes sealed_by_peer(const Bytes& inner) { return sealed(inner, *peer); }
  static Bytes reflected(Bytes outer) {
    const bool is_v6 = outer[0] >> 4 == 6;
    const int from = is_v6 ? 8 : 12, to = is_v6 ? 24 : 16, size = is_v6 ? 16 : 4;
    for (int i = 0; i < size; i++) std::swap(outer[from + i], outer[to + i]);
    return outer;
  }

  /// As receive(), of either family and any number.
  void receive_all(uint16_t port, const std::vector<Bytes>& packets) {
    std::vector<Bytes> frames;
    for (const auto& p : packets) {
      if (frames.size() == packet::Batch::kCapacity) {
        receive_frames(port, frames);
        frames.clear();
      }
      Bytes f(14);
      base::store_be16(&f[12], p[0] >> 4 == 4 ? 0x0800 : 0x86dd);
      f.insert(f.end(), p.begin(), p.end());
      frames.push_back(f);
    }
    receive_frames(port, frames);
  }

  /// Verdicts since the last call, but for kHeld.
  Counts counts() {
    Counts now, fresh;
    for (uint32_t v = 0; v < packet::kVerdictCount; v++) {
      if (v == static_cast<uint32_t>(packet::Verdict::kHeld)) continue;
      const char* name = packet::kVerdicts[v].name;
      now[name] = counters.verdict[v].read();
      if (now[name] != before[name]) fresh[name] = now[name] - before[name];
    }
    before = now;
    return fresh;
  }
  Counts before;
};

inline std::vector<Bytes> cut(const Bytes& packet, uint32_t mtu) {
  net::Fragmenter fragmenter(packet.data(), static_cast<uint32_t>(packet.size()), mtu, 77);
  std::vector<Bytes> pieces;
  while (fragmenter.left() > 0) {
    pieces.emplace_back(mtu);
    pieces.back().resize(fragmenter.next(pieces.back().data()));
  }
  return pieces;
}

inline Bytes inner(uint32_t bytes, uint8_t tag = 1, const char* to = "10.1.0.9", uint16_t flags = 0) {
  const DatagramFields f{.source = "10.2.0.7", .destination = to, .id = tag, .protocol = 253};
  return whole(f, pattern(bytes - 20, tag), flags);
}

inline Bytes hopped(Bytes packet) {
  packet::decrement_ttl(packet.data(), packet::Family::kV4);
  return packet;
}

template <typename T>
std::vector<T> reversed(std::vector<T> v) {
  std::reverse(v.begin(), v.end());
  return v;
}

}  // namespace esplane::test
