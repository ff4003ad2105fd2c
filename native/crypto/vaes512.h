// AES-GCM with VAES and VPCLMULQDQ on 512-bit registers.
//
// To be called only where base::cpu_features() has avx512, vaes and vpclmul.
#pragma once

#include "crypto/engine.h"

namespace esplane::crypto {

extern const Engine kVaes512Engine;

}  // namespace esplane::crypto
