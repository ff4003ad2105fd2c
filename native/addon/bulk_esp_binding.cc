// BulkEsp: a SAD and ESP on batches in memory that JavaScript owns; src/dataplane/bulk-esp.ts wraps
// it. No ports, no policies, no threads of its own: what a packet is for, the caller knows.
//
// new BulkEsp(options) makes a SAD, new BulkEsp(id) shares it from another thread of the process.
// Calls work on the caller's memory and return; nothing of it is kept.
#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "addon/dataplane_arguments.h"
#include "addon/guarded.h"
#include "addon/registry.h"
#include "base/clock.h"
#include "base/epoch.h"
#include "esp/inbound.h"
#include "esp/locate.h"
#include "esp/outbound.h"
#include "packet/verdict.h"
#include "sad/prefetch.h"
#include "sad/sad.h"

namespace esplane::addon {
namespace {

using packet::Batch;
using packet::Verdict;

/// What the threads that work with one SAD share.
struct SharedSad {
  const uint32_t id;
  base::Epoch epoch;
  sad::Sad sad;

  SharedSad(uint32_t number, uint32_t capacity) : id(number), sad(capacity, epoch) {}

  static std::shared_ptr<SharedSad> create(uint32_t capacity);
  static std::shared_ptr<SharedSad> find(uint32_t id);
};

struct Registry {
  std::mutex mutex;
  uint32_t last_id = 0;
  std::map<uint32_t, std::weak_ptr<SharedSad>> alive;
};

Registry& registry() {
  static Registry instance;
  return instance;
}

std::shared_ptr<SharedSad> SharedSad::create(uint32_t capacity) {
  Registry& r = registry();
  const std::lock_guard lock(r.mutex);
  std::erase_if(r.alive, [](const auto& entry) { return entry.second.expired(); });
  auto made = std::make_shared<SharedSad>(++r.last_id, capacity);
  r.alive[made->id] = made;
  return made;
}

std::shared_ptr<SharedSad> SharedSad::find(uint32_t id) {
  Registry& r = registry();
  const std::lock_guard lock(r.mutex);
  const auto it = r.alive.find(id);
  return it == r.alive.end() ? nullptr : it->second.lock();
}

/// The arrays of a PacketBatch, checked: packet i lies at `frames + offset[i]`.
struct Packets {
  uint8_t* frames;
  size_t frame_count;
  uint32_t frame_bytes;
  uint32_t count;
  uint32_t* offset;
  uint32_t* length;
  uint32_t* pair;     ///< inbound SPI of the SA pair
  uint8_t* verdict;

  /// Whether packet i lies within one frame.
  bool is_inside(uint32_t i) const {
    const uint32_t within = offset[i] & (frame_bytes - 1);
    return offset[i] / frame_bytes < frame_count && length[i] <= frame_bytes - within;
  }
};

template <typename T>
T* to_numbers(const Fields& f, const char* name, napi_typedarray_type type, const char* expected,
              size_t least) {
  const Napi::Value v = f.value(name);
  if (!v.IsTypedArray() || v.As<Napi::TypedArray>().TypedArrayType() != type ||
      v.As<Napi::TypedArray>().ElementLength() < least) {
    f.refuse(name, expected);
  }
  return v.As<Napi::TypedArrayOf<T>>().Data();
}

/// @throws Napi::TypeError naming the field
Packets to_packets(const Napi::Value& v) {
  const Fields f(v, "batch");
  Packets p;
  const auto bytes = f.bytes("frames");
  p.frame_bytes = static_cast<uint32_t>(f.integer("frameBytes", 256, 65536));
  if ((p.frame_bytes & (p.frame_bytes - 1)) != 0) f.refuse("frameBytes", "a power of two");
  if (reinterpret_cast<uintptr_t>(bytes.data()) % p.frame_bytes != 0) {
    f.refuse("frames", "memory that begins at a multiple of frameBytes (allocateFrames)");
  }
  p.frames = const_cast<uint8_t*>(bytes.data());
  p.frame_count = bytes.size() / p.frame_bytes;
  p.count = static_cast<uint32_t>(f.integer("size", 0, 1 << 20));
  constexpr auto* kNumbers = "a Uint32Array of at least `size` elements";
  p.offset = to_numbers<uint32_t>(f, "offset", napi_uint32_array, kNumbers, p.count);
  p.length = to_numbers<uint32_t>(f, "length", napi_uint32_array, kNumbers, p.count);
  p.pair = to_numbers<uint32_t>(f, "pair", napi_uint32_array, kNumbers, p.count);
  p.verdict = to_numbers<uint8_t>(f, "verdict", napi_uint8_array,
                                  "a Uint8Array of at least `size` elements", p.count);
  for (uint32_t i = 0; i < p.count; i++) {
    if (p.is_inside(i)) continue;
    throw Napi::RangeError::New(v.Env(), "batch: packet " + std::to_string(i) +
                                             " does not lie within one frame");
  }
  return p;
}

/// Up to 64 of the packets as the dataplane sees them, and back.
class Slice {
 public:
  Slice(const Packets& packets, uint32_t first) : packets_(packets), first_(first) {
    batch.chunk_bytes = packets.frame_bytes;
    batch.size = std::min(packets.count - first, Batch::kCapacity);
    for (uint32_t i = 0; i < batch.size; i++) {
      batch.data[i] = packets.frames + packets.offset[first + i];
      batch.length[i] = packets.length[first + i];
      batch.verdict[i] = Verdict::kPending;
      batch.outbound[i] = nullptr;
    }
  }

