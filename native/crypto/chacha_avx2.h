// ChaCha20-Poly1305 with AVX2: eight blocks of key stream side by side, of one packet or of many.
#pragma once

#include "crypto/engine.h"

namespace esplane::crypto {

extern const Engine kAvx2ChaCha20Poly1305;

}  // namespace esplane::crypto
