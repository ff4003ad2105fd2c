// AES-GCM with VAES and VPCLMULQDQ on 512-bit registers.
//
// To be called only where base::cpu_features() has avx512, vaes and vpclmul.
#pragma once

#include "crypto/aead.h"

namespace esplane::crypto {

extern const GcmKernel kVaes512Kernel;

}  // namespace esplane::crypto
