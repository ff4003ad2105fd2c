// Plain implementations that every fast one must agree with, each from its document. They run on
// any CPU, in constant time, and are not fast.
#pragma once

#include "crypto/engine.h"
#include "crypto/parts.h"

namespace esplane::crypto {

extern const Engine kReferenceEngine;  ///< AES-GCM and GMAC
extern const Engine kReferenceCcm;
extern const Engine kReferenceChaCha20Poly1305;

extern const CipherPart kReferenceCbc;
extern const CipherPart kReferenceCtr;
extern const MacParts kReferenceMacs;

}  // namespace esplane::crypto
