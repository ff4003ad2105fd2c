// A worker's stages without its thread: the test is the next-hop source, the clock and both wires.
#pragma once

#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "base/epoch.h"
#include "base/bytes.h"
#include "packet/checksum.h"
#include "packet/ip.h"
#include "pipeline/stages.h"
#include "port/memory/memory_port.h"

namespace esplane::test {

inline net::IpAddress address(const char* text) { return *net::IpAddress::parse(text); }

/// Answers what the test gave it, or nothing.
struct ScriptedHops final : net::NextHopClient {
  std::vector<net::IpAddress> asked;
  std::deque<net::Answer> answers;

  Asked ask(const net::IpAddress& destination, net::NextHop&) override {
    asked.push_back(destination);
    return Asked::kLater;
  }
  bool take(net::Answer& out) override {
    if (answers.empty()) return false;
    out = answers.front();
    answers.pop_front();
    return true;
  }
  uint32_t generation() const override { return 1; }
};

struct CountingReinjector final : pipeline::Reinjector {
  std::vector<std::vector<uint8_t>> packets;
  uint64_t write(uint8_t* const* data, const uint32_t* bytes, uint32_t count) override {
    for (uint32_t i = 0; i < count; i++) packets.emplace_back(data[i], data[i] + bytes[i]);
    return ~uint64_t{0};
  }
};

/// One gateway: LAN 10.1.0.0/16 is port 0, WAN is port 1, the peer is 192.0.2.2, its LAN 10.2/16.
struct Rig {
  static constexpr uint32_t kFrames = 512;
  static constexpr uint16_t kLan = 0, kWan = 1;

  base::Epoch epoch;
  sad::Sad sad{16, epoch};
  spd::Spd spd{epoch};
  pipeline::EventRing events;
  pipeline::Networks networks;
  std::atomic<const pipeline::Networks*> networks_pointer{&networks};
  port::Umem umem{kFrames, 2048};
  port::Umem far_umem{2 * kFrames, 2048};
  port::FramePool pool{umem, 0, kFrames};
  port::FramePool far_pool{far_umem, 0, 2 * kFrames};
  pipeline::Shared shared{.epoch = epoch,
                          .sad = sad,
                          .spd = spd,
                          .events = events,
                          .networks = networks_pointer,
                          .roles = {port::Role::kLan, port::Role::kWan}};
  pipeline::Counters counters;
  ScriptedHops* hops = new ScriptedHops;  // the core's
  pipeline::Core core{shared, counters, pool, std::unique_ptr<net::NextHopClient>(hops)};
  pipeline::Stages stages{core};
  pipeline::Burst burst;
  CountingReinjector kernel;
  std::unique_ptr<port::Port> ports[2], far_ports[2];
  std::unique_ptr<port::Queue> queues[2], far[2];

  Rig() {
    for (uint16_t i : {kLan, kWan}) {
      const auto role = shared.roles[i];
      auto [near_end, far_end] = port::make_memory_pair({.name = "near", .role = role},
                                                        {.name = "far", .role = role});
      ports[i] = std::move(near_end);
      far_ports[i] = std::move(far_end);
      queues[i] = ports[i]->open_queue(0, pool);
      far[i] = far_ports[i]->open_queue(0, far_pool);
      core.egress.set_queue(i, queues[i].get());
    }
    core.egress.set_reinjector(spd::kHostScope, &kernel);
    networks.local_addresses = {address("192.0.2.1"), address("10.1.0.1")};
    networks.local_protected = {*net::Prefix::parse("10.1.0.0/16")};
    core.networks = &networks;
    core.port_addresses[0] = {address("10.1.0.1"), address("192.0.2.1")};
    core.now_ms = 1'000'000;
    spd.set({entry(spd::Direction::kOutbound), entry(spd::Direction::kInbound)});
  }

  static packet::Selector range(const char* start, const char* end) {
    return {.start = address(start), .end = address(end)};
  }
  static spd::Entry entry(spd::Direction direction, const char* policy = "tunnel",
                          spd::Scope scope = spd::kHostScope) {
    return {.action = spd::Action::kProtect,
            .direction = direction,
            .policy = policy,
            .local = {range("10.1.0.0", "10.1.255.255")},
            .remote = {range("10.2.0.0", "10.2.255.255")},
            .scope = scope};
  }

