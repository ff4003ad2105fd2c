// AES-GCM for CPUs with AVX: see aesni_gcm.h.
#include "crypto/aesni.h"

#include "crypto/aesni_gcm.h"

namespace esplane::crypto {

const Engine kAesniAvxEngine = {"aesni-avx", sizeof(AesniKey), expand, seal, open};

}  // namespace esplane::crypto
