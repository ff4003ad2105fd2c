// benchEsp, benchPipeline and benchWorkers for bench/esp and bench/pipeline.
#include "addon/arguments.h"
#include "addon/registry.h"
#include "addon/results.h"
#include "addon/tunnel_bench.h"
#include "packet/batch.h"

namespace esplane::addon {
namespace {

TunnelBenchOptions to_options(const Napi::Value& v) {
  const Fields f(v, "options");
  TunnelBenchOptions o{
      .key_bits = static_cast<uint32_t>(f.integer("keyBits", 128, 256)),
      .inner_bytes = static_cast<uint32_t>(f.integer("innerBytes", 28, 1438)),
      .batch = static_cast<uint32_t>(f.integer("batch", 1, packet::Batch::kCapacity)),
      .tunnels = static_cast<uint32_t>(f.integer("tunnels", 1, 256)),
      .seconds = static_cast<double>(f.integer("milliseconds", 1, 60'000)) / 1000,
  };
  if (o.key_bits % 64 != 0) f.refuse("keyBits", "128, 192 or 256");
  return o;
}

Napi::Object from_result(Napi::Env env, const TunnelBenchResult& result) {
  auto o = Napi::Object::New(env);
  o.Set("outbound", from_cost(env, result.outbound));
  o.Set("inbound", from_cost(env, result.inbound));
  o.Set("repetitions", result.repetitions);
  return o;
}

Napi::Object from_result(Napi::Env env, const WorkersBenchResult& result) {
  auto o = Napi::Object::New(env);
  o.Set("one", from_result(env, result.one));
  o.Set("shared", from_result(env, result.shared));
  o.Set("split", from_result(env, result.split));
  return o;
}

template <auto bench>
Napi::Value run(const Napi::CallbackInfo& info) {
  const auto env = info.Env();
  const auto options = to_options(info[0]);
  try {
    return from_result(env, bench(options));
  } catch (const std::exception& e) {
    throw Napi::Error::New(env, e.what());
  }
}

}  // namespace

void export_tunnel_bench(Napi::Env env, Napi::Object exports) {
  exports.Set("benchEsp", Napi::Function::New(env, run<bench_esp>));
  exports.Set("benchPipeline", Napi::Function::New(env, run<bench_pipeline>));
  exports.Set("benchWorkers", Napi::Function::New(env, run<bench_workers>));
}

}  // namespace esplane::addon
