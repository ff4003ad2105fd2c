#include "crypto/candidates.h"

#include "base/cpu.h"
#include "crypto/ipsec_mb.h"
#include "crypto/openssl.h"
#include "crypto/reference.h"
#if defined(__x86_64__)
#include "crypto/aesni.h"
#include "crypto/chacha_avx2.h"
#include "crypto/shani.h"
#include "crypto/vaes256.h"
#include "crypto/vaes512.h"
#endif

namespace esplane::crypto {
namespace {

Candidates<Engine> gcm_candidates() {
  Candidates<Engine> c;
#if defined(__x86_64__)
  const base::CpuFeatures& cpu = base::cpu_features();
  c.add_if(cpu.avx512 && cpu.vaes && cpu.vpclmul, &kVaes512Engine);
  c.add_if(cpu.avx2 && cpu.vaes && cpu.vpclmul, &kVaes256Engine);
  const bool aesni = cpu.aesni && cpu.pclmul && cpu.sse41;
  c.add_if(aesni && cpu.avx, &kAesniAvxEngine);
  c.add_if(aesni, &kAesniEngine);
#endif
#if defined(ESPLANE_IPSEC_MB)
  c.add_if(ipsec_mb_usable(), &kIpsecMbGcm);
#endif
  c.add_if(true, &kOpensslEngine);
  c.add_if(true, &kReferenceEngine);
  return c;
}

Candidates<Engine> ccm_candidates(const Suite& suite) {
  Candidates<Engine> c;
#if defined(ESPLANE_IPSEC_MB)
  c.add_if(ipsec_mb_usable() && suite.key_bits != 192, &kIpsecMbCcm);
#endif
  c.add_if(true, &kOpensslCcm);
  c.add_if(true, &kReferenceCcm);
  (void)suite;
  return c;
}

Candidates<Engine> chacha_candidates() {
  Candidates<Engine> c;
#if defined(__x86_64__)
  c.add_if(base::cpu_features().avx2, &kAvx2ChaCha20Poly1305);
#endif
#if defined(ESPLANE_IPSEC_MB)
  c.add_if(ipsec_mb_usable(), &kIpsecMbChaCha20Poly1305);
#endif
  c.add_if(true, &kOpensslChaCha20Poly1305);
  c.add_if(true, &kReferenceChaCha20Poly1305);
  return c;
}

}  // namespace

Candidates<Engine> aead_candidates(const Suite& suite) {
  switch (suite.cipher) {
    case Cipher::kAesGcm:
      return gcm_candidates();
    case Cipher::kAesCcm:
      return ccm_candidates(suite);
    case Cipher::kChaCha20Poly1305:
      return chacha_candidates();
    default:
      return {};
  }
}

Candidates<CipherPart> cipher_candidates(const Suite& suite) {
  Candidates<CipherPart> c;
  const bool cbc = suite.cipher == Cipher::kAesCbc;
  if (!cbc && suite.cipher != Cipher::kAesCtr) return c;
#if defined(ESPLANE_IPSEC_MB)
  c.add_if(ipsec_mb_usable(), cbc ? &kIpsecMbCbc : &kIpsecMbCtr);
#endif
  c.add_if(true, cbc ? &kOpensslCbc : &kOpensslCtr);
  c.add_if(true, cbc ? &kReferenceCbc : &kReferenceCtr);
  return c;
}

Candidates<MacPart> mac_candidates(const Suite& suite) {
  Candidates<MacPart> c;
#if defined(__x86_64__)
  const bool shani = base::cpu_features().sha && base::cpu_features().sse41;
  c.add_if(shani && suite.integrity == kAuthHmacSha1_96, &kShaniHmacSha1);
  c.add_if(shani && suite.integrity == kAuthHmacSha2_256_128, &kShaniHmacSha256);
#endif
#if defined(ESPLANE_IPSEC_MB)
  c.add_if(ipsec_mb_usable(), kIpsecMbMacs.of(suite.integrity));
#endif
  c.add_if(true, kOpensslMacs.of(suite.integrity));
  c.add_if(true, kReferenceMacs.of(suite.integrity));
  return c;
}

}  // namespace esplane::crypto
