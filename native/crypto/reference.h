// The plain AES-GCM that every fast kernel must agree with. Runs on any CPU.
#pragma once

#include "crypto/aead.h"

namespace esplane::crypto {

extern const GcmKernel kReferenceKernel;

}  // namespace esplane::crypto
