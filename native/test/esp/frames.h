// A batch with frames of its own, between pages that may not be accessed, filled with a pattern
// that shows what was written.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "packet/batch.h"
#include "test/guarded.h"
#include "test/hex.h"

namespace esplane::test {

class Frames {
 public:
  static constexpr uint32_t kChunk = 2048;
  static constexpr uint32_t kHeadroom = 256;
  static constexpr uint8_t kFill = 0xa5;

  Frames() : memory_(kBytes) {
    batch.chunk_bytes = kChunk;
    clear();
  }

  void clear() {
    batch.clear();
    std::memset(memory_.at_begin(), kFill, kBytes);
  }

  /// Appends a pending packet without an SA.
  /// @return its index
  uint32_t add(const std::vector<uint8_t>& packet, uint32_t headroom = kHeadroom) {
    const uint32_t i = batch.size++;
    batch.data[i] = memory_.at_begin() + i * kChunk + headroom;
    batch.length[i] = static_cast<uint32_t>(packet.size());
    batch.verdict[i] = packet::Verdict::kPending;
    batch.outbound[i] = nullptr;
    std::memcpy(batch.data[i], packet.data(), packet.size());
    return i;
  }

  std::vector<uint8_t> packet(uint32_t i) const {
    return {batch.data[i], batch.data[i] + batch.length[i]};
  }
  std::string hex(uint32_t i) const { return hex_of(batch.data[i], batch.length[i]); }

  /// True if nothing was written in frame i outside of its packet.
  bool untouched_around(uint32_t i) const {
    const uint8_t* frame = memory_.at_begin() + i * kChunk;
    for (const uint8_t* p = frame; p < frame + kChunk; p++) {
      const bool inside = p >= batch.data[i] && p < batch.data[i] + batch.length[i];
      if (!inside && *p != kFill) return false;
    }
    return true;
  }

  packet::Batch batch;

 private:
  static constexpr size_t kBytes = size_t{kChunk} * packet::Batch::kCapacity;
  Guarded memory_;
};

}  // namespace esplane::test
