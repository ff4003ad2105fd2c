// WireTap: the lab's counter of packets on a wire (native/port/packet/tap.h).
#include <memory>
#include <string>
#include <vector>

#include "addon/arguments.h"
#include "addon/registry.h"
#include "port/packet/tap.h"

namespace esplane::addon {
namespace {

class WireTapObject final : public Napi::ObjectWrap<WireTapObject> {
 public:
  static Napi::Function define(Napi::Env env) {
    return DefineClass(env, "WireTap",
                       {InstanceMethod<&WireTapObject::counts>("counts"),
                        InstanceMethod<&WireTapObject::stop>("stop")});
  }

  /// new WireTap(interfaces, networks)
  explicit WireTapObject(const Napi::CallbackInfo& info) : Napi::ObjectWrap<WireTapObject>(info) {
    const auto interfaces = texts(info[0], "interfaces");
    std::vector<port::Prefix> networks;
    try {
      for (const auto& text : texts(info[1], "networks")) {
        networks.push_back(port::Prefix::parse(text));
      }
      tap_ = std::make_unique<port::WireTap>(interfaces, networks);
    } catch (const std::invalid_argument& e) {
      throw Napi::TypeError::New(info.Env(), e.what());
    } catch (const std::runtime_error& e) {
      throw Napi::Error::New(info.Env(), e.what());
    }
  }

 private:
  static std::vector<std::string> texts(const Napi::Value& value, const std::string& field) {
    const auto array = to_array(value, field);
    std::vector<std::string> list;
    for (uint32_t i = 0; i < array.Length(); i++) {
      list.push_back(to_text(array.Get(i), field + "[" + std::to_string(i) + "]"));
    }
    return list;
  }

  Napi::Value counts(const Napi::CallbackInfo& info) { return object(info.Env(), tap_->counts()); }
  Napi::Value stop(const Napi::CallbackInfo& info) { return object(info.Env(), tap_->stop()); }

  static Napi::Value object(Napi::Env env, const port::TapCounts& counts) {
    auto o = Napi::Object::New(env);
    const auto set = [&](const char* name, uint64_t value) {
      o.Set(name, Napi::Number::New(env, static_cast<double>(value)));
    };
    set("esp", counts.esp);
    set("espBytes", counts.esp_bytes);
    set("ah", counts.ah);
    set("ike", counts.ike);
    set("keepalive", counts.keepalive);
    set("clearText", counts.clear_text);
    set("neighbour", counts.neighbour);
    set("other", counts.other);
    set("kernelDrops", counts.kernel_drops);
    return o;
  }

  std::unique_ptr<port::WireTap> tap_;
};

}  // namespace

void export_tap(Napi::Env env, Napi::Object exports) {
  exports.Set("WireTap", WireTapObject::define(env));
}

}  // namespace esplane::addon
