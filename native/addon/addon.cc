// The addon's entry point. The native/addon folder is the only place that knows Node.
#include "addon/registry.h"

static Napi::Object initialise(Napi::Env env, Napi::Object exports) {
  esplane::addon::export_bulk_esp(env, exports);
  esplane::addon::export_crypto(env, exports);
  esplane::addon::export_dataplane(env, exports);
  esplane::addon::export_ike(env, exports);
  esplane::addon::export_ike_sockets(env, exports);
  esplane::addon::export_memory_host(env, exports);
  esplane::addon::export_pki(env, exports);
  esplane::addon::export_port_bench(env, exports);
  esplane::addon::export_process(env, exports);
  esplane::addon::export_sad_bench(env, exports);
  esplane::addon::export_suites(env, exports);
  esplane::addon::export_tap(env, exports);
  esplane::addon::export_traffic_sink(env, exports);
  esplane::addon::export_traffic_source(env, exports);
  esplane::addon::export_tunnel_bench(env, exports);
  esplane::addon::export_watch(env, exports);
  return exports;
}

NODE_API_MODULE(esplane, initialise)
