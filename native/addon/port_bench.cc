#include "addon/port_bench.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <memory>
#include <thread>
#include <vector>

#include "addon/arguments.h"
#include "addon/registry.h"
#include "base/bytes.h"
#include "base/clock.h"
#include "packet/checksum.h"
#include "packet/ip.h"
#include "port/open.h"

namespace esplane::addon {
namespace {

using packet::Batch;
using port::FramePool;

constexpr uint32_t kFrameBytes = 2048, kEthernetBytes = 14;
constexpr uint32_t kFlows = 64;
constexpr uint8_t kAnywhere[6] = {0x02, 0, 0, 0, 0, 0xfe};  ///< locally administered

/// One interface, with memory of its own.
struct End {
  port::Umem umem;
  port::xdp::Selection selection;
  port::Resources resources;
  std::unique_ptr<port::Port> port;
  std::vector<std::unique_ptr<FramePool>> pools;      ///< by worker
  std::vector<std::unique_ptr<port::Queue>> queues;

  End(const std::string& device, const PortBenchOptions& o)
      : umem(o.workers * 4 * o.ring_entries, kFrameBytes),
        resources{.umem = umem,
                  .selection = selection,
                  .ring_entries = o.ring_entries,
                  .busy_poll_us = o.busy_poll_us} {
    const auto taken = port::Prefix::parse("198.19.0.0/16");
    selection.set_networks({}, {&taken, 1});
    port = port::open_port(
               {.name = device, .role = port::Role::kLan, .kind = port::Kind::kAuto, .device = device},
               resources)
               .port;
    const uint32_t frames = umem.frames() / o.workers;
    for (uint32_t i = 0; i < o.workers; i++)
      pools.push_back(std::make_unique<FramePool>(umem, i * frames, frames));
    for (uint32_t q = 0; q < port->queues(); q++)
      queues.push_back(port->open_queue(q, *pools[q % o.workers]));
  }
  ~End() { queues.clear(); }

  port::QueueStats stats() const {
    port::QueueStats sum;
    for (const auto& q : queues) sum += q->stats();
    return sum;
  }
};

std::vector<uint8_t> make_frame(const uint8_t* from, const uint8_t* to, uint32_t bytes, uint32_t flow) {
  std::vector<uint8_t> frame(kEthernetBytes + bytes, 0x5a);
  std::memcpy(&frame[0], to, 6);
  std::memcpy(&frame[6], from, 6);
  base::store_be16(&frame[12], 0x0800);
  uint8_t* ip = &frame[kEthernetBytes];
  std::memset(ip, 0, 28);
  ip[0] = 0x45;
  base::store_be16(ip + 2, static_cast<uint16_t>(bytes));
  ip[8] = 64;
  ip[9] = packet::kUdp;
  const uint8_t source[4] = {198, 18, 0, static_cast<uint8_t>(flow)};
  const uint8_t destination[4] = {198, 19, 0, 1};
  std::memcpy(ip + 12, source, 4);
  std::memcpy(ip + 16, destination, 4);
  base::store_be16(ip + 10, packet::internet_checksum(ip, 20));
  base::store_be16(ip + 20, static_cast<uint16_t>(49152 + flow));
  base::store_be16(ip + 22, 7);
  base::store_be16(ip + 24, static_cast<uint16_t>(bytes - 20));
  return frame;
}

class Bench {
 public:
  explicit Bench(const PortBenchOptions& options) : options_(options), sender_(options.sender, options) {
    if (!options.receiver.empty()) receiver_ = std::make_unique<End>(options.receiver, options);
    const uint8_t* to = receiver_ ? receiver_->port->mac() : kAnywhere;
    for (uint32_t flow = 0; flow < kFlows; flow++)
      frames_.push_back(make_frame(sender_.port->mac(), to, options.bytes, flow));
  }

  PortBenchResult run() {
    std::vector<std::thread> threads;
    for (uint32_t i = 0; i < options_.workers; i++) {
      if (receiver_) threads.emplace_back([this, i] { receive(i); });
      threads.emplace_back([this, i] { send(i); });
    }
    // The first tenth fills caches and rings.
    sleep_for(options_.seconds / 10);
    const auto sent = sender_.stats();
    const auto got = receiver_ ? receiver_->stats() : port::QueueStats{};
    const uint64_t from = base::monotonic_ns();
    sleep_for(options_.seconds);
    const uint64_t took = base::monotonic_ns() - from;
    const auto sent_then = sender_.stats();
    const auto got_then = receiver_ ? receiver_->stats() : port::QueueStats{};
    over_.store(true);
    for (auto& thread : threads) thread.join();
    return {.sender_mode = sender_.port->mode(),
            .receiver_mode = receiver_ ? receiver_->port->mode() : "",
            .sender_queues = sender_.port->queues(),
            .receiver_queues = receiver_ ? receiver_->port->queues() : 0,
            .sent = sent_then.tx - sent.tx,
            .received = got_then.rx - got.rx,
            .dropped = got_then.rx_dropped + got_then.rx_no_frame - got.rx_dropped - got.rx_no_frame,
            .seconds = static_cast<double>(took) / 1e9};
  }

