// Native exceptions as JavaScript errors.
#pragma once

#include <napi.h>

#include <stdexcept>

#include "sad/sad.h"

namespace esplane::addon {

/// Runs a native call and turns what it throws into a JavaScript error.
template <typename Call>
auto guarded(Napi::Env env, Call call) {
  try {
    return call();
  } catch (const Napi::Error&) {
    throw;
  } catch (const sad::SadFull& e) {
    auto error = Napi::Error::New(env, e.what());
    error.Value().Set("code", "SAD_FULL");
    throw error;
  } catch (const std::invalid_argument& e) {
    throw Napi::TypeError::New(env, e.what());
  } catch (const std::exception& e) {
    throw Napi::Error::New(env, e.what());
  }
}

}  // namespace esplane::addon
