// What the CPU has, which AES-GCM kernels run on it, and their timing. The dataplane does not come
// through here.
#include "addon/arguments.h"
#include "addon/gcm_bench.h"
#include "addon/gcm_peers.h"
#include "addon/registry.h"
#include "addon/results.h"
#include "base/cpu.h"
#include "crypto/engine.h"

namespace esplane::addon {
namespace {

using crypto::Batch;
using crypto::Engine;

constexpr uint32_t kMostTextBytes = 65535;
constexpr uint32_t kMostKeys = 65536;

/// Those of AES-128-GCM-16, whose engines serve all sizes of keys.
const crypto::Suite& gcm_suite() {
  return *crypto::find_suite(crypto::kEncrAesGcm16, 128, crypto::kNone);
}

std::span<const Engine* const> gcm_engines() { return crypto::engines(gcm_suite()); }

const Engine& kernel_argument(const Fields& fields) {
  const std::string name = fields.text("kernel");
  for (const auto engines : {gcm_engines(), gcm_peers()}) {
    for (const Engine* engine : engines) {
      if (name == engine->name) return *engine;
    }
  }
  fields.refuse("kernel", "an AES-GCM kernel of this CPU or a peer");
}

Napi::Array names_of(Napi::Env env, std::span<const Engine* const> engines) {
  auto names = Napi::Array::New(env);
  for (const Engine* engine : engines) {
    names.Set(names.Length(), Napi::String::New(env, engine->name));
  }
  return names;
}

Napi::Value gcm_kernels(const Napi::CallbackInfo& info) {
  auto result = Napi::Object::New(info.Env());
  result.Set("inUse", crypto::engine(gcm_suite()).name);
  result.Set("available", names_of(info.Env(), gcm_engines()));
  result.Set("peers", names_of(info.Env(), gcm_peers()));
  return result;
}

/// benchGcm(options)
Napi::Value bench_gcm_binding(const Napi::CallbackInfo& info) {
  const Fields fields(info[0], "options");
  const auto number = [&](const char* name, int64_t least, int64_t most) {
    return static_cast<uint32_t>(fields.integer(name, least, most));
  };
  const GcmBenchOptions options = {
      .kernel = &kernel_argument(fields),
      .key_bits = number("keyBits", 128, 256),
      .keys = fields.has("keys") ? number("keys", 1, kMostKeys) : 1,
      .text_bytes = number("textBytes", 0, kMostTextBytes),
      .gmac = fields.flag_or("gmac", false),
      .batch = number("batch", 1, Batch::kCapacity),
      .decrypt = fields.flag("decrypt"),
      .hot = fields.flag("hot"),
      .seconds = fields.value("seconds").ToNumber().DoubleValue(),
  };
  if (options.key_bits % 64 != 0) fields.refuse("keyBits", "128, 192 or 256");
  const GcmBenchResult measured = bench_gcm(options);
  auto result = from_cost(info.Env(), measured.cost);
  result.Set("repetitions", measured.repetitions);
  return result;
}

Napi::Value cpu_features(const Napi::CallbackInfo& info) {
  const auto& f = base::cpu_features();
  auto o = Napi::Object::New(info.Env());
  o.Set("aesni", f.aesni);
  o.Set("pclmul", f.pclmul);
  o.Set("avx", f.avx);
  o.Set("avx2", f.avx2);
  o.Set("vaes", f.vaes);
  o.Set("vpclmul", f.vpclmul);
  o.Set("avx512", f.avx512);
  return o;
}

}  // namespace

void export_crypto(Napi::Env env, Napi::Object exports) {
  exports.Set("cpuFeatures", Napi::Function::New(env, cpu_features));
  exports.Set("gcmKernels", Napi::Function::New(env, gcm_kernels));
  exports.Set("benchGcm", Napi::Function::New(env, bench_gcm_binding));
}

}  // namespace esplane::addon
