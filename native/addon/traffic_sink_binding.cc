// TrafficSink: takes what the generator of benchmarks sends (traffic_stamp.h) from an interface,
// over AF_XDP, and counts it: packets, order, and how long they were on their way.
#include <algorithm>
#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "addon/arguments.h"
#include "addon/registry.h"
#include "addon/traffic_stamp.h"
#include "base/clock.h"
#include "base/latency_histogram.h"
#include "port/open.h"
#include "port/umem.h"

namespace esplane::addon {
namespace {

class TrafficSink final : public Napi::ObjectWrap<TrafficSink> {
 public:
  static Napi::Function define(Napi::Env env) {
    return DefineClass(env, "TrafficSink",
                       {InstanceMethod<&TrafficSink::take>("take"),
                        InstanceMethod<&TrafficSink::stop>("stop")});
  }

  /// new TrafficSink({ device, networks }): begins at once.
  explicit TrafficSink(const Napi::CallbackInfo& info) : Napi::ObjectWrap<TrafficSink>(info) {
    const Fields f(info[0], "options");
    std::vector<port::Prefix> networks;
    f.elements("networks", [&](const Napi::Value& v, const std::string& path) {
      try {
        networks.push_back(port::Prefix::parse(to_text(v, path)));
      } catch (const std::invalid_argument& e) {
        throw Napi::TypeError::New(info.Env(), path + ": " + e.what());
      }
    });
    try {
      open(f.text("device"), networks);
    } catch (const std::exception& e) {
      throw Napi::Error::New(info.Env(), e.what());
    }
    thread_ = std::thread(&TrafficSink::run, this);
  }

  ~TrafficSink() override { end(); }

 private:
  static constexpr uint32_t kFrames = 8192, kFrameBytes = 2048;

  struct Counts {
    uint64_t packets = 0, bytes = 0, reordered = 0, foreign = 0;
    base::LatencyHistogram latency;
  };

  void open(const std::string& device, const std::vector<port::Prefix>& networks) {
    umem_ = std::make_unique<port::Umem>(kFrames, kFrameBytes);
    pool_ = std::make_unique<port::FramePool>(*umem_, 0, kFrames);
    selection_.set_networks({}, networks);
    resources_ = std::make_unique<port::Resources>(port::Resources{*umem_, selection_, 1024});
    port_ = port::open_port({.name = device, .kind = port::Kind::kAuto, .device = device},
                            *resources_)
                .port;
    for (uint32_t q = 0; q < port_->queues(); q++)
      queues_.push_back(port_->open_queue(q, *pool_));
  }

  void run() {
    packet::Batch batch;
    batch.chunk_bytes = kFrameBytes;
    while (!stopping_.load(std::memory_order_relaxed)) {
      bool any = false;
      for (auto& queue : queues_) {
        batch.clear();
        queue->rx(batch, packet::Batch::kCapacity);
        if (batch.size > 0) count(batch);
        any |= batch.size > 0;
        queue->flush();
      }
      if (!any) std::this_thread::yield();
    }
  }

  void count(const packet::Batch& batch) {
    const uint64_t now = base::monotonic_ns();
    const std::lock_guard lock(mutex_);
    for (uint32_t i = 0; i < batch.size; i++) {
      Stamp stamp;
      if (read_stamp(batch.data[i], batch.length[i], stamp)) {
        counts_.packets++;
        counts_.bytes += batch.length[i] - 14;
        counts_.reordered += stamp.number < highest_;
        highest_ = std::max(highest_, stamp.number);
        // A clock of another machine may be ahead of ours.
        if (stamp.ns <= now) counts_.latency.add(now - stamp.ns);
      } else {
        counts_.foreign++;
      }
      pool_->put(batch.data[i]);
    }
  }

  /// What has come since the last call.
  Napi::Value take(const Napi::CallbackInfo& info) {
    Counts counts;
    {
      const std::lock_guard lock(mutex_);
      std::swap(counts, counts_);
      highest_ = 0;
    }
    const auto env = info.Env();
    auto o = Napi::Object::New(env);
    o.Set("packets", static_cast<double>(counts.packets));
    o.Set("bytes", static_cast<double>(counts.bytes));
    o.Set("reordered", static_cast<double>(counts.reordered));
    o.Set("foreign", static_cast<double>(counts.foreign));
    auto latency = Napi::Object::New(env);
    const auto& times = counts.latency;
    for (const auto& [name, part] : {std::pair{"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}, {"p999", 0.999}})
      latency.Set(name, times.percentile(part));
    latency.Set("most", static_cast<double>(times.most()));
    o.Set("latencyNanoseconds", times.total() > 0 ? Napi::Value(latency) : env.Null());
    return o;
  }

  Napi::Value stop(const Napi::CallbackInfo& info) {
    end();
    return info.Env().Undefined();
  }

  void end() {
    stopping_.store(true);
    if (thread_.joinable()) thread_.join();
    queues_.clear();
    port_.reset();
  }

  // In this order: queues give their frames back to the pool, which lies in the umem.
  std::unique_ptr<port::Umem> umem_;
  std::unique_ptr<port::FramePool> pool_;
  port::xdp::Selection selection_;
  std::unique_ptr<port::Resources> resources_;
  std::unique_ptr<port::Port> port_;
  std::vector<std::unique_ptr<port::Queue>> queues_;
  std::atomic<bool> stopping_{false};
  std::mutex mutex_;
  Counts counts_;
  uint64_t highest_ = 0;
  std::thread thread_;
};

}  // namespace

void export_traffic_sink(Napi::Env env, Napi::Object exports) {
  exports.Set("TrafficSink", TrafficSink::define(env));
}

}  // namespace esplane::addon
