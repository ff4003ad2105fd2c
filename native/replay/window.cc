#include "replay/window.h"

#include <algorithm>
#include <bit>
#include <mutex>
#include <stdexcept>
#include <string>

namespace esplane::replay {
namespace {

constexpr auto kRelaxed = std::memory_order_relaxed;

/// With the check off, ESN still has to infer: the nearest number to the highest one is taken.
constexpr uint32_t kInferenceWithoutCheck = 1u << 31;

}  // namespace

Window::Window(uint32_t packets, bool esn, uint64_t highest)
    : highest_(highest), packets_(packets), esn_(esn) {
  if (packets != 0 && (packets < kLeastPackets || packets > kMostPackets)) {
    throw std::invalid_argument("replay window of " + std::to_string(packets) + " packets: 0 or " +
                                std::to_string(kLeastPackets) + " to " +
                                std::to_string(kMostPackets) + " are possible");
  }
  // One word more than the window has: the one that the highest number is in fills up while all
  // of the window is still remembered behind it (RFC 6479 §2).
  const uint32_t words = std::bit_ceil((packets + kWordBits - 1) / kWordBits + 1);
  word_mask_ = words - 1;
  words_ = std::make_unique<std::atomic<uint64_t>[]>(words);
  for (uint32_t i = 0; i < words; i++) words_[i].store(~uint64_t{0}, kRelaxed);
  // In the highest number's own word, what lies right of it has not come yet. Number 0 is never
  // sent and counts as received, and so does what would be before it: nobody misses them.
  word(highest).store((bit(highest) << 1) - 1, kRelaxed);
}

// RFC 4303 Appendix A2.2: T is the highest number authenticated so far, Tl and Th its halves, W the
// window's size. The window's left edge lies in T's subspace (case A) or in the one before (B).
bool Window::infer(uint32_t sequence_low, uint64_t highest, uint64_t& sequence) const {
  if (!esn_) {
    sequence = sequence_low;
    return true;
  }
  const uint32_t width = packets_ != 0 ? packets_ : kInferenceWithoutCheck;
  const auto highest_low = static_cast<uint32_t>(highest);
  uint32_t high = static_cast<uint32_t>(highest >> 32);
  const uint32_t left_edge = highest_low - width + 1;  // modulo 2^32
  if (highest_low >= width - 1) {                      // case A
    if (sequence_low < left_edge) {
      if (++high == 0) return false;  // behind 2^64-1
    }
  } else if (sequence_low >= left_edge) {  // case B
    if (high-- == 0) return false;         // before the first number
  }
  sequence = uint64_t{high} << 32 | sequence_low;
  return true;
}

Outcome Window::look_up(uint64_t sequence, uint64_t highest) const {
  // The first number sent is 1 (RFC 4303 §3.3.3), in either mode.
  if (sequence == 0) return Outcome::kOld;
  if (sequence > highest) return Outcome::kNew;
  if (highest - sequence >= packets_) return Outcome::kOld;
  return word(sequence).load(kRelaxed) & bit(sequence) ? Outcome::kDuplicate : Outcome::kNew;
}

Window::Check Window::check(uint32_t sequence_low) const {
  // While another worker advances, a bit may be read that already stands for a later number. Then
  // ours has just left the window: either answer refuses it, and advance() decides anyway.
  const uint64_t highest = highest_.load(kRelaxed);
  uint64_t sequence = 0;
  if (!infer(sequence_low, highest, sequence)) return {Outcome::kOld, sequence};
  if (packets_ == 0) return {Outcome::kNew, sequence};
  return {look_up(sequence, highest), sequence};
}

void Window::advance(std::span<const uint64_t> sequences, Outcome* outcomes) {
  const std::lock_guard lock(lock_);
  for (size_t i = 0; i < sequences.size(); i++) outcomes[i] = advance_one(sequences[i]);
}

Outcome Window::advance_one(uint64_t sequence) {
  const uint64_t highest = highest_.load(kRelaxed);
  if (packets_ == 0) {
    if (sequence > highest) highest_.store(sequence, kRelaxed);
    return Outcome::kNew;
  }
  const Outcome outcome = look_up(sequence, highest);
  if (outcome != Outcome::kNew) return outcome;
  if (sequence > highest) open_words_up_to(sequence, highest);
  word(sequence).store(word(sequence).load(kRelaxed) | bit(sequence), kRelaxed);
  if (sequence > highest) highest_.store(sequence, kRelaxed);
  return outcome;
}

/// Clears the words that the window moves into, at most the whole ring, and counts the holes in
/// what they held: all of it left of the window by now. Skipped words were never received at all.
void Window::open_words_up_to(uint64_t sequence, uint64_t highest) {
  const uint64_t moved = sequence / kWordBits - highest / kWordBits;
  const uint64_t ring = uint64_t{word_mask_} + 1;
  const uint64_t count = std::min(moved, ring);
  lost_ += (moved - count) * kWordBits;
  for (uint64_t i = 0; i < count; i++) {
    auto& recycled = words_[(sequence / kWordBits - i) & word_mask_];
    lost_ += std::popcount(~recycled.load(kRelaxed));
    recycled.store(0, kRelaxed);
  }
}

uint64_t Window::lost() const {
  const std::lock_guard lock(lock_);
  const uint64_t highest = highest_.load(kRelaxed);
  if (packets_ == 0 || highest < packets_) return 0;
  // The ring still remembers some words that have left the window, and the rest of one.
  const uint64_t top = highest / kWordBits;
  const uint64_t oldest_word = top > word_mask_ ? top - word_mask_ : 0;
  const uint64_t left_edge = highest - packets_ + 1;
  uint64_t holes = lost_;
  for (uint64_t w = oldest_word; w <= (left_edge - 1) / kWordBits; w++) {
    const uint64_t behind = left_edge - w * kWordBits;
    const uint64_t outside = behind >= kWordBits ? ~uint64_t{0} : (uint64_t{1} << behind) - 1;
    holes += std::popcount(~word(w * kWordBits).load(kRelaxed) & outside);
  }
  return holes;
}

}  // namespace esplane::replay
