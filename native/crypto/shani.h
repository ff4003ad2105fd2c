// HMAC-SHA-1 and HMAC-SHA-256 on the SHA extensions, two packets side by side.
#pragma once

#include "crypto/parts.h"

namespace esplane::crypto {

extern const MacPart kShaniHmacSha1;
extern const MacPart kShaniHmacSha256;

}  // namespace esplane::crypto
