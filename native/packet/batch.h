// A batch: up to 64 packets on their way through the pipeline, as arrays, one per field.
//
// Packets live in frames: chunk-aligned, power-of-two pieces of one Umem (port/umem.h). A packet
// is moved by moving `data`; headers are added and stripped in place, never copied. Whoever holds
// the batch owns its frames; `port::Port::tx` and `port::FramePool::put` take them over.
#pragma once

#include <cstdint>

#include "packet/verdict.h"

namespace esplane::sad {
struct OutboundSa;
struct InboundSa;
}  // namespace esplane::sad

namespace esplane::packet {

struct Batch {
  static constexpr uint32_t kCapacity = 64;

  uint32_t size = 0;
  uint32_t chunk_bytes = 2048;         ///< frame size of the Umem, a power of two

  uint8_t* data[kCapacity];            ///< first byte of the current outermost header
  uint32_t length[kCapacity];          ///< bytes from `data` on
  Verdict verdict[kCapacity];          ///< kPending while the packet lives

  /// Set by the stage before ESP: the SA of each pending packet (null for others).
  union {
    sad::OutboundSa* outbound[kCapacity];
    sad::InboundSa* inbound[kCapacity];
  };

  void clear() { size = 0; }

  /// First byte of the frame that holds packet i.
  uint8_t* frame(uint32_t i) const {
    return reinterpret_cast<uint8_t*>(reinterpret_cast<uintptr_t>(data[i]) & ~uintptr_t{chunk_bytes - 1});
  }
  /// Bytes free in the frame before the packet.
  uint32_t headroom(uint32_t i) const { return static_cast<uint32_t>(data[i] - frame(i)); }
  /// Bytes free in the frame behind the packet.
  uint32_t tailroom(uint32_t i) const { return chunk_bytes - headroom(i) - length[i]; }
};

}  // namespace esplane::packet
