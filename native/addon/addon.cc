// The addon's entry point. The native/addon folder is the only place that knows Node.
#include "addon/registry.h"

#include "base/cpu.h"

namespace esplane::addon {

void export_cpu(Napi::Env env, Napi::Object exports) {
  exports.Set("cpuFeatures", Napi::Function::New(env, [](const Napi::CallbackInfo& info) {
                const auto& f = base::cpu_features();
                auto o = Napi::Object::New(info.Env());
                o.Set("aesni", f.aesni);
                o.Set("pclmul", f.pclmul);
                o.Set("avx2", f.avx2);
                o.Set("vaes", f.vaes);
                o.Set("vpclmul", f.vpclmul);
                o.Set("avx512", f.avx512);
                return o;
              }));
}

}  // namespace esplane::addon

static Napi::Object initialise(Napi::Env env, Napi::Object exports) {
  esplane::addon::export_cpu(env, exports);
  return exports;
}

NODE_API_MODULE(esplane, initialise)
