// AES-GCM with AES-NI and PCLMULQDQ, several packets in flight at once.
//
// To be called only where base::cpu_features() has aesni and pclmul.
#pragma once

#include "crypto/engine.h"

namespace esplane::crypto {

extern const Engine kAesniEngine;

}  // namespace esplane::crypto
