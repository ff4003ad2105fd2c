// What each part of the addon exports. One function per *_binding.cc; addon.cc calls them all.
#pragma once

#include <napi.h>

namespace esplane::addon {

void export_bulk_esp(Napi::Env env, Napi::Object exports);
void export_crypto(Napi::Env env, Napi::Object exports);
void export_dataplane(Napi::Env env, Napi::Object exports);
void export_ike(Napi::Env env, Napi::Object exports);
void export_ike_sockets(Napi::Env env, Napi::Object exports);
void export_memory_host(Napi::Env env, Napi::Object exports);
void export_pki(Napi::Env env, Napi::Object exports);
void export_port_bench(Napi::Env env, Napi::Object exports);
void export_process(Napi::Env env, Napi::Object exports);
void export_sad_bench(Napi::Env env, Napi::Object exports);
void export_suites(Napi::Env env, Napi::Object exports);
void export_tap(Napi::Env env, Napi::Object exports);
void export_traffic_sink(Napi::Env env, Napi::Object exports);
void export_traffic_source(Napi::Env env, Napi::Object exports);
void export_tunnel_bench(Napi::Env env, Napi::Object exports);
void export_watch(Napi::Env env, Napi::Object exports);

}  // namespace esplane::addon
