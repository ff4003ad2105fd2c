// AES-GCM with AES-NI and PCLMULQDQ, several packets in flight at once.
//
// To be called only where base::cpu_features() has aesni and pclmul.
#pragma once

#include "crypto/aead.h"

namespace esplane::crypto {

extern const GcmKernel kAesniKernel;

}  // namespace esplane::crypto
