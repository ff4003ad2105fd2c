// One SA on one worker and on several: the workers of the pipeline, driven by threads of the
// benchmark's own, so that the clock starts when everything has arrived.
//
// What a queue receives was written by the thread that drives it, and what it sent is read there:
// as with a network card, no other core's cache holds the packets.
#include <algorithm>
#include <atomic>
#include <functional>
#include <thread>

#include "addon/tunnel_bench.h"
#include "addon/tunnel_bench_parts.h"
#include "pipeline/worker.h"

namespace esplane::addon {
namespace {

using packet::Verdict;

constexpr uint32_t kPackets = 1024;  ///< of one repetition, at least: 16 bursts; two megabytes
constexpr uint32_t kPacketsPerWorker = 512;
constexpr uint32_t kInARow = 4;  ///< repetitions before the next arrangement has its turn
constexpr uint32_t kSlots = 16;

/// One gateway whose workers own its queues in turn.
struct SharedGateway {
  Gateway databases;
  pipeline::EventRing events;
  pipeline::Networks networks;
  std::atomic<const pipeline::Networks*> networks_pointer{&networks};
  port::Umem umem;
  pipeline::Shared shared;
  std::vector<pipeline::Counters> counters;  ///< by worker
  net::StaticNextHops hops;
  std::unique_ptr<port::Port> ports[2];
  std::vector<std::unique_ptr<pipeline::Lane>> lanes;
  std::vector<std::unique_ptr<pipeline::Worker>> workers;

