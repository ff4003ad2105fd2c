#include "base/cpu.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace esplane::base {
namespace {

#if defined(__x86_64__)
/// Leaf 7 of CPUID: clang before 15 has no name for what we ask there.
unsigned leaf7_ecx() {
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  return __get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) ? ecx : 0;
}
#endif

CpuFeatures read_features() {
  CpuFeatures f;
#if defined(__x86_64__)
  __builtin_cpu_init();
  f.aesni = __builtin_cpu_supports("aes");
  f.pclmul = __builtin_cpu_supports("pclmul");
  f.sse41 = __builtin_cpu_supports("sse4.1") && __builtin_cpu_supports("ssse3");
  unsigned eax, ebx, ecx, edx;  // __builtin_cpu_supports does not know it
  f.sha = __get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) != 0 && (ebx & bit_SHA) != 0;
  f.avx = __builtin_cpu_supports("avx");
  f.avx2 = __builtin_cpu_supports("avx2");
  // Both work on YMM registers at least, which the operating system has to save: AVX2 says so.
  f.vaes = f.avx2 && (leaf7_ecx() & bit_VAES);
  f.vpclmul = f.avx2 && (leaf7_ecx() & bit_VPCLMULQDQ);
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
