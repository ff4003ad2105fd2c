// AES-GCM with VAES and VPCLMULQDQ on 256-bit registers, several packets in flight at once.
//
// To be called only where base::cpu_features() has avx2, vaes and vpclmul.
#pragma once

#include "crypto/engine.h"

namespace esplane::crypto {

extern const Engine kVaes256Engine;

}  // namespace esplane::crypto