  SharedGateway(uint8_t side, uint32_t tunnels, uint32_t worker_count, uint32_t packets,
                uint32_t own_sas, std::unique_ptr<port::Port> lan, std::unique_ptr<port::Port> wan)
      : databases(tunnels, own_sas),
        umem(2 * packets, kChunkBytes),
        shared{.epoch = databases.epoch,
               .sad = databases.sad,
               .spd = databases.spd,
               .events = events,
               .networks = networks_pointer,
               .roles = {port::Role::kLan, port::Role::kWan},
               .chunk_bytes = kChunkBytes},
        counters(worker_count),
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
    for (uint32_t i = 0; i < worker_count; i++) {
      std::vector<pipeline::Worker*> colleagues;
      for (uint32_t n = 1; n < worker_count; n++)
        colleagues.push_back(workers[(i + n) % worker_count].get());
      workers[i]->set_colleagues(std::move(colleagues));
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

/// The threads of the workers: the caller's, and others that spin until there is something to do.
class Threads {
 public:
  using Task = std::function<void(uint32_t)>;

  explicit Threads(uint32_t count) : tasks_(count - 1) {
    for (uint32_t i = 1; i < count; i++) others_.emplace_back([this, i] { loop(i); });
  }
  ~Threads() {
    over_.store(true);
    for (auto& thread : others_) thread.join();
  }

  /// Calls task(0) to task(threads - 1), all at the same time.
  void run(uint32_t threads, const Task& task) {
    for (uint32_t i = 1; i < threads; i++) tasks_[i - 1].store(&task, std::memory_order_release);
    task(0);
    for (uint32_t i = 1; i < threads; i++) {
      while (tasks_[i - 1].load(std::memory_order_acquire) != nullptr) {
      }
    }
  }

 private:
  void loop(uint32_t i) {
    while (!over_.load(std::memory_order_relaxed)) {
      const Task* task = tasks_[i - 1].load(std::memory_order_acquire);
      if (task == nullptr) continue;
      (*task)(i);
      tasks_[i - 1].store(nullptr, std::memory_order_release);
    }
  }

  std::vector<std::atomic<const Task*>> tasks_;  ///< of thread i + 1
  std::atomic<bool> over_{false};
  std::vector<std::thread> others_;
};

/// Two gateways and two hosts; both gateways with as many workers and queues.
struct Scene {
  const uint32_t workers, queues;
  const uint32_t packets;  ///< of one repetition
  std::unique_ptr<SharedGateway> a, b;
  std::unique_ptr<port::Port> from_port, to_port;
  std::vector<std::unique_ptr<Host>> from, to;  ///< one a queue
  std::vector<std::vector<uint8_t>> inner;  ///< by tunnel
  std::vector<Sample> outbound, inbound;

  Scene(const TunnelBenchOptions& o, const Arrangement& with)
      : workers(with.workers),
        queues(with.queues),
        packets(std::max(kPackets, kPacketsPerWorker * with.workers)) {
    for (uint32_t t = 0; t < o.tunnels; t++) inner.push_back(inner_packet(o.inner_bytes, t));
    auto [a_lan, host_a] = wire(port::Role::kLan, queues, packets);
    auto [a_wan, b_wan] = wire(port::Role::kWan, queues, packets);
    auto [b_lan, host_b] = wire(port::Role::kLan, queues, packets);
    const uint32_t own_sas = with.own_sas ? queues : 0;
    a = std::make_unique<SharedGateway>(1, o.tunnels, workers, packets, own_sas,
                                        std::move(a_lan), std::move(a_wan));
    b = std::make_unique<SharedGateway>(2, o.tunnels, workers, packets, own_sas,
                                        std::move(b_lan), std::move(b_wan));
    a->databases.install(1, b->databases, o);
    b->databases.install(2, a->databases, o);
    from_port = std::move(host_a);
    to_port = std::move(host_b);
    for (uint32_t q = 0; q < queues; q++) {
      from.push_back(std::make_unique<Host>(*from_port, q, 2 * packets));
      to.push_back(std::make_unique<Host>(*to_port, q, 2 * packets));
    }
  }

  Sample pass(SharedGateway& gateway, Threads& threads) {
    const uint64_t until_sent = gateway.sent() + packets;
    Stopwatch watch;
    watch.start();
    threads.run(workers, [&](uint32_t i) { gateway.run(i, until_sent); });
    watch.stop();
    return watch.take(packets);
  }

  void repeat(Threads& threads, bool counts) {
    threads.run(queues, [&](uint32_t q) {
      for (uint32_t i = q; i < packets; i += queues) from[q]->send(inner[i % inner.size()]);
    });
    const Sample sealed = pass(*a, threads);
    const Sample opened = pass(*b, threads);
    std::atomic<uint32_t> received{0};
    threads.run(workers, [&](uint32_t i) {
      if (i < queues) {
        received += to[i]->receive();
        from[i]->flush();
      }
      for (auto* gateway : {b.get(), a.get()}) gateway->workers[i]->turn();  // frames come back
    });
    if (received != packets) throw std::runtime_error("the benchmark's tunnel lost packets");
    if (!counts) return;
    outbound.push_back(sealed);
    inbound.push_back(opened);
  }
};

}  // namespace

std::vector<TunnelBenchResult> bench_workers(const TunnelBenchOptions& options,
                                             const std::vector<Arrangement>& arrangements) {
  uint32_t most = 1;
  for (const auto& a : arrangements) most = std::max(most, a.workers);
  if (std::thread::hardware_concurrency() < most)
    throw std::runtime_error(std::to_string(most) + " workers need as many CPUs");
  Threads threads(most);
  std::vector<std::unique_ptr<Scene>> scenes;
  for (const auto& a : arrangements) scenes.push_back(std::make_unique<Scene>(options, a));
  const uint32_t repetitions = repeat_for(options.seconds, [&](bool counts) {
    for (auto& scene : scenes) {
      scene->repeat(threads, false);  // its frames come back into the caches
      for (uint32_t i = 0; i < kInARow; i++) scene->repeat(threads, counts);
    }
  });
  std::vector<TunnelBenchResult> results;
  for (auto& s : scenes)
    results.push_back({cost_of(s->outbound), cost_of(s->inbound), repetitions});
  return results;
}

}  // namespace esplane::addon
