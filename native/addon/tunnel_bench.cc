#include "addon/tunnel_bench.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/epoch.h"
#include "esp/inbound.h"
#include "esp/outbound.h"
#include "net/static_next_hops.h"
#include "packet/checksum.h"
#include "pipeline/stages.h"
#include "port/memory/memory_port.h"

namespace esplane::addon {
namespace {

using packet::Batch;
using packet::Verdict;
using port::FramePool;

constexpr uint32_t kChunkBytes = 2048;
constexpr uint32_t kBenchFrames = 1024;  ///< two megabytes: beyond a core's L1 and most L2

struct Sample {
  double ns, ticks;
};

/// Per packet, of what runs between start() and stop().
class Stopwatch {
 public:
  void start() {
    from_ns_ = base::monotonic_ns();
    from_ = base::ticks();
  }
  void stop() {
    ticks_ += base::ticks() - from_;
    ns_ += base::monotonic_ns() - from_ns_;
  }
  Sample take(uint32_t packets) {
    const Sample s{static_cast<double>(ns_) / packets, static_cast<double>(ticks_) / packets};
    ns_ = ticks_ = 0;
    return s;
  }

 private:
  uint64_t from_ns_ = 0, from_ = 0, ns_ = 0, ticks_ = 0;
};

Cost cost_of(std::vector<Sample>& samples) {
  const auto median = [&](double Sample::* field) {
    const auto middle = samples.begin() + static_cast<ptrdiff_t>(samples.size() / 2);
    std::nth_element(samples.begin(), middle, samples.end(),
                     [=](const Sample& a, const Sample& b) { return a.*field < b.*field; });
    return *middle.*field;
  };
  double best = samples[0].ns;
  for (const auto& s : samples) best = std::min(best, s.ns);
  return {.ns = median(&Sample::ns), .ticks = median(&Sample::ticks), .best_ns = best};
}

packet::IpAddress v4(uint8_t a, uint8_t b, uint8_t c, uint8_t d) {
  const uint8_t raw[4] = {a, b, c, d};
  return packet::IpAddress::v4(raw);
}

/// Tunnel t joins 10.1.t.0/24 and 10.2.t.0/24.
packet::Selector network(uint8_t side, uint32_t t) {
  const auto third = static_cast<uint8_t>(t);
  return {.start = v4(10, side, third, 0), .end = v4(10, side, third, 255)};
}

/// SAD and SPD of one gateway: side 1 or 2.
struct Gateway {
  base::Epoch epoch;
  sad::Sad sad;
  spd::Spd spd{epoch};
  std::vector<uint32_t> spis;

  explicit Gateway(uint32_t tunnels) : sad(tunnels, epoch) {
    for (uint32_t t = 0; t < tunnels; t++) spis.push_back(sad.allocate_spi());
  }

