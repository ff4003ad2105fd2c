// The known-answer test that an engine passes before it touches traffic.
#pragma once

#include "crypto/engine.h"

namespace esplane::crypto {

/// Seals and opens published vectors of each key size with the engine, one by one and as a batch
/// of mixed keys, and checks that a wrong ICV is refused. Takes well under a millisecond on a fast
/// engine.
bool passes_known_answers(const Engine& engine);

}  // namespace esplane::crypto
