#include "addon/tunnel_bench.h"

#include "addon/tunnel_bench_parts.h"
#include "esp/inbound.h"
#include "esp/outbound.h"
#include "pipeline/stages.h"

namespace esplane::addon {
namespace {

using packet::Verdict;

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
  std::vector<sad::OutboundSa*> outbound_sas;
  Batch batch;

  explicit EspBench(const TunnelBenchOptions& o) : options(o), a(o.tunnels), b(o.tunnels) {
    a.install(1, b, o);
    b.install(2, a, o);
    for (uint32_t t = 0; t < o.tunnels; t++) {
      inner.push_back(inner_packet(o.inner_bytes, t));
      outbound_sas.push_back(a.sad.outbound(a.spis[t]));  // takes a lock: not for each packet
    }
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
        batch.outbound[i] = outbound_sas[tunnel_of(f)];
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
                            packet::kEspHeaderBytes - options.suite->iv_bytes;
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
    core.now_s = base::monotonic_s();
    for (;;) {
      burst.batch.clear();
      if (queues[port]->rx(burst.batch, batch) == 0) return;
      burst.from = {.port = port};
      stages.from_port(burst, shared.roles[port]);
      core.egress.send();
      for (auto& q : queues) q->flush();
    }
  }
};

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
  a.databases.install(1, b.databases, options);
  b.databases.install(2, a.databases, options);
  Host from(*host_a), to(*host_b);
  std::vector<std::vector<uint8_t>> inner;
  for (uint32_t t = 0; t < options.tunnels; t++)
    inner.push_back(inner_packet(options.inner_bytes, t));

  const uint32_t packets = kBenchFrames / options.batch * options.batch;
  std::vector<Sample> outbound, inbound;
  Stopwatch watch;
  const uint32_t repetitions = repeat_for(options.seconds, [&](bool counts) {
    for (uint32_t i = 0; i < packets; i++) from.send(inner[i % options.tunnels]);
    watch.start();
    a.serve(kLan, options.batch);
    watch.stop();
    const Sample sealed = watch.take(packets);
    watch.start();
    b.serve(kWan, options.batch);
    watch.stop();
    const Sample opened = watch.take(packets);
    if (to.receive() != packets) throw std::runtime_error("the benchmark's tunnel lost packets");
    from.flush();
    for (auto& q : a.queues) q->flush();
    for (auto& q : b.queues) q->flush();
    if (!counts) return;
    outbound.push_back(sealed);
    inbound.push_back(opened);
  });
  return {cost_of(outbound), cost_of(inbound), repetitions};
}

}  // namespace esplane::addon
