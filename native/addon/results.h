// Native results as JavaScript values.
#pragma once

#include <napi.h>

#include <algorithm>
#include <cstdint>
#include <span>

#include "addon/cost.h"

namespace esplane::addon {

inline Napi::Uint8Array copy_of(Napi::Env env, std::span<const uint8_t> bytes) {
  auto array = Napi::Uint8Array::New(env, bytes.size());
  std::copy(bytes.begin(), bytes.end(), array.Data());
  return array;
}

inline Napi::Object from_cost(Napi::Env env, const Cost& cost) {
  auto o = Napi::Object::New(env);
  o.Set("nanosecondsPerPacket", cost.ns);
  o.Set("bestNanosecondsPerPacket", cost.best_ns);
  o.Set("ticksPerPacket", cost.ticks);
  return o;
}

}  // namespace esplane::addon
