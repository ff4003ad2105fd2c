// The class that src/dataplane/native.ts wraps: a handle on a process-wide dataplane.
//
// new Dataplane(options) makes one, new Dataplane(id) attaches to it from another thread. The
// environment that made it stops it at its end; process.exit runs no clean-up hooks, so
// native.ts calls stop() from there.
#include <napi.h>

#include <memory>
#include <string>

#include "addon/dataplane_arguments.h"
#include "addon/guarded.h"
#include "addon/registry.h"
#include "packet/verdict.h"

namespace esplane::addon {
namespace {

using pipeline::Dataplane;

/// What a listener holds: calls that are queued outlive the object that made it.
using Held = std::shared_ptr<Dataplane>;
void deliver_events(Napi::Env env, Napi::Function listener, Held* held, void*);
using Listener = Napi::TypedThreadSafeFunction<Held, void, deliver_events>;

class DataplaneObject final : public Napi::ObjectWrap<DataplaneObject> {
 public:
  static Napi::Function define(Napi::Env env) {
    return DefineClass(
        env, "Dataplane",
        {InstanceAccessor<&DataplaneObject::id>("id"),
         InstanceMethod<&DataplaneObject::add_port>("addPort"),
         InstanceMethod<&DataplaneObject::remove_port>("removePort"),
         InstanceMethod<&DataplaneObject::set_networks>("setNetworks"),
         InstanceMethod<&DataplaneObject::set_spd>("setSpd"),
         InstanceMethod<&DataplaneObject::add_interface>("addInterface"),
         InstanceMethod<&DataplaneObject::remove_interface>("removeInterface"),
         InstanceMethod<&DataplaneObject::interfaces>("interfaces"),
         InstanceMethod<&DataplaneObject::refresh_port>("refreshPort"),
         InstanceMethod<&DataplaneObject::settle_mtu>("settleMtu"),
         InstanceMethod<&DataplaneObject::on_event>("onEvent"),
         InstanceMethod<&DataplaneObject::start>("start"),
         InstanceMethod<&DataplaneObject::set_workers>("setWorkers"),
         InstanceMethod<&DataplaneObject::stop>("stop"),
         InstanceMethod<&DataplaneObject::allocate_spi>("allocateSpi"),
         InstanceMethod<&DataplaneObject::release_spi>("releaseSpi"),
         InstanceMethod<&DataplaneObject::install>("install"),
         InstanceMethod<&DataplaneObject::resources>("resources"),
         InstanceMethod<&DataplaneObject::prefer>("prefer"),
         InstanceMethod<&DataplaneObject::retire>("retire"),
         InstanceMethod<&DataplaneObject::remove>("remove"),
         InstanceMethod<&DataplaneObject::move>("move"),
         InstanceMethod<&DataplaneObject::counters>("counters"),
         InstanceMethod<&DataplaneObject::ports>("ports"),
         InstanceMethod<&DataplaneObject::notes>("notes"),
         InstanceMethod<&DataplaneObject::statistics>("statistics")});
  }

  explicit DataplaneObject(const Napi::CallbackInfo& info)
      : Napi::ObjectWrap<DataplaneObject>(info), env_(info.Env()) {
    if (info[0].IsNumber()) {
      dataplane_ = Dataplane::find(static_cast<uint32_t>(to_integer(info[0], "id", 1, UINT32_MAX)));
      if (!dataplane_) throw Napi::Error::New(env_, "no such dataplane is alive in this process");
    } else {
      auto options = to_dataplane_options(info[0]);
      dataplane_ = guarded(env_, [&] { return Dataplane::create(std::move(options)); });
      is_owner_ = true;
    }
    napi_add_env_cleanup_hook(env_, at_end_of_environment, this);
  }

  ~DataplaneObject() override {
    napi_remove_env_cleanup_hook(env_, at_end_of_environment, this);
    stop_listening();
  }

 private:
  /// Hooks run in the reverse order of their making: this one before the listener's own.
  static void at_end_of_environment(void* data) {
    auto* object = static_cast<DataplaneObject*>(data);
    object->stop_listening();
    if (object->is_owner_) object->dataplane_->stop();
  }

  void stop_listening() {
    if (!listening_) return;
    listening_ = false;
    dataplane_->events().set_notify(nullptr);
    listener_.Release();
  }

  Napi::Value id(const Napi::CallbackInfo& info) {
    return Napi::Number::New(info.Env(), dataplane_->id());
  }

