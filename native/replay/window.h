// Anti-replay: inference of extended sequence numbers and the window (RFC 4303 §3.4.3 and
// Appendix A2), kept as a ring of bits that is never shifted (RFC 6479). Unlike there it has a bit
// for each number of the window and no word to spare: a bit is cleared when the window reaches its
// number, not a word at a time, so that a window of 4096 packets takes 512 bytes.
//
// Several workers may receive on one SA. The pre-check takes no lock; the advance, which decides,
// takes the SA's lock once for a group of packets. Left out: re-synchronisation after the loss of
// 2^32 packets in a row (Appendix A3).
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>

#include "base/spinlock.h"

namespace esplane::replay {

enum class Outcome : uint8_t {
  kNew,
  kOld,        ///< left of the window
  kDuplicate,  ///< received before
};

class Window {
 public:
  static constexpr uint32_t kLeastPackets = 32;
  static constexpr uint32_t kMostPackets = 131072;

  /// @param packets  window size, kLeastPackets..kMostPackets; 0 switches the replay check off
  /// @param esn      64-bit sequence numbers
  /// @param highest  highest sequence number received so far; 0 in a fresh SA. Everything up to
  ///                 it that is in the window counts as received.
  /// @throws std::invalid_argument for another size
  Window(uint32_t packets, bool esn, uint64_t highest = 0);

  struct Check {
    Outcome outcome;
    uint64_t sequence;  ///< whole: the ICV is to be checked with it
  };

  /// Before the ICV: infers the high half (Appendix A2.2) and refuses what surely is a replay.
  /// Changes nothing. Any thread, no lock.
  Check check(uint32_t sequence_low) const;

  /// After the ICV: checks exactly and marks as received, one number after the other, so that of
  /// duplicates in one group the first passes.
  /// @param sequences  whole, authenticated sequence numbers of a group of packets of this SA
  /// @param outcomes   as many
  void advance(std::span<const uint64_t> sequences, Outcome* outcomes) {
    advance(sequences, outcomes, [] {});
  }
  /// @param then  called before another worker may advance: what is counted by the outcomes needs
  ///              no lock of its own
  template <typename Then>
  void advance(std::span<const uint64_t> sequences, Outcome* outcomes, Then then) {
    const std::lock_guard lock(lock_);
    advance_alone(sequences, outcomes);
    then();
  }

  /// Sequence numbers that were never received and now lie left of the window, where they would be
  /// refused: packets lost, or later than the window is wide. 0 with the check off. Any thread.
  uint64_t lost() const;

  /// Fetches into the cache where the next numbers will be marked.
  void prefetch() const { __builtin_prefetch(&word(highest_.load(std::memory_order_relaxed) + 1)); }

  /// Highest sequence number received with a good ICV.
  uint64_t highest() const { return highest_.load(std::memory_order_relaxed); }
  uint32_t packets() const { return packets_; }
  /// Of its bits.
  uint32_t bytes() const { return (word_mask_ + 1) * (kWordBits / 8); }
  bool esn() const { return esn_; }

 private:
  static constexpr uint32_t kWordBits = 64;

  std::atomic<uint64_t>& word(uint64_t sequence) const {
    return words_[(sequence / kWordBits) & word_mask_];
  }
  static uint64_t bit(uint64_t sequence) { return uint64_t{1} << (sequence % kWordBits); }
  bool infer(uint32_t sequence_low, uint64_t highest, uint64_t& sequence) const;
  Outcome look_up(uint64_t sequence, uint64_t highest) const;
  void advance_alone(std::span<const uint64_t> sequences, Outcome* outcomes);
  Outcome advance_one(uint64_t sequence);
  size_t advance_in_order(std::span<const uint64_t> sequences, Outcome* outcomes);
  void take(uint64_t first, uint64_t count);
  void skip(uint64_t highest, uint64_t sequence);
  template <typename Each>
  void each_word(uint64_t first, uint64_t count, Each each) const;
  uint64_t ring_packets() const { return (uint64_t{word_mask_} + 1) * kWordBits; }

  // Read by every packet, written by advance() under the lock.
  std::atomic<uint64_t> highest_;
  std::unique_ptr<std::atomic<uint64_t>[]> words_;
  uint32_t word_mask_;
  uint32_t packets_;
  bool esn_;
  mutable base::Spinlock lock_;
  /// Of the numbers that the ring no longer has a bit for; under the lock.
  uint64_t lost_ = 0;
};

}  // namespace esplane::replay
