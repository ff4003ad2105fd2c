// AES-GCM with AES-NI and PCLMULQDQ, several packets in flight at once.
//
// To be called only where base::cpu_features() has aesni, pclmul and sse41.
#pragma once

#include "crypto/engine.h"

namespace esplane::crypto {

extern const Engine kAesniEngine;

/// The same, compiled for AVX: needs avx as well.
extern const Engine kAesniAvxEngine;

}  // namespace esplane::crypto
