// Times an engine on a suite, in one native call and without JavaScript in between.
#pragma once

#include <cstdint>

#include "addon/cost.h"
#include "crypto/engine.h"

namespace esplane::addon {

struct SuiteBenchOptions {
  const crypto::Suite* suite;
  const crypto::Engine* engine;
  uint32_t text_bytes;  ///< up to 65535; rounded down to the suite's unit
  uint32_t batch;       ///< 1 to Batch::kCapacity
  bool open;            ///< else seal
  double seconds;
};

/// One key, the batch's buffers hot. Sealing and opening take turns, so that every ICV that is
/// opened is a good one; one of them is timed.
Cost bench_suite(const SuiteBenchOptions& options);

}  // namespace esplane::addon
