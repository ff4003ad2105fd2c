// The plain AES-GCM that every fast kernel must agree with. Runs on any CPU.
#pragma once

#include "crypto/engine.h"

namespace esplane::crypto {

extern const Engine kReferenceEngine;

}  // namespace esplane::crypto
