// Times an AES-GCM kernel on batches, in one native call and without JavaScript in between.
#pragma once

#include <cstdint>

#include "addon/cost.h"
#include "crypto/engine.h"

namespace esplane::addon {

struct GcmBenchOptions {
  const crypto::Engine* kernel;  ///< or one of gcm_peers()
  uint32_t key_bits;    ///< 128, 192 or 256
  uint32_t keys;        ///< packets take turns with this many keys
  uint32_t text_bytes;  ///< up to 65535
  bool gmac;            ///< they are AAD, and there is no text (RFC 4543)
  uint32_t batch;       ///< operations in one kernel call, 1 to Batch::kCapacity
  bool decrypt;
  bool hot;             ///< one batch of packed buffers; else walk through kColdBytes of frames
  double seconds;       ///< for all repetitions together
};

struct GcmBenchResult {
  Cost cost;
  uint32_t repetitions;
};

/// What a UMEM of 4096 frames of 2048 bytes takes: beyond a core's L2 cache.
inline constexpr uint64_t kColdBytes = uint64_t{8} << 20;

GcmBenchResult bench_gcm(const GcmBenchOptions& options);

}  // namespace esplane::addon
