// One SA on one worker and on two: the workers of the pipeline, driven by threads of the
// benchmark's own, so that the clock starts when everything has arrived.
//
// What a queue receives was written by the thread that drives it, and what it sent is read there:
// as with a network card, no other core's cache holds the packets.
#include <atomic>
#include <functional>
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
  std::vector<std::unique_ptr<pipeline::Lane>> lanes;
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
    const uint32_t lane_count = std::min(worker_count, ports[kLan]->queues());
    const uint32_t frames = umem.frames() / lane_count;
    for (uint32_t i = 0; i < worker_count; i++) {
      workers.push_back(
          std::make_unique<pipeline::Worker>(i, -1, databases.epoch, counters[i]));
    }
    for (uint32_t i = 0; i < lane_count; i++) {
      auto pool = std::make_unique<FramePool>(umem, i * frames, frames);
      lanes.push_back(std::make_unique<pipeline::Lane>(i, worker_count > 1 ? kSlots : 1, shared,
                                                       std::move(pool), hops));
      for (const uint16_t p : {kLan, kWan})
        lanes[i]->add_queue(p, shared.roles[p], ports[p]->open_queue(i, lanes[i]->pool()));
      workers[i]->own(*lanes[i]);
    }
    if (worker_count > 1) {
      workers[0]->set_colleagues({workers[1].get()});
      workers[1]->set_colleagues({workers[0].get()});
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
};

/// The threads of the two workers: the caller's, and one that spins until there is something to do.
class TwoThreads {
 public:
  using Task = std::function<void(uint32_t)>;

  TwoThreads() : second_([this] { loop(); }) {}
  ~TwoThreads() {
    over_.store(true);
    second_.join();
  }

  /// Calls task(0) and, where there are two, task(1), at the same time.
  void run(uint32_t threads, const Task& task) {
    if (threads > 1) task_.store(&task, std::memory_order_release);
    task(0);
    while (task_.load(std::memory_order_acquire) != nullptr) {
    }
  }

 private:
  void loop() {
    while (!over_.load(std::memory_order_relaxed)) {
      const Task* task = task_.load(std::memory_order_acquire);
      if (task == nullptr) continue;
      (*task)(1);
      task_.store(nullptr, std::memory_order_release);
    }
  }

  std::atomic<const Task*> task_{nullptr};
  std::atomic<bool> over_{false};
  std::thread second_;
};

/// Two gateways and two hosts; both gateways with as many workers and queues.
struct Scene {
  const uint32_t workers, queues;
  std::unique_ptr<SharedGateway> a, b;
  std::unique_ptr<port::Port> from_port, to_port;
  std::vector<std::unique_ptr<Host>> from, to;  ///< one a queue
  std::vector<std::vector<uint8_t>> inner;  ///< by tunnel
  std::vector<Sample> outbound, inbound;

  Scene(const TunnelBenchOptions& o, uint32_t with_workers, uint32_t with_queues)
      : workers(with_workers), queues(with_queues) {
    for (uint32_t t = 0; t < o.tunnels; t++) inner.push_back(inner_packet(o.inner_bytes, t));
    auto [a_lan, host_a] = wire(port::Role::kLan, queues, kPackets);
    auto [a_wan, b_wan] = wire(port::Role::kWan, queues, kPackets);
    auto [b_lan, host_b] = wire(port::Role::kLan, queues, kPackets);
    a = std::make_unique<SharedGateway>(1, o.tunnels, workers, std::move(a_lan), std::move(a_wan));
    b = std::make_unique<SharedGateway>(2, o.tunnels, workers, std::move(b_lan), std::move(b_wan));
    a->databases.install(1, b->databases, o.key_bits);
    b->databases.install(2, a->databases, o.key_bits);
    from_port = std::move(host_a);
    to_port = std::move(host_b);
    for (uint32_t q = 0; q < queues; q++) {
      from.push_back(std::make_unique<Host>(*from_port, q, 2 * kPackets));
      to.push_back(std::make_unique<Host>(*to_port, q, 2 * kPackets));
    }
  }

  Sample pass(SharedGateway& gateway, TwoThreads& threads) {
    const uint64_t until_sent = gateway.sent() + kPackets;
    Stopwatch watch;
    watch.start();
    threads.run(workers, [&](uint32_t i) { gateway.run(i, until_sent); });
    watch.stop();
    return watch.take(kPackets);
  }

  void repeat(TwoThreads& threads, bool counts) {
    threads.run(queues, [&](uint32_t q) {
      for (uint32_t i = q; i < kPackets; i += queues) from[q]->send(inner[i % inner.size()]);
    });
    const Sample sealed = pass(*a, threads);
    const Sample opened = pass(*b, threads);
    uint32_t received[kMostWorkers] = {};
    threads.run(workers, [&](uint32_t i) {
      if (i < queues) {
        received[i] = to[i]->receive();
        from[i]->flush();
      }
      for (auto* gateway : {b.get(), a.get()}) gateway->workers[i]->turn();  // frames come back
    });
    if (received[0] + received[1] != kPackets)
      throw std::runtime_error("the benchmark's tunnel lost packets");
    if (!counts) return;
    outbound.push_back(sealed);
    inbound.push_back(opened);
  }
};

}  // namespace

WorkersBenchResult bench_workers(const TunnelBenchOptions& options) {
  if (std::thread::hardware_concurrency() < kMostWorkers)
    throw std::runtime_error("two workers need two CPUs");
  TwoThreads threads;
  Scene one(options, 1, 1), shared(options, 2, 1), split(options, 2, 2);
  const uint32_t repetitions = repeat_for(options.seconds, [&](bool counts) {
    for (Scene* scene : {&one, &shared, &split}) {
      scene->repeat(threads, false);  // its frames come back into the caches
      for (uint32_t i = 0; i < kInARow; i++) scene->repeat(threads, counts);
    }
  });
  const auto costs = [&](Scene& s) {
    return TunnelBenchResult{cost_of(s.outbound), cost_of(s.inbound), repetitions};
  };
  return {costs(one), costs(shared), costs(split)};
}

}  // namespace esplane::addon
