// What the tunnel benchmarks have in common: the databases of a gateway, hosts, wires.
#pragma once

#include <algorithm>
#include <cstring>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "addon/tunnel_bench.h"
#include "base/bytes.h"
#include "base/epoch.h"
#include "net/static_next_hops.h"
#include "packet/checksum.h"
#include "port/memory/memory_port.h"
#include "sad/sad.h"
#include "spd/spd.h"

namespace esplane::addon {

using packet::Batch;
using port::FramePool;

inline constexpr uint16_t kLan = 0, kWan = 1;  ///< ports of a gateway
inline constexpr uint32_t kChunkBytes = 2048;
inline constexpr uint32_t kBenchFrames = 1024;  ///< two megabytes: beyond a core's L1 and most L2

inline packet::IpAddress v4(uint8_t a, uint8_t b, uint8_t c, uint8_t d) {
  const uint8_t raw[4] = {a, b, c, d};
  return packet::IpAddress::v4(raw);
}

/// Tunnel t joins 10.1.t.0/24 and 10.2.t.0/24.
inline packet::Selector network(uint8_t side, uint32_t t) {
  const auto third = static_cast<uint8_t>(t);
  return {.start = v4(10, side, third, 0), .end = v4(10, side, third, 255)};
}

/// SAD and SPD of one gateway: side 1 or 2.
struct Gateway {
  base::Epoch epoch;
  sad::Sad sad;
  spd::Spd spd{epoch};
  std::vector<uint32_t> spis;
  const uint32_t tunnels, senders;

  /// @param senders  lanes that have an SA of their own beside the one for all, in each tunnel
  explicit Gateway(uint32_t tunnel_count, uint32_t sender_count = 0)
      : sad(tunnel_count * (1 + sender_count), epoch), tunnels(tunnel_count), senders(sender_count) {
    for (uint32_t n = 0; n < tunnels * (1 + senders); n++) spis.push_back(sad.allocate_spi());
  }

  void install(uint8_t side, const Gateway& peer, const TunnelBenchOptions& o) {
    const auto other = static_cast<uint8_t>(3 - side);
    std::vector<spd::Entry> entries;
    for (uint32_t t = 0; t < tunnels; t++) {
      for (uint32_t n = 0; n <= senders; n++) install_pair(side, peer, o, t, n);
      for (const auto direction : {spd::Direction::kOutbound, spd::Direction::kInbound}) {
        entries.push_back({spd::Action::kProtect, direction, std::to_string(t),
                           {network(side, t)}, {network(other, t)}});
      }
    }
    spd.set(entries);
  }

 private:
  /// @param n  0: the one for all; else that of lane n - 1
  void install_pair(uint8_t side, const Gateway& peer, const TunnelBenchOptions& o, uint32_t t,
                    uint32_t n) {
    const auto other = static_cast<uint8_t>(3 - side);
    const uint32_t index = t * (1 + senders) + n;
    const crypto::Suite& suite = *o.suite;
    std::vector<uint8_t> keys[2];
    for (uint32_t d = 0; d < 2; d++) {
      for (uint32_t i = 0; i < suite.keymat_bytes(); i++)
        keys[d].push_back(static_cast<uint8_t>(i * 7 + index * 3 + d));
    }
    sad::SaParameters p;
    p.inbound_spi = spis[index];
    p.outbound_spi = peer.spis[index];
    p.local = v4(192, 0, 2, side);
    p.remote = v4(192, 0, 2, other);
    p.encryption = suite.encryption;
    p.key_bits = suite.key_bits;
    p.integrity = suite.integrity;
    p.engine = o.engine;
    p.inbound_key = keys[side - 1];
    p.outbound_key = keys[other - 1];
    p.local_selectors = {network(side, t)};
    p.remote_selectors = {network(other, t)};
    spd::Part part;
    if (n > 0) part.resource = static_cast<spd::Resource>(n - 1);
    spd.attach(std::to_string(t), sad.install(p), p.local_selectors, p.remote_selectors, part);
  }
};

/// UDP from 10.1.t.5 to 10.2.t.9, its checksum zero.
inline std::vector<uint8_t> inner_packet(uint32_t bytes, uint32_t t) {
  std::vector<uint8_t> p(bytes, 0);
  for (uint32_t i = 28; i < bytes; i++) p[i] = 0x5a;
  p[0] = 0x45;
  base::store_be16(&p[2], static_cast<uint16_t>(bytes));
  p[8] = 64;
  p[9] = packet::kUdp;
  std::memcpy(&p[12], v4(10, 1, static_cast<uint8_t>(t), 5).bytes, 4);
  std::memcpy(&p[16], v4(10, 2, static_cast<uint8_t>(t), 9).bytes, 4);
  base::store_be16(&p[10], packet::internet_checksum(p.data(), 20));
  base::store_be16(&p[20], 4000);
  base::store_be16(&p[22], 5000);
  base::store_be16(&p[24], static_cast<uint16_t>(bytes - 20));
  return p;
}

/// A host behind a gateway, on one queue. The port must outlive it.
struct Host {
  port::Umem umem;
  FramePool pool;
  std::unique_ptr<port::Queue> queue;

  explicit Host(port::Port& port, uint32_t q = 0, uint32_t frames = 2 * kBenchFrames)
      : umem(frames, kChunkBytes), pool(umem, 0, frames), queue(port.open_queue(q, pool)) {}
  ~Host() { queue.reset(); }

  void send(const std::vector<uint8_t>& packet) {
    uint8_t* data = pool.get();
    if (data == nullptr) throw std::runtime_error("the benchmark's host has no frame left");
    data += FramePool::kHeadroom;
    std::memset(data, 0, 14);
    data[12] = 8;
    std::memcpy(data + 14, packet.data(), packet.size());
    const auto length = static_cast<uint32_t>(14 + packet.size());
    if (queue->tx(&data, &length, 1) != 1) throw std::runtime_error("the host's wire is full");
  }
  void flush() { queue->flush(); }
  uint32_t receive() {
    Batch batch;
    batch.chunk_bytes = kChunkBytes;
    uint32_t count = 0;
    while (batch.clear(), queue->rx(batch, Batch::kCapacity) > 0) {
      for (uint32_t i = 0; i < batch.size; i++) pool.put(batch.data[i]);
      count += batch.size;
    }
    queue->flush();
    return count;
  }
};

inline std::pair<std::unique_ptr<port::Port>, std::unique_ptr<port::Port>> wire(
    port::Role role, uint32_t queues = 1, uint32_t entries = kBenchFrames) {
  const port::MemoryPortOptions end{
      .name = "bench", .role = role, .queues = queues, .ring_entries = entries};
  return port::make_memory_pair(end, end);
}

/// As a gateway knows them.
inline std::vector<net::StaticRoute> routes(uint8_t side) {
  net::NextHop lan{.kind = net::NextHop::Kind::kForward, .port = kLan};
  lan.mtu_bytes = lan.port_mtu_bytes = 1500;
  net::NextHop wan = lan;
  wan.port = kWan;
  return {{{v4(10, side, 0, 0), 16}, lan}, {{v4(192, 0, 2, 0), 24}, wan}};
}

template <typename Repeat>
uint32_t repeat_for(double seconds, Repeat repeat) {
  const uint64_t until = base::monotonic_ns() + static_cast<uint64_t>(seconds * 1e9);
  uint32_t repetitions = 0;
  repeat(false);  // caches, branch predictors, first use of kernels
  do {
    repeat(true);
    repetitions++;
  } while (base::monotonic_ns() < until);
  return repetitions;
}

}  // namespace esplane::addon
