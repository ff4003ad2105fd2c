// How fast an implementation is on this machine, measured in a fraction of a millisecond.
#pragma once

#include "crypto/engine.h"
#include "crypto/parts.h"

namespace esplane::crypto {

/// Nanoseconds for a byte of text, sealing and opening taken together: the best of several batches
/// of 32 packets from 64 to 1424 bytes, as traffic has them.
double measure(const Engine& engine, const Suite& suite);
double measure(const CipherPart& part, const Suite& suite);
double measure(const MacPart& part, const Suite& suite);

}  // namespace esplane::crypto
