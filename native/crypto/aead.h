// AES-GCM on batches: the interface that every kernel implements (RFC 4106, NIST SP 800-38D).
//
// A kernel works on all packets of a batch in one call, so that it can interleave them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace esplane::crypto {

/// Round keys and GHASH tables of one AES-GCM key. Opaque: each kernel fills and reads it in its
/// own layout. Wiped on destruction.
struct alignas(64) GcmKey {
  static constexpr size_t kTableBytes = 1280;
  uint8_t table[kTableBytes];
  uint32_t rounds;  ///< 10, 12 or 14

  GcmKey() = default;
  GcmKey(const GcmKey&) = delete;
  GcmKey& operator=(const GcmKey&) = delete;
  ~GcmKey();
};

/// Up to 64 independent AES-GCM operations, one array per field. `text` is transformed in place.
struct GcmBatch {
  static constexpr uint32_t kCapacity = 64;
  static constexpr uint32_t kIcvBytes = 16;

  uint32_t size = 0;
  const GcmKey* key[kCapacity];
  const uint8_t* nonce[kCapacity];  ///< 12 bytes: salt | explicit IV (RFC 4106 §4)
  const uint8_t* aad[kCapacity];
  uint32_t aad_bytes[kCapacity];
  uint8_t* text[kCapacity];
  uint32_t text_bytes[kCapacity];
  uint8_t* icv[kCapacity];          ///< 16 bytes: written by seal, compared by open
};

/// One implementation of AES-GCM. All function pointers are set; none allocates or throws.
struct GcmKernel {
  const char* name;                 ///< "reference", "aesni", "openssl", ...

  /// Expands a key of 16, 24 or 32 bytes.
  void (*expand)(GcmKey& out, std::span<const uint8_t> key);
  /// Encrypts every text and writes every ICV.
  void (*seal)(const GcmBatch& batch);
  /// Decrypts every text and compares every ICV in constant time.
  /// @return a bit per operation: 1 where the ICV holds. Where it does not, the text is garbage
  ///         that the caller must not use.
  uint64_t (*open)(const GcmBatch& batch);
};

/// The kernels that this CPU can run, fastest first. The plain reference is always there.
std::span<const GcmKernel* const> gcm_kernels();

/// The kernel in use: the fastest that passes the known-answer test at first use.
/// Aborts the process if not even the reference passes (a broken build must not encrypt).
const GcmKernel& gcm_kernel();

}  // namespace esplane::crypto
