// What there is for a suite in this build and on this CPU, fastest first as a rule, the plain
// reference last.
//
// A new implementation is one row in candidates.cc, with the CPU features that it needs; one with
// an ISA tier of its own is a static library of its own in native/sources.gypi.
#pragma once

#include <cstddef>

#include "crypto/engine.h"
#include "crypto/parts.h"

namespace esplane::crypto {

template <typename Implementation>
struct Candidates {
  const Implementation* of[8];
  size_t count = 0;

  void add_if(bool usable, const Implementation* candidate) {
    if (usable && candidate) of[count++] = candidate;
  }
  const Implementation* const* begin() const { return of; }
  const Implementation* const* end() const { return of + count; }
};

/// Of suites that are one AEAD: Form::kAead and Form::kGmac.
Candidates<Engine> aead_candidates(const Suite& suite);
/// Of Form::kMac; none where nothing is encrypted.
Candidates<CipherPart> cipher_candidates(const Suite& suite);
Candidates<MacPart> mac_candidates(const Suite& suite);

}  // namespace esplane::crypto
