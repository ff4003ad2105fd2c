// Intel's ipsec-mb (Debian: libipsec-mb-dev), where it was installed when this was built: works on
// several packets of a batch side by side, in the vector unit.
//
// Its manager holds the jobs under way, so each thread has one of its own, made in the thread's
// first batch. No job is left in it between batches.
#pragma once

#if defined(ESPLANE_IPSEC_MB)

#include "crypto/engine.h"
#include "crypto/parts.h"

namespace esplane::crypto {

/// Whether ipsec-mb can run on this CPU.
bool ipsec_mb_usable();

extern const Engine kIpsecMbGcm;
extern const Engine kIpsecMbCcm;  ///< keys of 128 and 256 bits only
extern const Engine kIpsecMbChaCha20Poly1305;

extern const CipherPart kIpsecMbCbc;
extern const CipherPart kIpsecMbCtr;
extern const MacParts kIpsecMbMacs;

}  // namespace esplane::crypto

#endif
