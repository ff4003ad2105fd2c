// Which engine is used for a suite on this machine, and why.
#pragma once

#include <vector>

#include "crypto/engine.h"

namespace esplane::crypto {

/// An implementation that was measured (crypto/calibrate.h).
struct Contestant {
  const char* name;
  double ns_per_byte;
};

/// The fastest first. One list for a suite that is an AEAD; otherwise one each for cipher and MAC,
/// which are chosen by themselves (the first is empty where nothing is encrypted).
struct Choice {
  const Suite* suite;
  const Engine* engine;
  std::vector<Contestant> aeads, ciphers, macs;

  double ns_per_byte() const;  ///< of what is in use
};

/// The choice for a suite: made by known answers and a measurement of a few milliseconds at most
/// the first time that it is asked for, and kept for the life of the process.
/// Aborts the process if nothing passes the known answers (a broken build must not encrypt).
const Choice& engine_choice(const Suite& suite);

/// Those made so far, in the order of the table of suites.
std::vector<const Choice*> choices();

}  // namespace esplane::crypto
