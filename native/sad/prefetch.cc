#include "sad/prefetch.h"

namespace esplane::sad {
namespace {

/// So many pairs are as large as a core's second cache: a kilobyte of each direction is in use.
constexpr uint32_t kFewPairs = 512;

/// More than every other one differs from the one before it.
template <typename T>
bool are_many(const T* of, uint32_t count) {
  uint32_t changes = 0;
  for (uint32_t i = 1; i < count; i++) changes += of[i] != of[i - 1];
  return 2 * changes > count;
}

/// The lines of an SA up to its lifetime, the first three.
template <typename Sa>
void prefetch_lines(const Sa* sa) {
  const auto* line = reinterpret_cast<const uint8_t*>(sa);
  for (uint32_t at = 0; at < 192; at += 64) __builtin_prefetch(line + at);
}

}  // namespace

void prefetch_outbound(const Sad& sad, const packet::Batch& batch) {
  if (sad.size() <= kFewPairs || !are_many(batch.outbound, batch.size)) return;
  const auto has_sa = [&](uint32_t i) {
    return batch.verdict[i] == packet::Verdict::kPending && batch.outbound[i] != nullptr;
  };
  for (uint32_t i = 0; i < batch.size; i++) {
    if (has_sa(i)) prefetch_lines(batch.outbound[i]);
  }
  for (uint32_t i = 0; i < batch.size; i++) {
    if (!has_sa(i)) continue;
    const OutboundSa& sa = *batch.outbound[i];
    __builtin_prefetch(&sa.outer());
    sa.protection.prefetch_key(batch.length[i]);
  }
}

void prefetch_inbound(const Sad& sad, const uint32_t* spi, const uint32_t* bytes, uint32_t count) {
  if (sad.size() <= kFewPairs || !are_many(spi, count)) return;
  for (uint32_t i = 0; i < count; i++) sad.prefetch(spi[i]);
  InboundSa* sas[packet::Batch::kCapacity];
  for (uint32_t i = 0; i < count; i++) {
    sas[i] = spi[i] == 0 ? nullptr : sad.at_index_of(spi[i]);
    if (sas[i] != nullptr) prefetch_lines(sas[i]);
  }
  for (uint32_t i = 0; i < count; i++) {
    if (sas[i] == nullptr) continue;
    sas[i]->protection.prefetch_key(bytes[i]);
    sas[i]->window.prefetch();
  }
}

}  // namespace esplane::sad
