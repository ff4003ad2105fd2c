// AES-GCM for tests and benchmarks: one operation on any kernel, and the timing of batches.
//
// The dataplane does not come through here. Keys that do are expanded into a KeyTable, which wipes
// itself; the caller owns and wipes its own.
#include <optional>

#include "addon/gcm_bench.h"
#include "addon/gcm_peers.h"
#include "addon/registry.h"
#include "base/cpu.h"
#include "crypto/engine.h"

namespace esplane::addon {
namespace {

using crypto::Batch;
using crypto::Engine;
using crypto::KeyTable;

constexpr uint32_t kMaxTextBytes = 65535;
constexpr size_t kIcvBytes = 16;

const crypto::Suite& gcm_suite(size_t key_bytes) {
  return *crypto::find_suite(crypto::kEncrAesGcm16, static_cast<uint16_t>(key_bytes * 8),
                             crypto::kNone);
}

std::span<const Engine* const> gcm_engines() { return crypto::engines(gcm_suite(16)); }

const Engine& kernel_argument(Napi::Env env, const Napi::Value& value) {
  const std::string name = value.As<Napi::String>();
  for (const Engine* kernel : gcm_engines()) {
    if (name == kernel->name) return *kernel;
  }
  throw Napi::TypeError::New(env, "this CPU has no AES-GCM kernel called " + name);
}

std::span<uint8_t> bytes_argument(const Napi::CallbackInfo& info, size_t index) {
  if (!info[index].IsTypedArray() ||
      info[index].As<Napi::TypedArray>().TypedArrayType() != napi_uint8_array) {
    throw Napi::TypeError::New(info.Env(),
                               "argument " + std::to_string(index) + " is not a Uint8Array");
  }
  auto array = info[index].As<Napi::Uint8Array>();
  return {array.Data(), array.ElementLength()};
}

void require(const Napi::CallbackInfo& info, bool ok, const char* what) {
  if (!ok) throw Napi::TypeError::New(info.Env(), what);
}

bool is_key_size(size_t bytes) { return bytes == 16 || bytes == 24 || bytes == 32; }

Napi::Uint8Array copy_of(Napi::Env env, std::span<const uint8_t> bytes) {
  auto array = Napi::Uint8Array::New(env, bytes.size());
  std::copy(bytes.begin(), bytes.end(), array.Data());
  return array;
}

/// A batch of one from the arguments (kernel, key, nonce, aad, text). `text` is in a copy.
struct SingleOperation {
  const Engine& kernel;
  std::optional<KeyTable> key;
  Napi::Uint8Array text;
  uint8_t icv[kIcvBytes];
  Batch batch;

  explicit SingleOperation(const Napi::CallbackInfo& info)
      : kernel(kernel_argument(info.Env(), info[0])) {
    const auto raw_key = bytes_argument(info, 1);
    const auto nonce = bytes_argument(info, 2);
    const auto aad = bytes_argument(info, 3);
    const auto input = bytes_argument(info, 4);
    require(info, is_key_size(raw_key.size()), "the key is not of 16, 24 or 32 bytes");
    require(info, nonce.size() == 12, "the nonce is not of 12 bytes");
    require(info, aad.size() <= kMaxTextBytes, "the AAD is longer than 65535 bytes");
    require(info, input.size() <= kMaxTextBytes, "the text is longer than 65535 bytes");
    key.emplace(kernel, gcm_suite(raw_key.size()), crypto::Keys{raw_key});
    text = copy_of(info.Env(), input);
    batch.size = 1;
    batch.key[0] = key->data();
    batch.nonce[0] = nonce.data();
    batch.aad[0] = aad.data();
    batch.aad_bytes[0] = static_cast<uint32_t>(aad.size());
    batch.text[0] = text.Data();
    batch.text_bytes[0] = static_cast<uint32_t>(input.size());
    batch.icv[0] = icv;
    batch.icv_bytes[0] = sizeof icv;
  }
};

Napi::Array names_of(Napi::Env env, std::span<const Engine* const> engines) {
  auto names = Napi::Array::New(env);
  for (const Engine* engine : engines) {
    names.Set(names.Length(), Napi::String::New(env, engine->name));
  }
  return names;
}

Napi::Value gcm_kernels(const Napi::CallbackInfo& info) {
  auto result = Napi::Object::New(info.Env());
  result.Set("inUse", crypto::engine(gcm_suite(16)).name);
  result.Set("available", names_of(info.Env(), gcm_engines()));
  result.Set("peers", names_of(info.Env(), gcm_peers()));
  return result;
}

Napi::Value gcm_seal(const Napi::CallbackInfo& info) {
  SingleOperation operation(info);
  operation.kernel.seal(operation.batch);
  auto result = Napi::Object::New(info.Env());
  result.Set("text", operation.text);
  result.Set("icv", copy_of(info.Env(), operation.icv));
  return result;
}

Napi::Value gcm_open(const Napi::CallbackInfo& info) {
  SingleOperation operation(info);
  const auto icv = bytes_argument(info, 5);
  require(info, icv.size() == kIcvBytes, "the ICV is not of 16 bytes");
  std::copy(icv.begin(), icv.end(), operation.icv);
  if (operation.kernel.open(operation.batch) != 1) return info.Env().Null();
  return operation.text;
}

const Engine& bench_kernel_argument(Napi::Env env, const Napi::Value& value) {
  const std::string name = value.As<Napi::String>();
  for (const Engine* peer : gcm_peers()) {
    if (name == peer->name) return *peer;
  }
  return kernel_argument(env, value);
}

Napi::Value bench_gcm_binding(const Napi::CallbackInfo& info) {
  const auto object = info[0].As<Napi::Object>();
  const auto number = [&](const char* name) { return object.Get(name).As<Napi::Number>(); };
  GcmBenchOptions options = {
      .kernel = &bench_kernel_argument(info.Env(), object.Get("kernel")),
      .key_bits = number("keyBits"),
      .keys = object.Has("keys") ? number("keys").Uint32Value() : 1,
      .text_bytes = number("textBytes"),
      .gmac = object.Get("gmac").ToBoolean(),
      .batch = number("batch"),
      .decrypt = object.Get("decrypt").ToBoolean(),
      .hot = object.Get("hot").ToBoolean(),
      .seconds = number("seconds"),
  };
  require(info, options.key_bits % 8 == 0 && is_key_size(options.key_bits / 8), "keyBits");
  require(info, options.keys >= 1 && options.keys <= 65536, "keys");
  require(info, options.text_bytes <= kMaxTextBytes, "textBytes");
  require(info, options.batch >= 1 && options.batch <= Batch::kCapacity, "batch");
  const GcmBenchResult measured = bench_gcm(options);
  auto result = Napi::Object::New(info.Env());
  result.Set("nanosecondsPerPacket", measured.median_ns);
  result.Set("bestNanosecondsPerPacket", measured.best_ns);
  result.Set("ticksPerPacket", measured.median_ticks);
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
  exports.Set("gcmSeal", Napi::Function::New(env, gcm_seal));
  exports.Set("gcmOpen", Napi::Function::New(env, gcm_open));
  exports.Set("benchGcm", Napi::Function::New(env, bench_gcm_binding));
}

}  // namespace esplane::addon
