// AES-GCM of OpenSSL's libcrypto, which Node itself exports: always there, and the tests' oracle.
#pragma once

#include "crypto/aead.h"

namespace esplane::crypto {

extern const GcmKernel kOpensslKernel;

}  // namespace esplane::crypto
