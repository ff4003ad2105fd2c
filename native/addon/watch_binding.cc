// Captures and traces of a dataplane, by its number: see src/dataplane/watch.ts.
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "addon/arguments.h"
#include "addon/guarded.h"
#include "addon/registry.h"
#include "pipeline/dataplane.h"
#include "pipeline/watch.h"

namespace esplane::addon {
namespace {

using pipeline::Dataplane;
using pipeline::FilterCondition;

std::shared_ptr<Dataplane> to_dataplane(const Napi::Value& v) {
  auto found = Dataplane::find(static_cast<uint32_t>(to_integer(v, "id", 1, UINT32_MAX)));
  if (!found) throw Napi::Error::New(v.Env(), "no such dataplane is alive in this process");
  return found;
}

FilterCondition to_condition(const Napi::Value& v, const std::string& path) {
  using Field = FilterCondition::Field;
  static constexpr std::pair<const char*, Field> kFields[] = {
      {"address", Field::kAddress},       {"source", Field::kSource},
      {"destination", Field::kDestination}, {"port", Field::kPort},
      {"sourcePort", Field::kSourcePort}, {"destinationPort", Field::kDestinationPort},
      {"protocol", Field::kProtocol},     {"family", Field::kFamily},
      {"spi", Field::kSpi},
  };
  const Fields f(v, path);
  const auto name = f.text("field");
  for (const auto& [text, field] : kFields) {
    if (name != text) continue;
    FilterCondition condition{.field = field, .negated = f.flag_or("negated", false)};
    if (field > Field::kDestination) {
      condition.value = static_cast<uint32_t>(f.integer("value", 0, UINT32_MAX));
      return condition;
    }
    const auto first = packet::IpAddress::parse(f.text("first").c_str());
    const auto last = packet::IpAddress::parse(f.text("last").c_str());
    if (!first) f.refuse("first", "a numeric IP address");
    if (!last || last->family != first->family) f.refuse("last", "an address of the same family");
    condition.first = *first;
    condition.last = *last;
    return condition;
  }
  f.refuse("field", "the name of a field");
}

/// Alternatives, each a list of conditions that hold together.
pipeline::PacketFilter to_filter(const Fields& options, const char* name) {
  std::vector<pipeline::PacketFilter::All> any;
  options.elements(name, [&](const Napi::Value& v, const std::string& path) {
    const auto list = to_array(v, path);
    pipeline::PacketFilter::All all;
    for (uint32_t i = 0; i < list.Length(); i++)
      all.push_back(to_condition(list.Get(i), path + "[" + std::to_string(i) + "]"));
    any.push_back(std::move(all));
  });
  return pipeline::PacketFilter(std::move(any));
}

std::optional<std::vector<spd::Scope>> to_scopes(const Fields& options) {
  if (!options.has("interfaces")) return std::nullopt;
  std::vector<spd::Scope> scopes;
  options.elements("interfaces", [&](const Napi::Value& v, const std::string& path) {
    scopes.push_back(static_cast<spd::Scope>(to_integer(v, path, 0, spd::kLastScope)));
  });
  return scopes;
}

/// { filter, interfaceFilter, interfaces? }
pipeline::WatchedPackets to_packets(const Fields& options) {
  return {.filter = to_filter(options, "filter"),
          .tun_filter = to_filter(options, "interfaceFilter"),
          .scopes = to_scopes(options)};
}

class CaptureObject final : public Napi::ObjectWrap<CaptureObject> {
 public:
  static Napi::Function define(Napi::Env env) {
    return DefineClass(env, "Capture",
                       {InstanceMethod<&CaptureObject::read>("read"),
                        InstanceMethod<&CaptureObject::counts>("counts"),
                        InstanceMethod<&CaptureObject::port_places>("portPlaces"),
                        InstanceMethod<&CaptureObject::stop>("stop")});
  }

  /// new Capture(id, { filter, interfaceFilter, outside, inside, interfaces?, snapBytes, ringBytes }):
  /// begins at once.
  explicit CaptureObject(const Napi::CallbackInfo& info) : Napi::ObjectWrap<CaptureObject>(info) {
    dataplane_ = to_dataplane(info[0]);
    const Fields f(info[1], "options");
    pipeline::CaptureOptions options{
        .packets = to_packets(f),
        .outside = f.flag("outside"),
        .inside = f.flag("inside"),
        .snap_bytes = static_cast<uint32_t>(f.integer("snapBytes", 1, 65535)),
        .ring_bytes = static_cast<uint32_t>(f.integer("ringBytes", 1 << 16, 1 << 28)),
    };
    if ((options.ring_bytes & (options.ring_bytes - 1)) != 0) f.refuse("ringBytes", "a power of two");
    capture_ = guarded(info.Env(), [&] { return dataplane_->start_capture(std::move(options)); });
  }
  ~CaptureObject() override { end(); }