  void install(uint8_t side, const Gateway& peer, uint32_t key_bits) {
    const auto other = static_cast<uint8_t>(3 - side);
    std::vector<spd::Entry> entries;
    for (uint32_t t = 0; t < spis.size(); t++) {
      std::vector<uint8_t> keys[2];
      for (uint32_t d = 0; d < 2; d++) {
        for (uint32_t i = 0; i < key_bits / 8 + 4; i++)
          keys[d].push_back(static_cast<uint8_t>(i * 7 + t * 3 + d));
      }
      sad::SaParameters p;
      p.inbound_spi = spis[t];
      p.outbound_spi = peer.spis[t];
      p.local = v4(192, 0, 2, side);
      p.remote = v4(192, 0, 2, other);
      p.key_bits = static_cast<uint16_t>(key_bits);
      p.inbound_key = keys[side - 1];
      p.outbound_key = keys[other - 1];
      p.local_selectors = {network(side, t)};
      p.remote_selectors = {network(other, t)};
      const std::string policy = std::to_string(t);
      spd.attach(policy, sad.install(p), p.local_selectors, p.remote_selectors);
      for (const auto direction : {spd::Direction::kOutbound, spd::Direction::kInbound}) {
        entries.push_back({spd::Action::kProtect, direction, policy, p.local_selectors,
                           p.remote_selectors});
      }
    }
    spd.set(entries);
  }
};

/// UDP from 10.1.t.5 to 10.2.t.9, its checksum zero.
std::vector<uint8_t> inner_packet(uint32_t bytes, uint32_t t) {
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

void require_all_pending(const Batch& batch) {
  for (uint32_t i = 0; i < batch.size; i++) {
    if (batch.verdict[i] != Verdict::kPending) {
      throw std::runtime_error(
          std::string("a packet of the benchmark ended as ") +
          packet::kVerdicts[static_cast<uint32_t>(batch.verdict[i])].name);
    }
  }
}

// --- ESP alone -----------------------------------------------------------------------------

struct EspBench {
  const TunnelBenchOptions& options;
  Gateway a, b;
  port::Umem umem{kBenchFrames, kChunkBytes};
  std::vector<std::vector<uint8_t>> inner;
  Batch batch;

  explicit EspBench(const TunnelBenchOptions& o) : options(o), a(o.tunnels), b(o.tunnels) {
    a.install(1, b, o.key_bits);
    b.install(2, a, o.key_bits);
    for (uint32_t t = 0; t < o.tunnels; t++) inner.push_back(inner_packet(o.inner_bytes, t));
    batch.chunk_bytes = kChunkBytes;
  }
  uint32_t batches() const { return kBenchFrames / options.batch; }
  uint32_t packets() const { return batches() * options.batch; }
  uint32_t tunnel_of(uint32_t frame) const { return frame % options.tunnels; }

  uint8_t* frame(uint32_t f) const { return umem.at(uint64_t{f} * kChunkBytes); }

  void fill() {
    for (uint32_t f = 0; f < packets(); f++) {
      const auto& p = inner[tunnel_of(f)];
      std::memcpy(frame(f) + FramePool::kHeadroom, p.data(), p.size());
    }
  }
  /// Every frame through esp::outbound.
  Sample seal() {
    Stopwatch watch;
    watch.start();
    for (uint32_t n = 0; n < batches(); n++) {
      batch.size = options.batch;
      for (uint32_t i = 0; i < options.batch; i++) {
        const uint32_t f = n * options.batch + i;
        batch.data[i] = frame(f) + FramePool::kHeadroom;
        batch.length[i] = options.inner_bytes;
        batch.verdict[i] = Verdict::kPending;
        batch.outbound[i] = a.sad.outbound(a.spis[tunnel_of(f)]);
      }
      esp::outbound(batch);
    }
    watch.stop();
    require_all_pending(batch);
    return watch.take(packets());
  }
  /// And back, through esp::inbound.
  Sample open() {
    const uint32_t outer_bytes = esp::sealed_bytes(*a.sad.outbound(a.spis[0]), options.inner_bytes);
    const uint32_t before = FramePool::kHeadroom - packet::kIpv4HeaderBytes -
                            packet::kEspHeaderBytes - 8;
    uint16_t esp_offset[Batch::kCapacity];
    packet::IpHeader headers[Batch::kCapacity];
    std::fill(std::begin(esp_offset), std::end(esp_offset), uint16_t{packet::kIpv4HeaderBytes});
    Stopwatch watch;
    watch.start();
    for (uint32_t n = 0; n < batches(); n++) {
      batch.size = options.batch;
      for (uint32_t i = 0; i < options.batch; i++) {
        const uint32_t f = n * options.batch + i;
        batch.data[i] = frame(f) + before;
        batch.length[i] = outer_bytes;
        batch.verdict[i] = Verdict::kPending;
        batch.inbound[i] = b.sad.find(b.spis[tunnel_of(f)]);
      }
      esp::inbound(batch, esp_offset, headers);
    }
    watch.stop();
    require_all_pending(batch);
    return watch.take(packets());
  }
};

// --- the whole pipeline --------------------------------------------------------------------

/// One gateway with a LAN and a WAN port; the caller's thread is its worker.
struct PipelineGateway {
  static constexpr uint16_t kLan = 0, kWan = 1;

  Gateway databases;
  pipeline::EventRing events;
  pipeline::Networks networks;
  std::atomic<const pipeline::Networks*> networks_pointer{&networks};
  port::Umem umem{2 * kBenchFrames, kChunkBytes};
  FramePool pool{umem, 0, 2 * kBenchFrames};
  pipeline::Shared shared;
  pipeline::Counters counters;
  net::StaticNextHops hops;
  pipeline::Core core;
  pipeline::Stages stages{core};
  pipeline::Burst burst;
  std::unique_ptr<port::Port> ports[2];
  std::unique_ptr<port::Queue> queues[2];

  static std::vector<net::StaticRoute> routes(uint8_t side) {
    net::NextHop lan{.kind = net::NextHop::Kind::kForward, .port = kLan};
    lan.mtu_bytes = lan.port_mtu_bytes = 1500;
    net::NextHop wan = lan;
    wan.port = kWan;
    return {{{v4(10, side, 0, 0), 16}, lan}, {{v4(192, 0, 2, 0), 24}, wan}};
  }

  PipelineGateway(uint8_t side, uint32_t tunnels, std::unique_ptr<port::Port> lan,
                  std::unique_ptr<port::Port> wan)
      : databases(tunnels),
        shared{.epoch = databases.epoch,
               .sad = databases.sad,
               .spd = databases.spd,
               .events = events,
               .networks = networks_pointer,
               .roles = {port::Role::kLan, port::Role::kWan},
               .chunk_bytes = kChunkBytes},
        hops(routes(side), {}),
        core(shared, counters, pool, hops.connect(-1)) {
    networks.local_addresses = {v4(192, 0, 2, side)};
    core.networks = &networks;
    burst.batch.chunk_bytes = kChunkBytes;
    ports[kLan] = std::move(lan);
    ports[kWan] = std::move(wan);
    for (const uint16_t p : {kLan, kWan}) {
      queues[p] = ports[p]->open_queue(0, pool);
      core.egress.set_queue(p, queues[p].get());
    }
  }
  ~PipelineGateway() {
    for (auto& q : queues) q.reset();
  }

  /// What a worker does with one queue until it is empty.
  void serve(uint16_t port, uint32_t batch) {
    core.now_ms = base::monotonic_ms();
    for (;;) {
      burst.batch.clear();
      if (queues[port]->rx(burst.batch, batch) == 0) return;
      burst.port = port;
      stages.from_port(burst, shared.roles[port]);
      core.egress.send();
      for (auto& q : queues) q->flush();
    }
  }
};

/// A host behind a gateway.
struct Host {
  port::Umem umem{2 * kBenchFrames, kChunkBytes};
  FramePool pool{umem, 0, 2 * kBenchFrames};
  std::unique_ptr<port::Port> port;
  std::unique_ptr<port::Queue> queue;

  explicit Host(std::unique_ptr<port::Port> p) : port(std::move(p)) {
    queue = port->open_queue(0, pool);
  }
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

std::pair<std::unique_ptr<port::Port>, std::unique_ptr<port::Port>> wire(port::Role role) {
  const port::MemoryPortOptions end{.name = "bench", .role = role, .ring_entries = kBenchFrames};
  return port::make_memory_pair(end, end);
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

}  // namespace

TunnelBenchResult bench_esp(const TunnelBenchOptions& options) {
  EspBench bench(options);
  std::vector<Sample> outbound, inbound;
  const uint32_t repetitions = repeat_for(options.seconds, [&](bool counts) {
    bench.fill();
    const Sample sealed = bench.seal();
    const Sample opened = bench.open();
    if (!counts) return;
    outbound.push_back(sealed);
    inbound.push_back(opened);
  });
  return {cost_of(outbound), cost_of(inbound), repetitions};
}

TunnelBenchResult bench_pipeline(const TunnelBenchOptions& options) {
  auto [a_lan, host_a] = wire(port::Role::kLan);
  auto [a_wan, b_wan] = wire(port::Role::kWan);
  auto [b_lan, host_b] = wire(port::Role::kLan);
  PipelineGateway a(1, options.tunnels, std::move(a_lan), std::move(a_wan));
  PipelineGateway b(2, options.tunnels, std::move(b_lan), std::move(b_wan));
  a.databases.install(1, b.databases, options.key_bits);
  b.databases.install(2, a.databases, options.key_bits);
  Host from(std::move(host_a)), to(std::move(host_b));
  std::vector<std::vector<uint8_t>> inner;
  for (uint32_t t = 0; t < options.tunnels; t++)
    inner.push_back(inner_packet(options.inner_bytes, t));

  const uint32_t packets = kBenchFrames / options.batch * options.batch;
  std::vector<Sample> outbound, inbound;
  Stopwatch watch;
  const uint32_t repetitions = repeat_for(options.seconds, [&](bool counts) {
    for (uint32_t i = 0; i < packets; i++) from.send(inner[i % options.tunnels]);
    watch.start();
    a.serve(PipelineGateway::kLan, options.batch);
    watch.stop();
    const Sample sealed = watch.take(packets);
    watch.start();
    b.serve(PipelineGateway::kWan, options.batch);
    watch.stop();
    const Sample opened = watch.take(packets);
    if (to.receive() != packets) throw std::runtime_error("the benchmark's tunnel lost packets");
    from.queue->flush();
    for (auto& q : a.queues) q->flush();
    for (auto& q : b.queues) q->flush();
    if (!counts) return;
    outbound.push_back(sealed);
    inbound.push_back(opened);
  });
  return {cost_of(outbound), cost_of(inbound), repetitions};
}

}  // namespace esplane::addon
