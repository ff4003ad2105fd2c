// benchEsp, benchPipeline and benchWorkers for bench/esp.
#include "addon/arguments.h"
#include "addon/registry.h"
#include "addon/results.h"
#include "addon/suite_arguments.h"
#include "addon/tunnel_bench.h"
#include "packet/batch.h"

namespace esplane::addon {
namespace {

TunnelBenchOptions to_options(const Napi::Value& v) {
  const Fields f(v, "options");
  const crypto::Suite& suite = suite_argument(f);
  return {
      .suite = &suite,
      .engine = f.has("engine") ? &engine_argument(f, suite) : nullptr,
      .inner_bytes = static_cast<uint32_t>(f.integer("innerBytes", 28, 1438)),
      .batch = static_cast<uint32_t>(f.integer("batch", 1, packet::Batch::kCapacity)),
      .tunnels = static_cast<uint32_t>(f.integer("tunnels", 1, 256)),
      .seconds = static_cast<double>(f.integer("milliseconds", 1, 60'000)) / 1000,
  };
}

Napi::Object from_result(Napi::Env env, const TunnelBenchResult& result) {
  auto o = Napi::Object::New(env);
  o.Set("outbound", from_cost(env, result.outbound));
  o.Set("inbound", from_cost(env, result.inbound));
  o.Set("repetitions", result.repetitions);
  return o;
}

std::vector<Arrangement> to_arrangements(const Napi::Value& v) {
  std::vector<Arrangement> all;
  const Fields f(v, "options");
  f.elements("arrangements", [&](const Napi::Value& element, const std::string& path) {
    const Fields a(element, path);
    const int64_t workers = a.integer("workers", 1, 64);
    all.push_back({static_cast<uint32_t>(workers),
                   static_cast<uint32_t>(a.integer("queues", 1, workers)),
                   a.flag_or("ownSas", false)});
  });
  if (all.empty()) f.refuse("arrangements", "at least one");
  return all;
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

Napi::Value run_workers(const Napi::CallbackInfo& info) {
  const auto env = info.Env();
  const auto options = to_options(info[0]);
  const auto arrangements = to_arrangements(info[0]);
  try {
    const auto results = bench_workers(options, arrangements);
    auto list = Napi::Array::New(env, results.size());
    for (uint32_t i = 0; i < results.size(); i++) list.Set(i, from_result(env, results[i]));
    return list;
  } catch (const std::exception& e) {
    throw Napi::Error::New(env, e.what());
  }
}

}  // namespace

void export_tunnel_bench(Napi::Env env, Napi::Object exports) {
  exports.Set("benchEsp", Napi::Function::New(env, run<bench_esp>));
  exports.Set("benchPipeline", Napi::Function::New(env, run<bench_pipeline>));
  exports.Set("benchWorkers", Napi::Function::New(env, run_workers));
}

}  // namespace esplane::addon
