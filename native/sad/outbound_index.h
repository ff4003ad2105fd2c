// Outbound SAs by what is on the wire of them: SPI and peer. For the slow path only, under the
// SAD's lock: packets find their SA through the SPD. Eight to twelve bytes a pair.
#pragma once

#include <bit>
#include <cstdint>
#include <memory>

#include "base/random.h"

namespace esplane::sad {

class OutboundIndex {
 public:
  static constexpr uint32_t kNone = ~uint32_t{0};

  /// @param capacity  indices are below this
  explicit OutboundIndex(uint32_t capacity)
      : seed_(base::random_u32() | 1), shift_(static_cast<uint32_t>(std::countl_zero(capacity | 1))),
        heads_(new uint32_t[size_t{1} << (32 - shift_)]), next_(new uint32_t[capacity]) {
    for (size_t i = 0; i < size_t{1} << (32 - shift_); i++) heads_[i] = kNone;
  }

  void add(uint32_t index, uint32_t spi) {
    next_[index] = head(spi);
    head(spi) = index;
  }
  void remove(uint32_t index, uint32_t spi) {
    uint32_t* link = &head(spi);
    while (*link != index) link = &next_[*link];
    *link = next_[index];
  }
  /// The newest of this SPI for which `is(index)` holds, or kNone. SPIs are the peers' random
  /// numbers, so that few share one.
  template <typename Is>
  uint32_t find(uint32_t spi, Is is) const {
    uint32_t i = head(spi);
    while (i != kNone && !is(i)) i = next_[i];
    return i;
  }

 private:
  uint32_t& head(uint32_t spi) const { return heads_[spi * seed_ * 0x9e3779b1u >> shift_]; }

  const uint32_t seed_;   ///< odd, of this process
  const uint32_t shift_;
  std::unique_ptr<uint32_t[]> heads_, next_;
};

}  // namespace esplane::sad
