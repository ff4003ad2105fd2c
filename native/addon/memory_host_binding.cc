// MemoryHost: the far end of a memory port, in JavaScript's hands. Tests and the lab without
// privileges play the hosts behind two gateways with it. Not a data path: it copies.
#include <memory>
#include <string>

#include "addon/arguments.h"
#include "addon/registry.h"
#include "addon/results.h"
#include "port/memory/memory_port.h"
#include "port/umem.h"

namespace esplane::addon {
namespace {

class MemoryHost final : public Napi::ObjectWrap<MemoryHost> {
 public:
  static Napi::Function define(Napi::Env env) {
    return DefineClass(env, "MemoryHost",
                       {InstanceMethod<&MemoryHost::send>("send"),
                        InstanceMethod<&MemoryHost::receive>("receive"),
                        InstanceMethod<&MemoryHost::close>("close")});
  }

  /// new MemoryHost(link, queues)
  explicit MemoryHost(const Napi::CallbackInfo& info) : Napi::ObjectWrap<MemoryHost>(info) {
    const std::string link = to_text(info[0], "link");
    const auto queues = static_cast<uint32_t>(to_integer(info[1], "queues", 1, 64));
    try {
      umem_ = std::make_unique<port::Umem>(kFrames, 4096);
      pool_ = std::make_unique<port::FramePool>(*umem_, 0, kFrames);
      port_ = port::open_memory_port(link, {.name = link, .queues = queues});
      for (uint32_t q = 0; q < queues; q++) queues_.push_back(port_->open_queue(q, *pool_));
    } catch (const std::exception& e) {
      throw Napi::Error::New(info.Env(), e.what());
    }
  }

 private:
  static constexpr uint32_t kFrames = 2048;

  /// send(frames, queue) -> how many the wire took, from the front
  Napi::Value send(const Napi::CallbackInfo& info) {
    const auto frames = to_array(info[0], "frames");
    auto& queue = queue_argument(info, 1);
    uint32_t sent = 0;
    for (; sent < frames.Length(); sent++) {
      const auto bytes = to_bytes(frames.Get(sent), "frames[" + std::to_string(sent) + "]");
      if (bytes.size() > umem_->chunk_bytes() - port::FramePool::kHeadroom)
        throw_type(info.Env(), "frames[" + std::to_string(sent) + "]", "at most 3840 bytes");
      uint8_t* frame = pool_->get();
      if (frame == nullptr) break;
      uint8_t* data = frame + port::FramePool::kHeadroom;
      std::copy(bytes.begin(), bytes.end(), data);
      const auto length = static_cast<uint32_t>(bytes.size());
      if (queue.tx(&data, &length, 1) == 1) continue;
      pool_->put(frame);
      break;
    }
    queue.flush();
    return Napi::Number::New(info.Env(), sent);
  }

  /// receive(queue) -> the frames that wait, copies
  Napi::Value receive(const Napi::CallbackInfo& info) {
    const auto env = info.Env();
    auto& queue = queue_argument(info, 0);
    auto frames = Napi::Array::New(env);
    packet::Batch batch;
    batch.chunk_bytes = umem_->chunk_bytes();
    uint32_t count = 0;
    for (;;) {
      batch.clear();
      if (queue.rx(batch, packet::Batch::kCapacity) == 0) break;
      for (uint32_t i = 0; i < batch.size; i++) {
        frames.Set(count++, copy_of(env, {batch.data[i], batch.length[i]}));
        pool_->put(batch.data[i]);
      }
    }
    queue.flush();
    return frames;
  }

  Napi::Value close(const Napi::CallbackInfo& info) {
    queues_.clear();
    port_.reset();
    return info.Env().Undefined();
  }

  port::Queue& queue_argument(const Napi::CallbackInfo& info, size_t index) {
    if (queues_.empty()) throw Napi::Error::New(info.Env(), "this end of the link was closed");
    if (info[index].IsUndefined()) return *queues_[0];
    const auto most = static_cast<int64_t>(queues_.size()) - 1;
    return *queues_[static_cast<size_t>(to_integer(info[index], "queue", 0, most))];
  }

  // In this order: queues give their frames back to the pool, which lies in the umem.
  std::unique_ptr<port::Umem> umem_;
  std::unique_ptr<port::FramePool> pool_;
  std::unique_ptr<port::Port> port_;
  std::vector<std::unique_ptr<port::Queue>> queues_;
};

}  // namespace

void export_memory_host(Napi::Env env, Napi::Object exports) {
  exports.Set("MemoryHost", MemoryHost::define(env));
}

}  // namespace esplane::addon
