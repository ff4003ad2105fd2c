// Owners for objects of C libraries.
#pragma once

namespace esplane::base {

/// A deleter of std::unique_ptr that calls a C function: `std::unique_ptr<BIO, Freer<BIO_free>>`.
template <auto Free>
struct Freer {
  template <typename T>
  void operator()(T* object) const {
    Free(object);
  }
};

}  // namespace esplane::base