  /// @return packets that went through
  uint32_t write_back() const {
    uint32_t passed = 0;
    for (uint32_t i = 0; i < batch.size; i++) {
      const uint32_t p = first_ + i;
      packets_.verdict[p] = static_cast<uint8_t>(batch.verdict[i]);
      if (batch.verdict[i] != Verdict::kPending) continue;
      packets_.offset[p] = static_cast<uint32_t>(batch.data[i] - packets_.frames);
      packets_.length[p] = batch.length[i];
      passed++;
    }
    return passed;
  }

  Batch batch;

 private:
  const Packets& packets_;
  const uint32_t first_;
};

/// Reads the outer or inner IP header of every packet and cuts it to its own length.
void read_headers(Batch& batch, packet::IpHeader header[Batch::kCapacity]) {
  for (uint32_t i = 0; i < batch.size; i++) {
    if (batch.verdict[i] != Verdict::kPending) continue;
    batch.verdict[i] = packet::parse_ip(batch.data[i], batch.length[i], header[i]);
    if (batch.verdict[i] == Verdict::kPending) batch.length[i] = header[i].total_bytes;
  }
}

class BulkEsp final : public Napi::ObjectWrap<BulkEsp> {
 public:
  static Napi::Function define(Napi::Env env) {
    return DefineClass(env, "BulkEsp",
                       {InstanceAccessor<&BulkEsp::id>("id"),
                        InstanceMethod<&BulkEsp::allocate_spi>("allocateSpi"),
                        InstanceMethod<&BulkEsp::release_spi>("releaseSpi"),
                        InstanceMethod<&BulkEsp::install>("install"),
                        InstanceMethod<&BulkEsp::remove>("remove"),
                        InstanceMethod<&BulkEsp::counters>("counters"),
                        InstanceMethod<&BulkEsp::outbound>("outbound"),
                        InstanceMethod<&BulkEsp::inbound>("inbound"),
                        InstanceMethod<&BulkEsp::close>("close")});
  }

  explicit BulkEsp(const Napi::CallbackInfo& info) : Napi::ObjectWrap<BulkEsp>(info) {
    if (info[0].IsNumber()) {
      shared_ = SharedSad::find(static_cast<uint32_t>(to_integer(info[0], "id", 1, UINT32_MAX)));
      if (!shared_) throw Napi::Error::New(info.Env(), "no such BulkEsp is alive in this process");
    } else {
      const auto capacity = static_cast<uint32_t>(
          Fields(info[0], "options").integer("maxChildSas", 1, sad::Sad::kMostPairs));
      shared_ = guarded(info.Env(), [&] { return SharedSad::create(capacity); });
    }
    reader_ = std::make_unique<base::Epoch::Reader>(shared_->epoch);
    reader_->idle();
  }

 private:
  SharedSad& shared(const Napi::CallbackInfo& info) const {
    if (!shared_) throw Napi::Error::New(info.Env(), "this BulkEsp was closed");
    return *shared_;
  }

  Napi::Value id(const Napi::CallbackInfo& info) {
    return Napi::Number::New(info.Env(), shared(info).id);
  }

  Napi::Value allocate_spi(const Napi::CallbackInfo& info) {
    auto& s = shared(info);
    return Napi::Number::New(info.Env(), guarded(info.Env(), [&] { return s.sad.allocate_spi(); }));
  }

  Napi::Value release_spi(const Napi::CallbackInfo& info) {
    shared(info).sad.release_spi(to_spi(info[0], "spi"));
    return info.Env().Undefined();
  }

  Napi::Value install(const Napi::CallbackInfo& info) {
    auto& s = shared(info);
    const auto parameters = to_sa_parameters(info[0]);
    guarded(info.Env(), [&] { s.sad.install(parameters); });
    return info.Env().Undefined();
  }

  Napi::Value remove(const Napi::CallbackInfo& info) {
    const bool removed = shared(info).sad.remove(to_spi(info[0], "inboundSpi"));
    return Napi::Boolean::New(info.Env(), removed);
  }

  Napi::Value counters(const Napi::CallbackInfo& info) {
    const auto found = shared(info).sad.counters(to_spi(info[0], "inboundSpi"));
    return found ? from_counters(info.Env(), *found) : info.Env().Undefined();
  }

