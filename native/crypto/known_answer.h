// The known-answer tests that an implementation passes before it touches traffic. Each takes well
// under a millisecond on a fast one.
#pragma once

#include "crypto/engine.h"
#include "crypto/parts.h"

namespace esplane::crypto {

/// Seals and opens published vectors of the AEAD with keys of the suite's size, one by one and as a
/// batch, and checks that a wrong ICV is refused.
bool passes_known_answers(const Engine& engine, const Suite& suite);

/// Encrypts and decrypts published vectors with keys of the suite's size.
bool passes_known_answers(const CipherPart& part, const Suite& suite);

/// Authenticates published messages.
bool passes_known_answers(const MacPart& part, const Suite& suite);

}  // namespace esplane::crypto
