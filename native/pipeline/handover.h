// The hand-over: one worker's ring of bursts in flight, in order of arrival, whose heavy part other
// workers may do.
//
// A queue belongs to one worker, its owner, and so does every frame that came from it. The heavy
// part of a burst (encryption, decryption, looking at what was inside) depends on no other burst,
// so that any worker may do it, a helper or the owner. What depends on order (sequence numbers,
// replay windows, next hops, sending) stays with the owner. Hence nothing is reordered within a
// queue, and nothing within an inner flow.
//
//  1. The owner fills a free burst, does what comes before, in order, and puts it into the next
//     slot: next(), publish().
//  2. Any worker claims the oldest slot that nobody claimed: claim(). One compare-and-swap on a
//     count that only grows, so a claim that comes late fails, whatever has become of the slot. The
//     owner claims its own slots when it has nothing better to do: nothing waits for a helper that
//     does not come.
//  3. Who claimed a slot does the heavy part and says so: done(). A claim is never given back: a
//     worker that is asked to stop does so behind done().
//  4. The owner takes the oldest burst when it is done, does what comes after, in order, and frees
//     it: oldest(), release().
//
//     released <= claimed <= published <= released + slots
//
// Memory. A slot is written by one thread at a time: the owner up to publish(), the claimer up to
// done(), then the owner again. publish/claim and done/oldest are release/acquire pairs, so what is
// in a slot needs no atomics. Each count has a cache line of its own; whoever waits reads it there
// until it changes. Bursts are filled again last in, first out: those in use are as few, and as warm
// in the cache, as what is in flight allows.
//
// Epochs (base/epoch.h). What a slot's burst points at, or what its claimer looks up, is kept alive
// by the owner alone: as long as slots are in flight it is quiescent only up to the epoch in which
// the oldest of them was published (held_since()). An object retired in a later epoch waits for
// that slot; one retired in an earlier one was unpublished before the owner read the epoch, hence
// before the slot was published, and a claimer cannot find it. So helpers announce nothing, and a
// ring that is never empty holds no object for longer than a slot is in flight.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

namespace esplane::pipeline {

/// @tparam Work  a burst: made once and filled again and again; alignas(64)
template <typename Work>
class Handover {
 public:
  /// @param slots  a power of two
  explicit Handover(uint32_t slots)
      : mask_(slots - 1),
        slots_(std::make_unique<Slot[]>(slots)),
        works_(std::make_unique<Work[]>(slots)) {
    for (uint32_t i = 0; i < slots; i++) free_.push_back(&works_[i]);
  }

  // The owner only.

  /// The burst to fill next; it stays the same until publish(). Null: all are in flight.
  Work* next() { return free_.empty() ? nullptr : free_.back(); }
  /// Puts that burst into the next slot, and lets others see it.
  /// @param epoch  in which the owner looked up what it points at
  void publish(uint64_t epoch) {
    Slot& slot = at(owner_.published);
    slot.work = free_.back();
    slot.epoch = epoch;
    free_.pop_back();
    published_.store(++owner_.published, std::memory_order_release);
  }
  /// The oldest burst in flight if its heavy part is done, else null.
  Work* oldest() {
    Slot& slot = at(owner_.released);
    const bool done = slot.done.load(std::memory_order_acquire) == owner_.released + 1;
    return done ? slot.work : nullptr;
  }
  /// Frees the burst that oldest() returned, and its slot.
  void release() { free_.push_back(at(owner_.released++).work); }

  uint32_t slots() const { return static_cast<uint32_t>(mask_ + 1); }
  bool empty() const { return owner_.released == owner_.published; }
  uint32_t in_flight() const { return static_cast<uint32_t>(owner_.published - owner_.released); }
  uint32_t unclaimed() const {
    return static_cast<uint32_t>(owner_.published - claimed_.load(std::memory_order_relaxed));
  }
  /// The epoch of the oldest slot in flight. There must be one.
  uint64_t held_since() const { return at(owner_.released).epoch; }

  // Any worker.

  struct Claim {
    Work* work = nullptr;  ///< null: there was nothing to claim
    uint64_t number = 0;   ///< of the slot, counted from the beginning
  };

  Claim claim() {
    uint64_t number = claimed_.load(std::memory_order_relaxed);
    do {
      if (number >= published_.load(std::memory_order_acquire)) return {};
    } while (!claimed_.compare_exchange_weak(number, number + 1, std::memory_order_relaxed));
    return {at(number).work, number};
  }
  void done(const Claim& claim) {
    at(claim.number).done.store(claim.number + 1, std::memory_order_release);
  }

 private:
  struct alignas(64) Slot {
    std::atomic<uint64_t> done{0};  ///< number of the burst whose heavy part is done, plus one
    Work* work = nullptr;
    uint64_t epoch = 0;
  };

  Slot& at(uint64_t number) const { return slots_[number & mask_]; }

  const uint64_t mask_;
  const std::unique_ptr<Slot[]> slots_;
  const std::unique_ptr<Work[]> works_;
  std::vector<Work*> free_;  ///< the owner's
  alignas(64) struct {
    uint64_t published = 0, released = 0;
  } owner_;
  alignas(64) std::atomic<uint64_t> published_{0};
  alignas(64) std::atomic<uint64_t> claimed_{0};
};

}  // namespace esplane::pipeline
