// The operations of a batch by the size of their AES keys, for kernels that are compiled once for
// each number of rounds, and once more for batches of one key.
//
// For kernels only, in an unnamed namespace like crypto/clmul.h.
#pragma once

#include <cstdint>
#include <cstring>
#include <type_traits>

#include "crypto/batch.h"

namespace esplane::crypto {
namespace {

/// Some operations of a batch whose keys have the same number of rounds.
struct Selection {
  uint32_t size = 0;
  uint8_t index[Batch::kCapacity];  ///< not filled where the batch has one key: 0, 1, 2 ...

  template <bool kOneKey>
  uint32_t at(uint32_t s) const {
    return kOneKey ? s : index[s];
  }
};

struct Identity {
  uint8_t index[Batch::kCapacity];

  constexpr Identity() : index() {
    for (uint8_t i = 0; i < Batch::kCapacity; i++) index[i] = i;
  }
};
constexpr Identity kIdentity;

inline bool has_one_key(const Batch& batch) {
  const auto first = reinterpret_cast<uintptr_t>(batch.key[0]);
  uintptr_t difference = 0;
  for (uint32_t i = 1; i < batch.size; i++) {
    difference |= first ^ reinterpret_cast<uintptr_t>(batch.key[i]);
  }
  return difference == 0;
}

/// Calls run(rounds, one_key, selection) for each group, the first two as integral constants.
/// @param rounds_of  the number of rounds of an expanded key
/// @return           the bits of all groups together
template <typename RoundsOf, typename Run>
uint64_t run_by_rounds(const Batch& batch, RoundsOf rounds_of, Run run) {
  const auto with = [&](uint32_t rounds, auto one_key, const Selection& selection) -> uint64_t {
    if (rounds == 10) return run(std::integral_constant<int, 10>{}, one_key, selection);
    if (rounds == 12) return run(std::integral_constant<int, 12>{}, one_key, selection);
    return run(std::integral_constant<int, 14>{}, one_key, selection);
  };
  if (batch.size == 0) return 0;
  Selection selection;
  if (has_one_key(batch)) {
    selection.size = batch.size;
    return with(rounds_of(batch.key[0]), std::true_type{}, selection);
  }
  const uint32_t first = rounds_of(batch.key[0]);
  uint32_t difference = 0;
  for (uint32_t i = 1; i < batch.size; i++) difference |= first ^ rounds_of(batch.key[i]);
  if (difference == 0) [[likely]] {  // as nearly always: an engine of one suite
    selection.size = batch.size;
    std::memcpy(selection.index, kIdentity.index, sizeof selection.index);
    return with(first, std::false_type{}, selection);
  }
  uint64_t bits = 0;
  for (const uint32_t rounds : {10u, 12u, 14u}) {
    selection.size = 0;
    for (uint32_t i = 0; i < batch.size; i++) {
      if (rounds_of(batch.key[i]) != rounds) continue;
      selection.index[selection.size++] = static_cast<uint8_t>(i);
    }
    if (selection.size != 0) bits |= with(rounds, std::false_type{}, selection);
  }
  return bits;
}

}  // namespace
}  // namespace esplane::crypto