  Napi::Value add_port(const Napi::CallbackInfo& info) {
    const auto options = to_port_options(info[0]);
    auto known = to_static_port(info[0]);
    const auto status =
        guarded(info.Env(), [&] { return dataplane_->add_port(options, std::move(known)); });
    return from_port_status(info.Env(), status);
  }

  Napi::Value remove_port(const Napi::CallbackInfo& info) {
    const auto name = to_text(info[0], "name");
    return Napi::Boolean::New(info.Env(),
                              guarded(info.Env(), [&] { return dataplane_->remove_port(name); }));
  }

  void set_networks(const Napi::CallbackInfo& info) {
    const Fields f(info[0], "networks");
    const auto local = to_prefixes(f, "localAddresses");
    const auto behind_us = to_prefixes(f, "localProtected");
    const auto behind_peers = to_prefixes(f, "remoteProtected");
    for (size_t i = 0; i < local.size(); i++) {
      if (!local[i].is_single_address())
        throw_type(info.Env(), "networks.localAddresses[" + std::to_string(i) + "]",
                   "a single address");
    }
    guarded(info.Env(), [&] { dataplane_->set_networks(local, behind_us, behind_peers); });
  }

  void set_spd(const Napi::CallbackInfo& info) {
    const auto entries = to_spd_entries(info[0]);
    guarded(info.Env(), [&] { dataplane_->set_spd(entries); });
  }

  /// addInterface({name, link}) -> the scope of its SPD entries
  Napi::Value add_interface(const Napi::CallbackInfo& info) {
    const auto options = to_interface_options(info[0]);
    const auto scope = guarded(info.Env(), [&] { return dataplane_->add_interface(options); });
    return Napi::Number::New(info.Env(), scope);
  }
  Napi::Value remove_interface(const Napi::CallbackInfo& info) {
    const auto name = to_text(info[0], "name");
    return Napi::Boolean::New(
        info.Env(), guarded(info.Env(), [&] { return dataplane_->remove_interface(name); }));
  }
  Napi::Value interfaces(const Napi::CallbackInfo& info) {
    auto all = Napi::Array::New(info.Env());
    uint32_t n = 0;
    for (const auto& status : dataplane_->interfaces())
      all.Set(n++, from_interface_status(info.Env(), status));
    return all;
  }
  void refresh_port(const Napi::CallbackInfo& info) {
    const auto ifindex = static_cast<int>(to_integer(info[0], "ifindex", 1, INT32_MAX));
    guarded(info.Env(), [&] { dataplane_->refresh_port(ifindex); });
  }
  void settle_mtu(const Napi::CallbackInfo& info) {
    const auto spi = to_spi(info[0], "inboundSpi");
    guarded(info.Env(), [&] { dataplane_->settle_mtu(spi); });
  }

  void on_event(const Napi::CallbackInfo& info) {
    if (!info[0].IsFunction()) throw_type(info.Env(), "listener", "a function");
    stop_listening();
    listener_ = Listener::New(info.Env(), info[0].As<Napi::Function>(), "esplane events", 0, 1,
                              new Held(dataplane_),
                              [](Napi::Env, void*, Held* held) { delete held; });
    listener_.Unref(info.Env());  // a listener alone keeps no process alive
    listening_ = true;
    dataplane_->events().set_notify([listener = listener_] { listener.NonBlockingCall(); });
    listener_.NonBlockingCall();  // what happened before
  }

  void start(const Napi::CallbackInfo& info) {
    guarded(info.Env(), [&] { dataplane_->start(); });
  }
  void set_workers(const Napi::CallbackInfo& info) {
    auto plan = to_worker_plan(Fields(info[0], "plan"));
    guarded(info.Env(), [&] { dataplane_->set_workers(std::move(plan)); });
  }
  void stop(const Napi::CallbackInfo& info) {
    guarded(info.Env(), [&] { dataplane_->stop(); });
  }

  Napi::Value allocate_spi(const Napi::CallbackInfo& info) {
    const uint32_t spi = guarded(info.Env(), [&] { return dataplane_->allocate_spi(); });
    return Napi::Number::New(info.Env(), spi);
  }
  void release_spi(const Napi::CallbackInfo& info) { dataplane_->release_spi(to_spi(info[0], "spi")); }

