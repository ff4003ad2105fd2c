// IVs of AES-CBC: unpredictable, and never the same twice for an SA (RFC 3602 §3, RFC 4303 §2.3).
//
// A counter is never repeated and a cipher under a secret key makes it unpredictable (NIST SP
// 800-38A, appendix C, first method): an IV is AES-128 of SA and sequence number under a random key
// that this process keeps for itself. The IVs of all other suites are the sequence number.
#pragma once

#include <cstdint>

namespace esplane::crypto {

/// A number of its own for each SA that sends with AES-CBC, for the life of the process. SPIs are
/// none: peers choose them, and two may choose the same.
uint64_t new_iv_stream();

/// IVs for a group of packets.
struct IvBatch {
  static constexpr uint32_t kCapacity = 64;

  uint32_t size = 0;
  uint64_t stream[kCapacity];    ///< new_iv_stream() of the SA
  uint64_t sequence[kCapacity];  ///< all 64 bits, whether they are sent or not
  uint8_t* iv[kCapacity];        ///< where its 16 bytes go

  void add(uint64_t of_stream, uint64_t of_sequence, uint8_t* to) {
    stream[size] = of_stream;
    sequence[size] = of_sequence;
    iv[size++] = to;
  }
};

/// Writes the IVs. Any thread; allocates nothing but in a thread's first call without AES-NI.
void write_ivs(const IvBatch& batch);
/// The same IVs, as a CPU without AES-NI makes them.
void write_ivs_portably(const IvBatch& batch);

}  // namespace esplane::crypto
