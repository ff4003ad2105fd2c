// What the fast path cannot do itself goes up as an event: a bounded ring from all threads of a
// dataplane to its one listener. A full ring loses the event and counts it.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <utility>

#include "net/address.h"
#include "sad/lifetime.h"

namespace esplane::pipeline {

struct Event {
  enum class Kind : uint8_t {
    kAcquire,             ///< `policy`: PROTECT and no outbound SA, or none of `resource`
    kUnknownSpi,          ///< `spi` from `address`
    kSequenceNearEnd,     ///< outbound SA of the pair with inbound `spi`
    kExpire,              ///< `inbound` or outbound SA of that pair, by `cause`: `hard`, or soon
    kNatMappingChanged,   ///< `spi` now comes from `address`, `port`
    kAddressChanged,      ///< interface `ifindex`
    kPathMtu,             ///< of the pair with inbound `spi`, whose tunnel has an interface, is another
  };
  static constexpr size_t kPolicyBytes = 128;

  Kind kind = Kind::kAcquire;
  uint16_t port = 0;
  uint16_t resource = 0xffff;  ///< spd::Resource; spd::kAnyResource: there is no SA at all
  uint32_t spi = 0;
  int ifindex = 0;
  bool inbound = false;
  bool hard = false;
  sad::Lifetime::Cause cause = sad::Lifetime::Cause::kTime;
  net::IpAddress address;
  char policy[kPolicyBytes] = {};  ///< zero-terminated
};

/// Bounded, many producers, one consumer: an array queue with a sequence number in each slot.
class EventRing {
 public:
  EventRing() {
    for (uint64_t i = 0; i < kEntries; i++) slots_[i].turn.store(i, std::memory_order_relaxed);
  }

  /// A full ring counts the event as lost.
  void push(const Event& event) {
    uint64_t tail = tail_.load(std::memory_order_relaxed);
    for (;;) {
      Slot& slot = slots_[tail & (kEntries - 1)];
      const uint64_t turn = slot.turn.load(std::memory_order_acquire);
      if (turn == tail) {
        if (!tail_.compare_exchange_weak(tail, tail + 1, std::memory_order_relaxed)) continue;
        slot.event = event;
        slot.turn.store(tail + 1, std::memory_order_release);
        break;
      }
      if (turn < tail) {
        lost_.fetch_add(1, std::memory_order_relaxed);
        break;
      }
      tail = tail_.load(std::memory_order_relaxed);
    }
    notify();
  }

  /// Consumers only: the listener, one at a time.
  bool pop(Event& out) {
    const std::lock_guard lock(pop_mutex_);
    Slot& slot = slots_[head_ & (kEntries - 1)];
    if (slot.turn.load(std::memory_order_acquire) != head_ + 1) return false;
    out = slot.event;
    slot.turn.store(head_ + kEntries, std::memory_order_release);
    head_++;
    return true;
  }

  /// Events lost since the last call.
  uint64_t take_lost() { return lost_.exchange(0, std::memory_order_relaxed); }

  /// `function` is called, from any thread, when something waits and the consumer was not told
  /// yet. Once this returns, the one before it is not running and will not be called again.
  void set_notify(std::function<void()> function) {
    const std::lock_guard lock(notify_mutex_);
    notify_ = std::move(function);
    told_.store(false);
  }
  /// The consumer calls this before it empties the ring.
  void rearm() { told_.store(false); }

 private:
  static constexpr uint64_t kEntries = 256;
  struct Slot {
    std::atomic<uint64_t> turn;
    Event event;
  };

  /// Takes a lock at most once for each time that the consumer wakes.
  void notify() {
    if (told_.exchange(true)) return;
    const std::lock_guard lock(notify_mutex_);
    if (notify_) notify_();
  }

  std::unique_ptr<Slot[]> slots_ = std::make_unique<Slot[]>(kEntries);
  std::mutex notify_mutex_;
  std::mutex pop_mutex_;
  std::function<void()> notify_;
  std::atomic<bool> told_{false};
  std::atomic<uint64_t> lost_{0};
  alignas(64) std::atomic<uint64_t> tail_{0};
  alignas(64) uint64_t head_ = 0;
};

}  // namespace esplane::pipeline