  /// install(sa, standby): its policy by name, its keys as Uint8Arrays, which are read and not kept.
  void install(const Napi::CallbackInfo& info) {
    const auto parameters = to_sa_parameters(info[0]);
    const auto policy = Fields(info[0], "sa").text("policy");
    const auto part = to_part(info[0], info[1].ToBoolean());
    guarded(info.Env(), [&] { dataplane_->install(parameters, policy, part); });
  }
  Napi::Value resources(const Napi::CallbackInfo& info) {
    return Napi::Number::New(info.Env(), dataplane_->resources());
  }
  void prefer(const Napi::CallbackInfo& info) {
    dataplane_->prefer(to_spi(info[0], "inboundSpi"));
  }
  void retire(const Napi::CallbackInfo& info) {
    dataplane_->retire(to_spi(info[0], "inboundSpi"));
  }
  /// move(inboundSpi, {address, port}, {address, port}) -> whether the pair is installed
  Napi::Value move(const Napi::CallbackInfo& info) {
    const uint32_t spi = to_spi(info[0], "inboundSpi");
    const auto local = to_endpoint(info[1], "local");
    const auto remote = to_endpoint(info[2], "remote");
    return Napi::Boolean::New(info.Env(), guarded(info.Env(), [&] {
                                return dataplane_->move(spi, local, remote);
                              }));
  }
  Napi::Value remove(const Napi::CallbackInfo& info) {
    return Napi::Boolean::New(info.Env(), dataplane_->remove(to_spi(info[0], "inboundSpi")));
  }

  Napi::Value counters(const Napi::CallbackInfo& info) {
    const auto found = dataplane_->counters(to_spi(info[0], "inboundSpi"));
    return found ? from_counters(info.Env(), *found) : info.Env().Undefined();
  }

  Napi::Value ports(const Napi::CallbackInfo& info) {
    auto all = Napi::Array::New(info.Env());
    uint32_t n = 0;
    for (const auto& status : dataplane_->ports()) all.Set(n++, from_port_status(info.Env(), status));
    return all;
  }

  Napi::Value notes(const Napi::CallbackInfo& info) {
    auto all = Napi::Array::New(info.Env());
    uint32_t n = 0;
    for (const auto& note : dataplane_->notes()) all.Set(n++, Napi::String::New(info.Env(), note));
    return all;
  }

  Napi::Value statistics(const Napi::CallbackInfo& info);