 private:
  Napi::Value read(const Napi::CallbackInfo& info) {
    std::vector<uint8_t> bytes;
    capture_->read(bytes, size_t{1} << 20);
    return Napi::Buffer<uint8_t>::Copy(info.Env(), bytes.data(), bytes.size());
  }
  Napi::Value counts(const Napi::CallbackInfo& info) {
    auto o = Napi::Object::New(info.Env());
    o.Set("passed", static_cast<double>(capture_->passed()));
    o.Set("dropped", static_cast<double>(capture_->dropped()));
    return o;
  }
  Napi::Value port_places(const Napi::CallbackInfo& info) {
    return Napi::Number::New(info.Env(), capture_->port_places());
  }
  void stop(const Napi::CallbackInfo&) { end(); }
  void end() { dataplane_->stop_capture(capture_); }

  std::shared_ptr<Dataplane> dataplane_;
  std::shared_ptr<pipeline::Capture> capture_;
};

Napi::Value from_header(Napi::Env env, const packet::IpHeader& header) {
  if (header.family == packet::Family::kNone) return env.Null();
  auto o = Napi::Object::New(env);
  o.Set("source", header.source.text());
  o.Set("destination", header.destination.text());
  o.Set("protocol", header.protocol);
  o.Set("bytes", header.total_bytes);
  if (header.has_ports) {
    o.Set("sourcePort", header.source_port);
    o.Set("destinationPort", header.destination_port);
  }
  return o;
}

/// A port by its number, or a TUN by its scope.
Napi::Value from_place(Napi::Env env, bool is_tun, spd::Scope scope, uint16_t port) {
  auto o = Napi::Object::New(env);
  if (is_tun) {
    o.Set("interface", scope);
  } else {
    o.Set("port", port);
  }
  return o;
}

class TraceObject final : public Napi::ObjectWrap<TraceObject> {
 public:
  static Napi::Function define(Napi::Env env) {
    return DefineClass(env, "Trace",
                       {InstanceMethod<&TraceObject::report>("report"),
                        InstanceMethod<&TraceObject::stop>("stop")});
  }

  /// new Trace(id, { filter, interfaceFilter, interfaces? }): waits from now on for the first packet that passes.
  explicit TraceObject(const Napi::CallbackInfo& info) : Napi::ObjectWrap<TraceObject>(info) {
    dataplane_ = to_dataplane(info[0]);
    auto packets = to_packets(Fields(info[1], "packets"));
    trace_ = guarded(info.Env(), [&] { return dataplane_->start_trace(std::move(packets)); });
  }
  ~TraceObject() override { end(); }

 private:
  Napi::Value report(const Napi::CallbackInfo& info) {
    const auto env = info.Env();
    const auto* r = trace_->report();
    if (r == nullptr) return env.Null();
    auto o = Napi::Object::New(env);
    o.Set("lane", r->lane);
    o.Set("receivedAt", from_place(env, r->from.from_host, r->from.scope, r->from.port));
    o.Set("outbound", r->outbound);
    o.Set("received", from_header(env, r->received));
    o.Set("receivedBytes", r->received_bytes);
    o.Set("beginTicks", static_cast<double>(r->begin_ticks));
    o.Set("workTicks", static_cast<double>(r->work_ticks));
    o.Set("finishTicks", static_cast<double>(r->finish_ticks));
    o.Set("sendTicks", static_cast<double>(r->send_ticks));
    if (r->has_sa) o.Set("spi", r->spi);
    o.Set("sent", from_header(env, r->sent));
    o.Set("sentBytes", r->sent_bytes);
    o.Set("sentFrames", r->sent_frames);
    if (r->sent_frames > 0)
      o.Set("sentAt", from_place(env, r->into_host, r->sent_scope, r->sent_port));
    o.Set("turned", r->turned);
    const auto& verdict = packet::kVerdicts[static_cast<uint32_t>(r->verdict)];
    o.Set("verdict", verdict.name);
    o.Set("meaning", verdict.description);
    o.Set("dropped", verdict.is_drop);
    return o;
  }
  void stop(const Napi::CallbackInfo&) { end(); }
  void end() { dataplane_->stop_trace(trace_); }

  std::shared_ptr<Dataplane> dataplane_;
  std::shared_ptr<pipeline::Trace> trace_;
};

}  // namespace

void export_watch(Napi::Env env, Napi::Object exports) {
  exports.Set("Capture", CaptureObject::define(env));
  exports.Set("Trace", TraceObject::define(env));
}

}  // namespace esplane::addon
