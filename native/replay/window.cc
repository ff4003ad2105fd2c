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
  word_mask_ = std::bit_ceil((packets + kWordBits - 1) / kWordBits) - 1;
  words_ = std::make_unique<std::atomic<uint64_t>[]>(word_mask_ + 1);
  // Number 0 is never sent and counts as received, and so does what would be before it: nobody
  // misses them.
  for (uint32_t i = 0; i <= word_mask_; i++) words_[i].store(~uint64_t{0}, kRelaxed);
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
  const uint64_t highest = highest_.load(std::memory_order_acquire);
  uint64_t sequence = 0;
  if (!infer(sequence_low, highest, sequence)) return {Outcome::kOld, sequence};
  if (packets_ == 0) return {Outcome::kNew, sequence};
  return {look_up(sequence, highest), sequence};
}

/// Under the lock.
void Window::advance_alone(std::span<const uint64_t> sequences, Outcome* outcomes) {
  if (sequences.size() == 1) {
    *outcomes = advance_one(sequences[0]);
    return;
  }
  for (size_t i = 0; i < sequences.size();) {
    const size_t in_order = advance_in_order(sequences.subspan(i), outcomes + i);
    i += in_order;
    if (in_order == 0) {
      outcomes[i] = advance_one(sequences[i]);
      i++;
    }
  }
}

/// Takes the first numbers of a group as far as they follow the highest one without a gap, as nearly
/// all do. @return how many
size_t Window::advance_in_order(std::span<const uint64_t> sequences, Outcome* outcomes) {
  const uint64_t highest = highest_.load(kRelaxed);
  size_t count = 0;
  // There is no number behind 2^64-1.
  while (count < sequences.size() && sequences[count] != 0 &&
         sequences[count] == highest + 1 + count) {
    outcomes[count++] = Outcome::kNew;
  }
  if (count == 0) return 0;
  if (packets_ != 0) take(highest + 1, count);
  // Whoever sees this number sees those before it.
  highest_.store(highest + count, std::memory_order_release);
  return count;
}

/// Marks numbers behind the highest one as received, each in the place of one that leaves the
/// window, and is lost if it has not come.
void Window::take(uint64_t first, uint64_t count) {
  const auto mark = [this](std::atomic<uint64_t>& w, uint64_t bits) {
    const uint64_t before = w.load(kRelaxed);
    const uint64_t missing = ~before & bits;
    if (missing != 0) [[unlikely]] lost_ += static_cast<uint64_t>(std::popcount(missing));
    w.store(before | bits, kRelaxed);
  };
  if (count == 1) return mark(word(first), bit(first));
  each_word(first, count, mark);
}

Outcome Window::advance_one(uint64_t sequence) {
  const uint64_t highest = highest_.load(kRelaxed);
  if (packets_ == 0) {
    if (sequence > highest) highest_.store(sequence, kRelaxed);
    return Outcome::kNew;
  }
  const Outcome outcome = look_up(sequence, highest);
  if (outcome != Outcome::kNew) return outcome;
  std::atomic<uint64_t>& w = word(sequence);
  if (sequence <= highest) {
    w.store(w.load(kRelaxed) | bit(sequence), kRelaxed);
    return outcome;
  }
  if (sequence != highest + 1) [[unlikely]] skip(highest, sequence);
  take(sequence, 1);
  // Whoever sees this number sees that those before it have not come.
  highest_.store(sequence, std::memory_order_release);
  return outcome;
}

/// The window moves over the numbers between two: none of them has come, and each takes the place
/// of one that now lies left of it, which is lost if it has not come either. Where there are more
/// than places, the first of them are lost themselves.
void Window::skip(uint64_t highest, uint64_t sequence) {
  const uint64_t skipped = sequence - highest - 1;
  const uint64_t places = std::min(skipped, ring_packets());
  lost_ += skipped - places;
  each_word(sequence - places, places, [&](std::atomic<uint64_t>& w, uint64_t bits) {
    const uint64_t before = w.load(kRelaxed);
    lost_ += static_cast<uint64_t>(std::popcount(~before & bits));
    w.store(before & ~bits, kRelaxed);
  });
}

/// Calls each(word, bits) for the words that `count` numbers from `first` on have their bits in.
template <typename Each>
void Window::each_word(uint64_t first, uint64_t count, Each each) const {
  while (count != 0) {
    const uint64_t from = first % kWordBits;
    const uint64_t here = std::min<uint64_t>(count, kWordBits - from);
    each(word(first), ~uint64_t{0} >> (kWordBits - here) << from);
    first += here;
    count -= here;
  }
}

uint64_t Window::lost() const {
  const std::lock_guard lock(lock_);
  if (packets_ == 0) return 0;
  // What the ring has places for beyond the window has left it, too.
  uint64_t holes = lost_;
  const uint64_t outside = ring_packets() - packets_;
  each_word(highest_.load(kRelaxed) + 1 - ring_packets(), outside,
            [&](const std::atomic<uint64_t>& w, uint64_t bits) {
              holes += static_cast<uint64_t>(std::popcount(~w.load(kRelaxed) & bits));
            });
  return holes;
}

}  // namespace esplane::replay
