// One SA on one worker and on two: the workers of the pipeline, driven by threads of the
// benchmark's own, so that the clock starts when everything has arrived.
#include <atomic>
#include <thread>

#include "addon/tunnel_bench.h"
#include "addon/tunnel_bench_parts.h"
#include "pipeline/worker.h"

namespace esplane::addon {
namespace {

using packet::Verdict;

constexpr uint32_t kPackets = 1024;  ///< of one repetition: 16 bursts; two megabytes
constexpr uint32_t kInARow = 4;      ///< repetitions before the next arrangement has its turn
constexpr uint32_t kSlots = 16;
constexpr uint32_t kMostWorkers = 2;

/// One gateway with one or two workers, who own its queues in turn.
struct SharedGateway {
  Gateway databases;
  pipeline::EventRing events;
  pipeline::Networks networks;
  std::atomic<const pipeline::Networks*> networks_pointer{&networks};
  port::Umem umem{2 * kPackets, kChunkBytes};
  pipeline::Shared shared;
  pipeline::Counters counters[kMostWorkers];
  net::StaticNextHops hops;
  std::unique_ptr<port::Port> ports[2];
  std::vector<std::unique_ptr<pipeline::Worker>> workers;

  SharedGateway(uint8_t side, uint32_t tunnels, uint32_t worker_count,
                std::unique_ptr<port::Port> lan, std::unique_ptr<port::Port> wan)
      : databases(tunnels),
        shared{.epoch = databases.epoch,
               .sad = databases.sad,
               .spd = databases.spd,
               .events = events,
               .networks = networks_pointer,
               .roles = {port::Role::kLan, port::Role::kWan},
               .chunk_bytes = kChunkBytes},
        hops(routes(side), {}) {
    networks.local_addresses = {v4(192, 0, 2, side)};
    ports[kLan] = std::move(lan);
    ports[kWan] = std::move(wan);
    const uint32_t owners = std::min(worker_count, ports[kLan]->queues());
    const uint32_t frames = umem.frames() / owners;
    for (uint32_t i = 0; i < worker_count; i++) {
      auto pool = std::make_unique<FramePool>(umem, i < owners ? i * frames : 0,
                                              i < owners ? frames : 0);
      workers.push_back(std::make_unique<pipeline::Worker>(i, -1, worker_count > 1 ? kSlots : 1,
                                                           shared, counters[i], std::move(pool),
                                                           hops));
    }
    if (worker_count > 1) {
      workers[0]->set_colleagues({workers[1].get()});
      workers[1]->set_colleagues({workers[0].get()});
    }
    for (const uint16_t p : {kLan, kWan}) {
      for (uint32_t q = 0; q < ports[p]->queues(); q++) {
        auto& worker = *workers[q % owners];
        worker.add_queue(p, shared.roles[p], ports[p]->open_queue(q, worker.pool()));
      }
    }
  }

  uint64_t sent() const {
    uint64_t sum = 0;
    for (const auto& c : counters) sum += c.verdict[static_cast<uint32_t>(Verdict::kSent)].read();
    return sum;
  }
  /// What worker i does until the gateway has sent so many packets in all.
  void run(uint32_t i, uint64_t until_sent) {
    while (workers[i]->turn() || sent() < until_sent) {
    }
  }
  /// Lets the workers take back frames that have left.
  void rest() {
    for (auto& worker : workers) worker->turn();
  }
};

/// The second worker's thread: it waits for one gateway after the other.
class SecondThread {
 public:
  SecondThread() : thread_([this] { loop(); }) {}
  ~SecondThread() {
    task_.store(&end_, std::memory_order_release);
    thread_.join();
  }

  /// Runs all workers of the gateway, the first on this thread.
  void run(SharedGateway& gateway, uint64_t until_sent) {
    const bool two = gateway.workers.size() > 1;
    until_sent_ = until_sent;
    if (two) task_.store(&gateway, std::memory_order_release);
    gateway.run(0, until_sent);
    while (two && task_.load(std::memory_order_acquire) != nullptr) {
    }
  }

 private:
  void loop() {
    for (;;) {
      void* task = task_.load(std::memory_order_acquire);
      if (task == &end_) return;
      if (task == nullptr) continue;
      static_cast<SharedGateway*>(task)->run(1, until_sent_);
      task_.store(nullptr, std::memory_order_release);
    }
  }

  std::atomic<void*> task_{nullptr};
  uint64_t until_sent_ = 0;
  char end_ = 0;
  std::thread thread_;
};

/// Two gateways and two hosts; both gateways with as many workers and queues.
struct Scene {
  std::unique_ptr<SharedGateway> a, b;
  std::unique_ptr<Host> from, to;
  std::vector<std::vector<uint8_t>> inner;  ///< by tunnel
  std::vector<Sample> outbound, inbound;

  Scene(const TunnelBenchOptions& o, uint32_t workers, uint32_t queues) {
    for (uint32_t t = 0; t < o.tunnels; t++) inner.push_back(inner_packet(o.inner_bytes, t));
    auto [a_lan, host_a] = wire(port::Role::kLan, queues, kPackets);
    auto [a_wan, b_wan] = wire(port::Role::kWan, queues, kPackets);
    auto [b_lan, host_b] = wire(port::Role::kLan, queues, kPackets);
    a = std::make_unique<SharedGateway>(1, o.tunnels, workers, std::move(a_lan), std::move(a_wan));
    b = std::make_unique<SharedGateway>(2, o.tunnels, workers, std::move(b_lan), std::move(b_wan));
    a->databases.install(1, b->databases, o.key_bits);
    b->databases.install(2, a->databases, o.key_bits);
    from = std::make_unique<Host>(std::move(host_a), 2 * kPackets);
    to = std::make_unique<Host>(std::move(host_b), 2 * kPackets);
  }

  Sample pass(SharedGateway& gateway, SecondThread& second) {
    const uint64_t until_sent = gateway.sent() + kPackets;
    Stopwatch watch;
    watch.start();
    second.run(gateway, until_sent);
    watch.stop();
    return watch.take(kPackets);
  }

  void repeat(SecondThread& second, bool counts) {
    const auto queues = static_cast<uint32_t>(from->queues.size());
    for (uint32_t i = 0; i < kPackets; i++) from->send(inner[i % inner.size()], i % queues);
    const Sample sealed = pass(*a, second);
    const Sample opened = pass(*b, second);
    if (to->receive() != kPackets) throw std::runtime_error("the benchmark's tunnel lost packets");
    from->flush();
    a->rest();
    b->rest();
    if (!counts) return;
    outbound.push_back(sealed);
    inbound.push_back(opened);
  }
};

}  // namespace

WorkersBenchResult bench_workers(const TunnelBenchOptions& options) {
  if (std::thread::hardware_concurrency() < kMostWorkers)
    throw std::runtime_error("two workers need two CPUs");
  SecondThread second;
  Scene one(options, 1, 1), shared(options, 2, 1), split(options, 2, 2);
  const uint32_t repetitions = repeat_for(options.seconds, [&](bool counts) {
    for (Scene* scene : {&one, &shared, &split}) {
      scene->repeat(second, false);  // its frames come back into the caches
      for (uint32_t i = 0; i < kInARow; i++) scene->repeat(second, counts);
    }
  });
  const auto costs = [&](Scene& s) {
    return TunnelBenchResult{cost_of(s.outbound), cost_of(s.inbound), repetitions};
  };
  return {costs(one), costs(shared), costs(split)};
}

}  // namespace esplane::addon