  /// outbound(batch) -> packets sealed
  Napi::Value outbound(const Napi::CallbackInfo& info) {
    auto& s = shared(info);
    const Packets packets = to_packets(info[0]);
    reader_->resume();
    uint32_t passed = 0;
    for (uint32_t first = 0; first < packets.count; first += Batch::kCapacity) {
      Slice slice(packets, first);
      packet::IpHeader header[Batch::kCapacity];
      read_headers(slice.batch, header);
      find_outbound(s.sad, packets, first, slice.batch);
      sad::prefetch_outbound(s.sad, slice.batch);
      esp::outbound(slice.batch, base::monotonic_s());
      passed += slice.write_back();
    }
    reader_->idle();
    return Napi::Number::New(info.Env(), passed);
  }

  static void find_outbound(const sad::Sad& sad, const Packets& packets, uint32_t first,
                            Batch& batch) {
    uint32_t last_pair = 0;
    sad::OutboundSa* sa = nullptr;
    for (uint32_t i = 0; i < batch.size; i++) {
      if (batch.verdict[i] != Verdict::kPending) continue;
      const uint32_t pair = packets.pair[first + i];
      if (pair != last_pair || sa == nullptr) sa = sad.outbound(pair);
      last_pair = pair;
      batch.outbound[i] = sa;
      if (sa == nullptr) batch.verdict[i] = Verdict::kNoSa;
    }
  }

  /// inbound(batch) -> packets opened; tells the pair of each
  Napi::Value inbound(const Napi::CallbackInfo& info) {
    auto& s = shared(info);
    const Packets packets = to_packets(info[0]);
    reader_->resume();
    uint32_t passed = 0;
    for (uint32_t first = 0; first < packets.count; first += Batch::kCapacity) {
      Slice slice(packets, first);
      packet::IpHeader header[Batch::kCapacity], inner[Batch::kCapacity];
      uint16_t esp_offset[Batch::kCapacity];
      read_headers(slice.batch, header);
      find_inbound(s.sad, packets, first, slice.batch, header, esp_offset);
      esp::inbound(slice.batch, esp_offset, inner, base::monotonic_s());
      passed += slice.write_back();
    }
    reader_->idle();
    return Napi::Number::New(info.Env(), passed);
  }

  static void find_inbound(const sad::Sad& sad, const Packets& packets, uint32_t first,
                           Batch& batch, const packet::IpHeader* header, uint16_t* esp_offset) {
    for (uint32_t i = 0; i < batch.size; i++) {
      batch.inbound[i] = nullptr;
      if (batch.verdict[i] != Verdict::kPending) continue;
      const auto at = esp::locate(batch.data[i], header[i]);
      if (!at.is_ipsec()) {
        batch.verdict[i] = refused(at.content);
        continue;
      }
      packets.pair[first + i] = at.spi;
      esp_offset[i] = at.offset;
      batch.length[i] = at.end;
      Verdict unknown;
      batch.inbound[i] = esp::find_sa(sad, at, unknown);
      if (batch.inbound[i] == nullptr) batch.verdict[i] = unknown;
    }
  }

  static Verdict refused(esp::Content content) {
    switch (content) {
      case esp::Content::kKeepalive:
        return Verdict::kNatKeepalive;
      case esp::Content::kTooShort:
        return Verdict::kEspTooShort;
      case esp::Content::kFragment:
        return Verdict::kEspFragment;
      default:
        return Verdict::kClearTextInbound;
    }
  }

  Napi::Value close(const Napi::CallbackInfo& info) {
    reader_.reset();
    shared_.reset();
    return info.Env().Undefined();
  }

  std::shared_ptr<SharedSad> shared_;
  std::unique_ptr<base::Epoch::Reader> reader_;  ///< gone before the epoch
};

/// frameAlignment(memory, frameBytes) -> bytes to skip so that frames begin at a multiple of their
/// size. Memory of an ArrayBuffer never moves.
Napi::Value frame_alignment(const Napi::CallbackInfo& info) {
  const auto memory = reinterpret_cast<uintptr_t>(to_bytes(info[0], "memory").data());
  const auto frame_bytes = static_cast<uintptr_t>(to_integer(info[1], "frameBytes", 256, 65536));
  return Napi::Number::New(info.Env(), static_cast<double>((0 - memory) & (frame_bytes - 1)));
}

/// verdictNames() -> by number
Napi::Value verdict_names(const Napi::CallbackInfo& info) {
  auto names = Napi::Array::New(info.Env());
  for (uint32_t i = 0; i < packet::kVerdictCount; i++) names.Set(i, packet::kVerdicts[i].name);
  return names;
}

}  // namespace

void export_bulk_esp(Napi::Env env, Napi::Object exports) {
  exports.Set("BulkEsp", BulkEsp::define(env));
  exports.Set("frameAlignment", Napi::Function::New(env, frame_alignment));
  exports.Set("verdictNames", Napi::Function::New(env, verdict_names));
}

}  // namespace esplane::addon
