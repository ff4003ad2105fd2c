// Capabilities of one thread (capabilities(7)): what a thread does not need it gives up, so that
// who breaks into it by a packet has nothing.
#pragma once

#include <cstdint>

namespace esplane::base {

/// Takes all capabilities but those of `keep`, a mask of 1 << CAP_..., from the calling thread for
/// good; threads that it starts afterwards, and programs that it runs, have no others either.
/// @return 0, or an errno; then they are as they were
int keep_capabilities(uint64_t keep);

}  // namespace esplane::base
