// Which AES-GCM kernels this CPU can run, and which one is used.
//
// A new tier is one row in `candidates`: its kernel, the features that it needs, and a static
// library of its own in native/sources.gypi.
#include <cstdio>
#include <cstdlib>

#include "base/bytes.h"
#include "base/cpu.h"
#include "crypto/aead.h"
#include "crypto/known_answer.h"
#include "crypto/openssl.h"
#include "crypto/reference.h"
#if defined(__x86_64__)
#include "crypto/aesni.h"
#include "crypto/vaes512.h"
#endif

namespace esplane::crypto {
namespace {

struct Candidates {
  const GcmKernel* kernel[8];
  size_t count = 0;

  void add_if(bool usable, const GcmKernel& candidate) {
    if (usable) kernel[count++] = &candidate;
  }
};

/// Fastest first.
Candidates candidates() {
  Candidates c;
#if defined(__x86_64__)
  const base::CpuFeatures& cpu = base::cpu_features();
  c.add_if(cpu.avx512 && cpu.vaes && cpu.vpclmul, kVaes512Kernel);
  c.add_if(cpu.aesni && cpu.pclmul && cpu.sse41, kAesniKernel);
#endif
  c.add_if(true, kOpensslKernel);
  c.add_if(true, kReferenceKernel);
  return c;
}

const GcmKernel& first_that_passes() {
  for (const GcmKernel* kernel : gcm_kernels()) {
    if (passes_known_answers(*kernel)) return *kernel;
    std::fprintf(stderr, "esplane: AES-GCM kernel %s fails its known answers, not used\n",
                 kernel->name);
  }
  std::abort();
}

}  // namespace

GcmKey::~GcmKey() { base::wipe(table, sizeof table); }

std::span<const GcmKernel* const> gcm_kernels() {
  static const Candidates all = candidates();
  return {all.kernel, all.count};
}

const GcmKernel& gcm_kernel() {
  static const GcmKernel& chosen = first_that_passes();
  return chosen;
}

}  // namespace esplane::crypto