  /// Installs a pair. With `echo` the two directions share SPI and key, so that what the gateway
  /// sends is, its outer addresses aside, what it would receive.
  uint32_t install(const char* policy = "tunnel", spd::Scope scope = spd::kHostScope) {
    return install_between(policy, scope, {range("10.1.0.0", "10.1.255.255")},
                           {range("10.2.0.0", "10.2.255.255")});
  }
  uint32_t install_between(const char* policy, spd::Scope scope,
                           std::vector<packet::Selector> local,
                           std::vector<packet::Selector> remote) {
    static constexpr uint8_t kKey[20] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17};
    sad::SaParameters p;
    p.inbound_spi = sad.allocate_spi();
    p.outbound_spi = p.inbound_spi;
    p.local = address("192.0.2.1");
    p.remote = address("192.0.2.2");
    p.inbound_key = p.outbound_key = kKey;
    p.local_selectors = std::move(local);
    p.remote_selectors = std::move(remote);
    p.scope = scope;
    spd.attach(policy, sad.install(p), p.local_selectors, p.remote_selectors);
    return p.inbound_spi;
  }
  /// Likewise, with the same networks on both sides, so that what it sends passes its own selectors.
  uint32_t install_any(const char* policy, spd::Scope scope) {
    return install_between(policy, scope, {range("10.0.0.0", "10.255.255.255")},
                           {range("10.0.0.0", "10.255.255.255")});
  }
  void remove(uint32_t spi) {
    spd.detach(sad.outbound(spi));
    sad.remove(spi);
  }

  /// An IPv4 packet of protocol 253 whose data begins with `tag`.
  static std::vector<uint8_t> ipv4(const char* from, const char* to, uint8_t tag,
                                   uint32_t bytes = 60, uint8_t ttl = 64) {
    std::vector<uint8_t> p(bytes);
    p[0] = 0x45;
    base::store_be16(&p[2], static_cast<uint16_t>(bytes));
    p[8] = ttl;
    p[9] = 253;
    std::memcpy(&p[12], address(from).bytes, 4);
    std::memcpy(&p[16], address(to).bytes, 4);
    base::store_be16(&p[10], packet::internet_checksum(p.data(), 20));
    p[20] = tag;
    return p;
  }

  /// Runs Ethernet frames through the stages as a burst from a port.
  void receive_frames(uint16_t port, const std::vector<std::vector<uint8_t>>& frames) {
    burst.batch.clear();
    burst.from = {.port = port};
    for (const auto& f : frames) {
      uint8_t* data = pool.get() + port::FramePool::kHeadroom;
      std::memcpy(data, f.data(), f.size());
      const uint32_t i = burst.batch.size++;
      burst.batch.data[i] = data;
      burst.batch.length[i] = static_cast<uint32_t>(f.size());
      burst.batch.verdict[i] = packet::Verdict::kPending;
    }
    stages.from_port(burst, shared.roles[port]);
    core.egress.send();
    for (auto& q : queues) q->flush();
  }
  /// Runs IP packets through the stages as a burst that the host sent into an interface.
  void host_sends(spd::Scope scope, const std::vector<std::vector<uint8_t>>& packets) {
    burst.batch.clear();
    burst.from = {.scope = scope, .from_host = true};
    for (const auto& p : packets) {
      uint8_t* data = pool.get() + port::FramePool::kHeadroom;
      std::memcpy(data, p.data(), p.size());
      burst.append(data, static_cast<uint32_t>(p.size()));
    }
    stages.from_port(burst, port::Role::kHost);
    core.egress.send();
    for (auto& q : queues) q->flush();
  }
  void receive(uint16_t port, const std::vector<std::vector<uint8_t>>& packets) {
    std::vector<std::vector<uint8_t>> frames;
    for (const auto& p : packets) {
      std::vector<uint8_t> f(14, 0);
      f[12] = 8;
      f.insert(f.end(), p.begin(), p.end());
      frames.push_back(f);
    }
    receive_frames(port, frames);
  }

  void answer(const char* destination, net::NextHop::Kind kind, uint16_t port) {
    net::Answer a{.address = address(destination)};
    a.hop.kind = kind;
    a.hop.port = port;
    a.hop.mtu_bytes = a.hop.port_mtu_bytes = 1500;
    if (auto* e = core.hops.record(a, core.now_ms)) stages.resume(*e);
    core.egress.send();
    for (auto& q : queues) q->flush();
  }

  /// The IP packets that left by a port.
  std::vector<std::vector<uint8_t>> sent(uint16_t port) {
    std::vector<std::vector<uint8_t>> all;
    packet::Batch batch;
    batch.chunk_bytes = 2048;
    while (batch.clear(), far[port]->rx(batch, packet::Batch::kCapacity) > 0) {
      for (uint32_t i = 0; i < batch.size; i++) {
        all.emplace_back(batch.data[i] + 14, batch.data[i] + batch.length[i]);
        far_pool.put(batch.data[i]);
      }
    }
    for (auto& q : queues) q->flush();
    return all;
  }

  uint64_t count(packet::Verdict v) const {
    return counters.verdict[static_cast<uint32_t>(v)].read();
  }
  /// Of received packets; each has exactly one (kHeld beside it).
  uint64_t verdicts() const {
    uint64_t sum = 0;
    for (uint32_t v = 0; v < packet::kVerdictCount; v++) {
      if (v != static_cast<uint32_t>(packet::Verdict::kHeld)) sum += counters.verdict[v].read();
    }
    return sum;
  }
};

}  // namespace esplane::test
