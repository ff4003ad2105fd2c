// Random numbers for what an outsider must not guess: SPIs, IDs, hash seeds. Set-up paths only.
#pragma once

#include <sys/random.h>

#include <cerrno>
#include <cstdint>
#include <system_error>

namespace esplane::base {

/// From the kernel's generator.
/// @throws std::system_error where there is none
inline uint32_t random_u32() {
  uint32_t value;
  // getrandom(2): requests of up to 256 bytes are never cut short, once the pool is initialised.
  while (getrandom(&value, sizeof value, 0) != sizeof value) {
    if (errno != EINTR) throw std::system_error(errno, std::generic_category(), "getrandom");
  }
  return value;
}

}  // namespace esplane::base
