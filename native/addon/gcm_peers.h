// What a program would encrypt with if it did not have our kernels: for bench_gcm only.
#pragma once

#include <span>

#include "crypto/engine.h"

namespace esplane::addon {

/// Each shaped like an engine, to be measured by the same loop; for one thread, and libcrypto's for
/// one key only.
///
///   libcrypto        a context that keeps its key from batch to batch, where the engine "openssl"
///                    sets it anew for each
///   ipsec-mb direct  Intel's library where it was there to build with: one call for a packet, and
///                    nothing besides, where the engine "ipsec-mb" wipes what the library leaves
///   ipsec-mb avx     the same, of its next smaller set of instructions; faster on some CPUs
///   ipsec-mb jobs    one burst of jobs for a batch
std::span<const crypto::Engine* const> gcm_peers();

/// Forgets the keys of what was measured.
void reset_gcm_peers();

}  // namespace esplane::addon