 private:
  static void sleep_for(double seconds) {
    std::this_thread::sleep_for(std::chrono::duration<double>(seconds));
  }

  void send(uint32_t worker) {
    FramePool& pool = *sender_.pools[worker];
    uint32_t next = worker;
    while (!over_.load(std::memory_order_relaxed)) {
      for (uint32_t q = worker; q < sender_.queues.size(); q += options_.workers) {
        auto& queue = *sender_.queues[q];
        uint8_t* data[Batch::kCapacity];
        uint32_t length[Batch::kCapacity];
        uint32_t count = 0;
        for (; count < options_.burst; count++) {
          uint8_t* frame = pool.get();
          if (frame == nullptr) break;
          const auto& bytes = frames_[next++ % kFlows];
          data[count] = frame + FramePool::kHeadroom;
          length[count] = static_cast<uint32_t>(bytes.size());
          std::memcpy(data[count], bytes.data(), bytes.size());
        }
        const uint32_t taken = queue.tx(data, length, count);
        for (uint32_t i = taken; i < count; i++) pool.put(data[i]);
        queue.flush();
      }
    }
  }

  void receive(uint32_t worker) {
    FramePool& pool = *receiver_->pools[worker];
    Batch batch;
    batch.chunk_bytes = kFrameBytes;
    while (!over_.load(std::memory_order_relaxed)) {
      for (uint32_t q = worker; q < receiver_->queues.size(); q += options_.workers) {
        batch.clear();
        receiver_->queues[q]->rx(batch, options_.burst);
        for (uint32_t i = 0; i < batch.size; i++) pool.put(batch.data[i]);
        receiver_->queues[q]->flush();
      }
    }
  }

  const PortBenchOptions& options_;
  End sender_;
  std::unique_ptr<End> receiver_;
  std::vector<std::vector<uint8_t>> frames_;  ///< by flow
  std::atomic<bool> over_{false};
};

Napi::Value run_ports(const Napi::CallbackInfo& info) {
  const auto env = info.Env();
  const Fields f(info[0], "options");
  const PortBenchOptions options{
      .sender = f.text("sender"),
      .receiver = f.has("receiver") ? f.text("receiver") : "",
      .workers = static_cast<uint32_t>(f.integer("workers", 1, 64)),
      .burst = static_cast<uint32_t>(f.integer("burst", 1, Batch::kCapacity)),
      .ring_entries = static_cast<uint32_t>(f.integer("ringEntries", 64, 8192)),
      .busy_poll_us = static_cast<uint32_t>(f.integer("busyPollMicroseconds", 0, 10'000)),
      .bytes = static_cast<uint32_t>(f.integer("bytes", 28, 1500)),
      .seconds = static_cast<double>(f.integer("milliseconds", 1, 60'000)) / 1000,
  };
  if ((options.ring_entries & (options.ring_entries - 1)) != 0)
    f.refuse("ringEntries", "a power of two");
  try {
    const auto result = bench_ports(options);
    auto o = Napi::Object::New(env);
    o.Set("senderMode", result.sender_mode);
    o.Set("receiverMode", result.receiver_mode);
    o.Set("senderQueues", result.sender_queues);
    o.Set("receiverQueues", result.receiver_queues);
    o.Set("sent", static_cast<double>(result.sent));
    o.Set("received", static_cast<double>(result.received));
    o.Set("dropped", static_cast<double>(result.dropped));
    o.Set("seconds", result.seconds);
    return o;
  } catch (const std::exception& e) {
    throw Napi::Error::New(env, e.what());
  }
}

}  // namespace

PortBenchResult bench_ports(const PortBenchOptions& options) { return Bench(options).run(); }

void export_port_bench(Napi::Env env, Napi::Object exports) {
  exports.Set("benchPorts", Napi::Function::New(env, run_ports));
}

}  // namespace esplane::addon
