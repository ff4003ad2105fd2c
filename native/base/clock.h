// The time stamp counter where the CPU has one, nanoseconds elsewhere: cheap enough to read twice
// per burst.
#pragma once

#include <time.h>

#include <cstdint>

namespace esplane::base {

inline uint64_t monotonic_ns() {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return static_cast<uint64_t>(t.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(t.tv_nsec);
}

/// Milliseconds that wrap after 49 days: for differences only.
inline uint32_t monotonic_ms() { return static_cast<uint32_t>(monotonic_ns() / 1'000'000); }

/// Seconds: they wrap after 136 years.
inline uint32_t monotonic_s() { return static_cast<uint32_t>(monotonic_ns() / 1'000'000'000); }

inline uint64_t ticks() {
#if defined(__x86_64__)
  return __builtin_ia32_rdtsc();
#else
  return monotonic_ns();
#endif
}

/// Ticks in a microsecond, measured once over two milliseconds.
inline double ticks_per_microsecond() {
  static const double rate = [] {
    const uint64_t from_ns = monotonic_ns(), from = ticks();
    uint64_t to_ns;
    while ((to_ns = monotonic_ns()) - from_ns < 2'000'000) {
    }
    return static_cast<double>(ticks() - from) * 1000.0 / static_cast<double>(to_ns - from_ns);
  }();
  return rate;
}

}  // namespace esplane::base
