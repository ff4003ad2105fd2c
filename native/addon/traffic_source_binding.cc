// TrafficSource: sends the same packets over an interface, at a rate or as fast as AF_XDP takes
// them, from a thread of its own. The generator of benchmarks; it knows no gateway.
#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "addon/arguments.h"
#include "addon/registry.h"
#include "addon/traffic_stamp.h"
#include "base/clock.h"
#include "port/open.h"
#include "port/umem.h"

namespace esplane::addon {
namespace {

class TrafficSource final : public Napi::ObjectWrap<TrafficSource> {
 public:
  static Napi::Function define(Napi::Env env) {
    return DefineClass(env, "TrafficSource",
                       {InstanceMethod<&TrafficSource::sent>("sent"),
                        InstanceMethod<&TrafficSource::set_rate>("setRate"),
                        InstanceMethod<&TrafficSource::stop>("stop")});
  }

  /// new TrafficSource({ device, frames, cpu, packetsPerSecond, stamped }): starts at once.
  explicit TrafficSource(const Napi::CallbackInfo& info) : Napi::ObjectWrap<TrafficSource>(info) {
    const Fields f(info[0], "options");
    const std::string device = f.text("device");
    const int cpu = f.has("cpu") ? static_cast<int>(f.integer("cpu", 0, CPU_SETSIZE - 1)) : -1;
    if (f.has("packetsPerSecond")) rate_ = to_rate(f.value("packetsPerSecond"));
    stamped_ = f.flag_or("stamped", false);
    f.elements("frames", [&](const Napi::Value& v, const std::string& path) {
      const auto bytes = to_bytes(v, path);
      if (bytes.empty() || bytes.size() > kFrameBytes - port::FramePool::kHeadroom)
        throw_type(info.Env(), path, "1 to 1792 bytes");
      if (stamped_ && bytes.size() < kStampOffset + kStampBytes)
        throw_type(info.Env(), path, "room for a stamp");
      templates_.emplace_back(bytes.begin(), bytes.end());
    });
    if (templates_.empty()) f.refuse("frames", "at least one frame");
    try {
      open(device);
    } catch (const std::exception& e) {
      throw Napi::Error::New(info.Env(), e.what());
    }
    thread_ = std::thread(&TrafficSource::run, this);
    if (cpu < 0) return;
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(static_cast<size_t>(cpu), &set);
    pthread_setaffinity_np(thread_.native_handle(), sizeof set, &set);
  }

  ~TrafficSource() override { end(); }

 private:
  static constexpr uint32_t kFrames = 4096, kFrameBytes = 2048, kBurst = 64;

  void open(const std::string& device) {
    umem_ = std::make_unique<port::Umem>(kFrames, kFrameBytes);
    pool_ = std::make_unique<port::FramePool>(*umem_, 0, kFrames);
    resources_ = std::make_unique<port::Resources>(port::Resources{*umem_, selection_, 1024});
    port_ = port::open_port({.name = device, .kind = port::Kind::kXdp, .device = device},
                            *resources_)
                .port;
    queue_ = port_->open_queue(0, *pool_);
  }

  static constexpr uint64_t kAsFastAsItGoes = ~uint64_t{0};

  /// Packets a second, 0: none for now.
  static uint64_t to_rate(const Napi::Value& v) {
    return static_cast<uint64_t>(to_integer(v, "packetsPerSecond", 0, 1'000'000'000));
  }

  /// How many packets are due: what was missed is made up for.
  class Pace {
   public:
    uint32_t due(uint64_t rate, uint64_t now_ns) {
      if (rate != rate_) *this = Pace(rate, now_ns);
      if (rate == kAsFastAsItGoes) return kBurst;
      const double seconds = static_cast<double>(now_ns - since_ns_) / 1e9;
      const auto all = static_cast<uint64_t>(seconds * static_cast<double>(rate));
      return static_cast<uint32_t>(std::min<uint64_t>(kBurst, all > sent_ ? all - sent_ : 0));
    }
    void sent(uint32_t count) { sent_ += count; }
    Pace() = default;

   private:
    Pace(uint64_t rate, uint64_t now_ns) : rate_(rate), since_ns_(now_ns) {}
    uint64_t rate_ = 0, since_ns_ = 0, sent_ = 0;
  };

  Napi::Value set_rate(const Napi::CallbackInfo& info) {
    rate_.store(to_rate(info[0]), std::memory_order_relaxed);
    return info.Env().Undefined();
  }

  void run() {
    Pace pace;
    uint64_t next = 0;
    uint8_t* data[kBurst];
    uint32_t length[kBurst];
    while (!stopping_.load(std::memory_order_relaxed)) {
      const uint64_t now = base::monotonic_ns();
      const uint32_t wanted = pace.due(rate_.load(std::memory_order_relaxed), now);
      uint32_t count = 0;
      while (count < wanted) {
        uint8_t* frame = pool_->get();
        if (frame == nullptr) break;
        const auto& bytes = templates_[next++ % templates_.size()];
        data[count] = frame + port::FramePool::kHeadroom;
        length[count] = static_cast<uint32_t>(bytes.size());
        std::copy(bytes.begin(), bytes.end(), data[count]);
        if (stamped_) write_stamp(data[count], next, now);
        count++;
      }
      const uint32_t taken = queue_->tx(data, length, count);
      for (uint32_t i = taken; i < count; i++) pool_->put(data[i]);
      next -= count - taken;
      pace.sent(taken);
      sent_.fetch_add(taken, std::memory_order_relaxed);
      queue_->flush();
    }
  }

  Napi::Value sent(const Napi::CallbackInfo& info) {
    return Napi::Number::New(info.Env(), static_cast<double>(sent_.load()));
  }

  Napi::Value stop(const Napi::CallbackInfo& info) {
    end();
    return info.Env().Undefined();
  }

  void end() {
    stopping_.store(true);
    if (thread_.joinable()) thread_.join();
    queue_.reset();
    port_.reset();
  }

  std::atomic<uint64_t> rate_{kAsFastAsItGoes};
  bool stamped_ = false;
  std::vector<std::vector<uint8_t>> templates_;
  // In this order: queues give their frames back to the pool, which lies in the umem.
  std::unique_ptr<port::Umem> umem_;
  std::unique_ptr<port::FramePool> pool_;
  port::xdp::Selection selection_;
  std::unique_ptr<port::Resources> resources_;
  std::unique_ptr<port::Port> port_;
  std::unique_ptr<port::Queue> queue_;
  std::atomic<bool> stopping_{false};
  std::atomic<uint64_t> sent_{0};
  std::thread thread_;
};

}  // namespace

void export_traffic_source(Napi::Env env, Napi::Object exports) {
  exports.Set("TrafficSource", TrafficSource::define(env));
}

}  // namespace esplane::addon
