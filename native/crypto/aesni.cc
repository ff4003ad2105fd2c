// AES-GCM for CPUs without AVX, small ones such as Atom: see aesni_gcm.h.
#include "crypto/aesni.h"

#include "crypto/aesni_gcm.h"

namespace esplane::crypto {

const Engine kAesniEngine = {"aesni", sizeof(AesniKey), expand, seal, open};

}  // namespace esplane::crypto
