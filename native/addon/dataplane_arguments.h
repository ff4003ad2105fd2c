// The objects of src/dataplane/dataplane.ts and src/sad/sad.ts as native ones. Every function
// throws a TypeError that names the field.
#pragma once

#include <string>
#include <vector>

#include "addon/arguments.h"
#include "pipeline/dataplane.h"

namespace esplane::addon {

pipeline::DataplaneOptions to_dataplane_options(const Napi::Value& v);
pipeline::WorkerPlan to_worker_plan(const Fields& fields);
port::PortOptions to_port_options(const Napi::Value& v);
/// `networks` and `addresses` of the same object.
pipeline::StaticPort to_static_port(const Napi::Value& v);
std::vector<port::Prefix> to_prefixes(const Fields& fields, const char* name);
std::vector<spd::Entry> to_spd_entries(const Napi::Value& v);
/// A ChildSa whose keys are Uint8Arrays: read during the call that follows, never kept.
sad::SaParameters to_sa_parameters(const Napi::Value& v);
/// Of a ChildSa: whose it is (RFC 9611).
spd::Part to_part(const Napi::Value& v, bool standby);
/// An Endpoint of src/sad/sad.ts.
sad::Endpoint to_endpoint(const Napi::Value& v, const std::string& field);
uint32_t to_spi(const Napi::Value& v, const std::string& field);

Napi::Object from_port_status(Napi::Env env, const pipeline::PortStatus& status);
pipeline::InterfaceOptions to_interface_options(const Napi::Value& v);
Napi::Object from_interface_status(Napi::Env env, const pipeline::InterfaceStatus& status);
Napi::Object from_counters(Napi::Env env, const sad::PairCounters& counters);
Napi::Object from_event(Napi::Env env, const pipeline::Event& event);

}  // namespace esplane::addon
