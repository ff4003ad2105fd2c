#include "base/cpu.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace esplane::base {
namespace {

CpuFeatures read_features() {
  CpuFeatures f;
#if defined(__x86_64__)
  __builtin_cpu_init();
  f.aesni = __builtin_cpu_supports("aes");
  f.pclmul = __builtin_cpu_supports("pclmul");
  f.sse41 = __builtin_cpu_supports("sse4.1") && __builtin_cpu_supports("ssse3");
  f.avx2 = __builtin_cpu_supports("avx2");
  f.vaes = __builtin_cpu_supports("vaes");
  f.vpclmul = __builtin_cpu_supports("vpclmulqdq");
  f.avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
             __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq");
#endif
  return f;
}

}  // namespace

const CpuFeatures& cpu_features() {
  static const CpuFeatures features = read_features();
  return features;
}

}  // namespace esplane::base
