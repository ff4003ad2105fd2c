// Which engines this CPU can run, and which one is used for a suite.
//
// A new tier is one row in `candidates`: its engine, the features that it needs, and a static
// library of its own in native/sources.gypi.
#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <string>

#include "base/cpu.h"
#include "crypto/engine.h"
#include "crypto/known_answer.h"
#include "crypto/openssl.h"
#include "crypto/reference.h"
#if defined(__x86_64__)
#include "crypto/aesni.h"
#include "crypto/vaes256.h"
#include "crypto/vaes512.h"
#endif

namespace esplane::crypto {
namespace {

struct Candidates {
  const Engine* engine[8];
  size_t count = 0;

  void add_if(bool usable, const Engine& candidate) {
    if (usable) engine[count++] = &candidate;
  }
};

/// For AES-GCM, fastest first.
Candidates candidates() {
  Candidates c;
#if defined(__x86_64__)
  const base::CpuFeatures& cpu = base::cpu_features();
  c.add_if(cpu.avx512 && cpu.vaes && cpu.vpclmul, kVaes512Engine);
  c.add_if(cpu.avx2 && cpu.vaes && cpu.vpclmul, kVaes256Engine);
  c.add_if(cpu.aesni && cpu.pclmul && cpu.sse41, kAesniEngine);
#endif
  c.add_if(true, kOpensslEngine);
  c.add_if(true, kReferenceEngine);
  return c;
}

const Engine& first_that_passes(const Suite& suite) {
  for (const Engine* engine : engines(suite)) {
    if (passes_known_answers(*engine)) return *engine;
    std::fprintf(stderr, "esplane: %s of engine %s fails its known answers, not used\n",
                 suite.name, engine->name);
  }
  std::abort();
}

}  // namespace

std::span<const Engine* const> engines(const Suite& suite) {
  static const Candidates gcm = candidates();
  if (suite.cipher != Cipher::kAesGcm) return {};
  return {gcm.engine, gcm.count};
}

const Engine& engine(const Suite& suite) {
  if (engines(suite).empty()) {
    throw std::invalid_argument(std::string("no engine for ") + suite.name);
  }
  static const Engine& chosen = first_that_passes(suite);
  return chosen;
}

}  // namespace esplane::crypto
