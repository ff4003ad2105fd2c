// What a thread does while it waits for another in a loop.
#pragma once

namespace esplane::base {

/// Lets the other thread of the core go on. A built-in, as <immintrin.h> would be a third of what
/// many files compile.
inline void spin_pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

}  // namespace esplane::base