  const Napi::Env env_;
  std::shared_ptr<Dataplane> dataplane_;
  bool is_owner_ = false;
  bool listening_ = false;
  Listener listener_;
};

/// The verdicts that are drops, by name.
template <typename Count>
Napi::Object from_drops(Napi::Env env, Count count) {
  auto drops = Napi::Object::New(env);
  for (uint32_t v = 1; v < packet::kVerdictCount; v++) {
    const auto& verdict = packet::kVerdicts[v];
    if (verdict.is_drop) drops.Set(verdict.name, Napi::BigInt::New(env, count(v)));
  }
  return drops;
}

Napi::Object from_fill(Napi::Env env, const port::QueueRings::Fill& fill) {
  auto o = Napi::Object::New(env);
  o.Set("used", fill.used);
  o.Set("size", fill.size);
  return o;
}

/// Gives each worker the rings of its queues.
void set_rings(Napi::Array workers, const std::vector<pipeline::RingStatus>& all) {
  const auto env = workers.Env();
  for (uint32_t i = 0; i < workers.Length(); i++) {
    auto own = Napi::Array::New(env);
    for (const auto& [port, queue, worker, rings] : all) {
      if (worker != i) continue;
      auto o = Napi::Object::New(env);
      o.Set("port", port);
      o.Set("queue", queue);
      o.Set("receive", from_fill(env, rings.receive));
      o.Set("transmit", from_fill(env, rings.transmit));
      o.Set("fill", from_fill(env, rings.fill));
      o.Set("completion", from_fill(env, rings.completion));
      own.Set(own.Length(), o);
    }
    workers.Get(i).As<Napi::Object>().Set("rings", own);
  }
}

Napi::Value DataplaneObject::statistics(const Napi::CallbackInfo& info) {
  const auto env = info.Env();
  uint64_t verdicts[packet::kVerdictCount] = {};
  uint64_t out_packets = 0, in_packets = 0, out_bytes = 0, in_bytes = 0, icmp_errors = 0,
           mss_clamped = 0, dummies_sent = 0, odd_ecn = 0;
  auto workers = Napi::Array::New(env);
  uint32_t n = 0;
  const size_t now = dataplane_->each_worker([&](const pipeline::Counters& c) {
    for (uint32_t v = 0; v < packet::kVerdictCount; v++) verdicts[v] += c.verdict[v].read();
    out_packets += c.esp_out_packets.read();
    out_bytes += c.esp_out_bytes.read();
    in_packets += c.esp_in_packets.read();
    in_bytes += c.esp_in_bytes.read();
    icmp_errors += c.icmp_errors.read();
    mss_clamped += c.mss_clamped.read();
    dummies_sent += c.dummies_sent.read();
    odd_ecn += c.odd_ecn.read();
    auto worker = Napi::Object::New(env);
    worker.Set("packets", Napi::BigInt::New(env, c.rx_packets.read()));
    worker.Set("espOutPackets", Napi::BigInt::New(env, c.esp_out_packets.read()));
    worker.Set("espInPackets", Napi::BigInt::New(env, c.esp_in_packets.read()));
    worker.Set("espOutBytes", Napi::BigInt::New(env, c.esp_out_bytes.read()));
    worker.Set("espInBytes", Napi::BigInt::New(env, c.esp_in_bytes.read()));
    worker.Set("drops", from_drops(env, [&](uint32_t v) { return c.verdict[v].read(); }));
    worker.Set("helpedBursts", Napi::BigInt::New(env, c.helped_bursts.read()));
    worker.Set("busyCycles", Napi::BigInt::New(env, c.busy_cycles.read()));
    worker.Set("cycles", Napi::BigInt::New(env, c.cycles.read()));
    workers.Set(n++, worker);
  });
  workers.Set("length", static_cast<double>(now));
  set_rings(workers, dataplane_->rings());

  auto by_name = Napi::Object::New(env);
  for (uint32_t v = 1; v < packet::kVerdictCount; v++)  // all but kPending
    by_name.Set(packet::kVerdicts[v].name, Napi::BigInt::New(env, verdicts[v]));
  auto o = Napi::Object::New(env);
  o.Set("verdicts", by_name);
  o.Set("drops", from_drops(env, [&](uint32_t v) { return verdicts[v]; }));
  o.Set("espOutPackets", Napi::BigInt::New(env, out_packets));
  o.Set("espInPackets", Napi::BigInt::New(env, in_packets));
  o.Set("espOutBytes", Napi::BigInt::New(env, out_bytes));
  o.Set("espInBytes", Napi::BigInt::New(env, in_bytes));
  o.Set("icmpErrors", Napi::BigInt::New(env, icmp_errors));
  o.Set("mssClamped", Napi::BigInt::New(env, mss_clamped));
  o.Set("dummiesSent", Napi::BigInt::New(env, dummies_sent));
  o.Set("oddEcn", Napi::BigInt::New(env, odd_ecn));
  o.Set("workers", workers);
  const auto removed = dataplane_->removed_ports();
  auto gone = Napi::Object::New(env);
  gone.Set("rxDropped", Napi::BigInt::New(env, removed.rx_dropped + removed.rx_no_frame));
  gone.Set("txFull", Napi::BigInt::New(env, removed.tx_full));
  o.Set("removedPorts", gone);
  return o;
}

/// On the listener's thread. The environment is null when it is being torn down.
void deliver_events(Napi::Env env, Napi::Function listener, Held* held, void*) {
  if (static_cast<napi_env>(env) == nullptr || listener.IsEmpty()) return;
  const auto call = [&](Napi::Object event) {
    try {
      listener.Call({event});
    } catch (const Napi::Error& e) {
      napi_fatal_exception(env, e.Value());  // as an error in any other callback: uncaught
    }
  };
  auto& ring = (*held)->events();
  ring.rearm();
  pipeline::Event event;
  while (ring.pop(event)) {
    const Napi::HandleScope scope(env);
    call(from_event(env, event));
  }
  const uint64_t lost = ring.take_lost();
  if (lost == 0) return;
  auto o = Napi::Object::New(env);
  o.Set("type", "events-lost");
  o.Set("count", static_cast<double>(lost));
  call(o);
}

}  // namespace

void export_dataplane(Napi::Env env, Napi::Object exports) {
  exports.Set("Dataplane", DataplaneObject::define(env));
}

}  // namespace esplane::addon
