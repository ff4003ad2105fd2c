// CPU features that decide which kernels may run. Read once, by cpuid and xgetbv.
#pragma once

namespace esplane::base {

/// What this CPU offers and the operating system has enabled.
struct CpuFeatures {
  bool aesni = false;      ///< AES round instructions on 128-bit registers
  bool pclmul = false;     ///< carry-less multiplication on 128-bit registers
  bool sse41 = false;      ///< SSE 4.1 and the SSSE3 byte shuffle
  bool sha = false;        ///< SHA-1 and SHA-256 rounds
  bool avx = false;        ///< 256-bit registers, instructions of three operands
  bool avx2 = false;       ///< integer operations on 256-bit registers
  bool vaes = false;       ///< AES rounds on wider registers
  bool vpclmul = false;    ///< carry-less multiplication on wider registers
  bool avx512 = false;     ///< F, VL, BW and DQ, with the OS saving the registers
};

/// The features of the CPU that this process runs on.
const CpuFeatures& cpu_features();

}  // namespace esplane::base
