// The packets of a batch by SA: what is paid once for each SA (an atomic add, a lock) is paid once
// for all of its packets in the batch.
#pragma once

#include <cstdint>
#include <cstring>

#include "packet/batch.h"

namespace esplane::esp {

template <typename Sa>
class SaGroups {
 public:
  static constexpr uint32_t kCapacity = packet::Batch::kCapacity;

  SaGroups() { clear(); }

  void clear() {
    size_ = 0;
    last_sa_ = nullptr;
    std::memset(table_, kEmpty, sizeof table_);
  }

  /// Adds a packet of `sa`.
  /// @return its group: 0 .. size() - 1, in order of first appearance
  uint32_t join(Sa* sa) {
    if (sa != last_sa_) find(sa);
    packets_[last_]++;
    return last_;
  }

  uint32_t size() const { return size_; }
  Sa& sa(uint32_t group) const { return *sa_[group]; }
  uint32_t packets(uint32_t group) const { return packets_[group]; }

 private:
  static constexpr uint32_t kSlots = 2 * kCapacity;
  static constexpr uint8_t kEmpty = 0xff;

  /// The group of `sa`, which may be new, becomes the last one asked for.
  void find(Sa* sa) {
    uint32_t slot = hash(sa);
    while (table_[slot] != kEmpty && sa_[table_[slot]] != sa) slot = (slot + 1) % kSlots;
    if (table_[slot] == kEmpty) {
      table_[slot] = static_cast<uint8_t>(size_);
      sa_[size_] = sa;
      packets_[size_] = 0;
      size_++;
    }
    last_sa_ = sa;
    last_ = table_[slot];
  }

  /// SAs are aligned to cache lines: the low six bits say nothing.
  static uint32_t hash(const Sa* sa) {
    const uint64_t key = reinterpret_cast<uintptr_t>(sa) >> 6;
    return static_cast<uint32_t>((key * 0x9e3779b97f4a7c15u) >> 57);  // seven bits: kSlots
  }

  uint32_t size_ = 0;
  const Sa* last_sa_ = nullptr;
  uint32_t last_ = 0;
  uint8_t table_[kSlots];
  Sa* sa_[kCapacity];
  uint32_t packets_[kCapacity];
};

}  // namespace esplane::esp
