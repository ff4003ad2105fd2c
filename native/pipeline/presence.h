// Who has time: what a worker shows of itself to its colleagues, and how it finds those that do.
#pragma once

#include <sys/eventfd.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <system_error>
#include <utility>
#include <vector>

#include "base/clock.h"

namespace esplane::pipeline {

/// An eventfd: what a thread that sleeps in poll(2) is woken by.
class Bell {
 public:
  Bell() : fd_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
    if (fd_ < 0) throw std::system_error(errno, std::generic_category(), "eventfd");
  }
  ~Bell() { close(fd_); }
  Bell(const Bell&) = delete;
  Bell& operator=(const Bell&) = delete;

  int fd() const { return fd_; }
  void ring() const {
    const uint64_t one = 1;
    [[maybe_unused]] const ssize_t written = write(fd_, &one, sizeof one);
  }
  void silence() const {
    uint64_t count;
    [[maybe_unused]] const ssize_t got = read(fd_, &count, sizeof count);
  }

 private:
  const int fd_;
};

/// Whether a worker has time for others, as they see it.
class Presence {
 public:
  enum class State : uint8_t { kBusy, kIdle, kAsleep };

  /// By the worker itself.
  void show(State state) {
    if (state == shown_) return;
    shown_ = state;
    state_.store(state, std::memory_order_relaxed);
  }
  /// By any thread.
  State state() const { return state_.load(std::memory_order_relaxed); }
  const Bell& bell() const { return bell_; }

 private:
  Bell bell_;
  State shown_ = State::kBusy;
  alignas(64) std::atomic<State> state_{State::kBusy};  ///< `shown_`, for others to read
};

/// The colleagues of one worker, as those who may help it.
class Helpers {
 public:
  Helpers() : wake_ticks_(static_cast<uint64_t>(kWakeUs * base::ticks_per_microsecond())) {}
  void set(std::vector<const Presence*> colleagues) { colleagues_ = std::move(colleagues); }

  bool any() const { return !colleagues_.empty(); }
  /// Looks who has time. Where nobody is about, or those who are do not keep up, a sleeper is woken,
  /// and counted: it finds something to do when it comes, and if it does not, the owner takes that.
  /// @param unclaimed  bursts that wait for somebody
  bool find(uint32_t unclaimed) {
    count_ = 0;
    const Presence* sleeper = nullptr;
    for (const Presence* colleague : colleagues_) {
      const auto state = colleague->state();
      if (state == Presence::State::kIdle) count_++;
      if (state == Presence::State::kAsleep) sleeper = colleague;
    }
    if (sleeper != nullptr && (count_ == 0 || unclaimed > 2 * count_)) {
      const uint64_t now = base::ticks();
      if (now - last_wake_ >= wake_ticks_) {
        last_wake_ = now;
        sleeper->bell().ring();
      }
      count_++;
    }
    return count_ > 0;
  }
  /// Those that had time when last looked.
  uint32_t count() const { return count_; }

 private:
  /// A colleague is woken again no sooner than this: it may still be on its way.
  static constexpr double kWakeUs = 100;

  std::vector<const Presence*> colleagues_;
  uint32_t count_ = 0;
  uint64_t last_wake_ = 0;
  const uint64_t wake_ticks_;
};

}  // namespace esplane::pipeline
