// The known-answer test that a kernel passes before it touches traffic.
#pragma once

#include "crypto/aead.h"

namespace esplane::crypto {

/// Seals and opens published vectors of each key size with the kernel, one by one and as a batch
/// of mixed keys, and checks that a wrong ICV is refused. Takes well under a millisecond on a fast
/// kernel.
bool passes_known_answers(const GcmKernel& kernel);

}  // namespace esplane::crypto
