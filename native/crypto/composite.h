// Encrypt-then-MAC (RFC 4303 §3.2.3) put together from a cipher and a MAC of crypto/parts.h.
#pragma once

#include "crypto/engine.h"
#include "crypto/parts.h"

namespace esplane::crypto {

/// An engine of two parts.
/// @param name    for people; must outlive the engine, as the parts must
/// @param cipher  null: none (NULL encryption, AH)
Engine composite(const char* name, const CipherPart* cipher, const MacPart& mac);

/// Fills a table of a composite; what KeyTable calls.
void expand_composite(const Engine& engine, uint8_t* table, const Keys& keys);

}  // namespace esplane::crypto
