// Safe reclamation: what a worker may still hold is freed only when every worker has let go
// (quiescent-state-based reclamation).
//
// A worker registers a Reader and calls quiescent() once per loop, where it holds no pointer from
// the SAD or SPD; idle() before it sleeps and resume() after. Whoever unpublishes an object hands
// it to retire(). It is destroyed when all readers have been quiescent or idle since, by whichever
// thread finds that out first; nobody waits for it. A worker with packets to forward destroys a few
// small objects at a time, and leaves large ones to the next thread that retires something.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <vector>

namespace esplane::base {

class Epoch {
 public:
  /// One worker's presence. Its methods are called by that worker only.
  class Reader {
   public:
    /// Starts active. The Epoch must outlive it.
    explicit Reader(Epoch& epoch);
    ~Reader();
    Reader(const Reader&) = delete;
    Reader& operator=(const Reader&) = delete;

    static constexpr uint64_t kHoldsNothing = ~uint64_t{0};

    /// Holds nothing right now but what it looked up since a call that returned `held_since`: what
    /// was retired before that call may go. Two loads and a store, unless something waits to be
    /// freed.
    /// @return the epoch in which look-ups from now on take place
    uint64_t quiescent(uint64_t held_since = kHoldsNothing) {
      const uint64_t now = epoch_.now_.load(std::memory_order_acquire);
      seen_.store(now < held_since ? now : held_since, std::memory_order_release);
      if (epoch_.small_.waiting.load(std::memory_order_relaxed) != 0) epoch_.try_collect();
      return now;
    }
    /// Holds nothing, and will not look anything up until resume().
    void idle();
    void resume();

   private:
    friend class Epoch;
    static constexpr uint64_t kIdle = ~uint64_t{0};

    Epoch& epoch_;
    alignas(64) std::atomic<uint64_t> seen_;
  };

  Epoch() = default;
  /// Destroys what is left. All readers are gone by then.
  ~Epoch();
  Epoch(const Epoch&) = delete;
  Epoch& operator=(const Epoch&) = delete;

  /// How long it takes to destroy an object: microseconds at most, or more.
  enum class Size : uint8_t { kSmall, kLarge };

  /// Takes an object that can no longer be looked up; null is allowed. Any thread.
  template <typename T>
  void retire(std::unique_ptr<T> object, Size size = Size::kSmall) {
    if (!object) return;
    retire(object.release(), [](const void* p) { delete static_cast<const T*>(p); },
           size == Size::kSmall ? small_ : large_);
  }

  /// Destroys what no reader can hold any more. Any thread.
  void collect();

  /// Objects that wait to be destroyed.
  uint64_t waiting() const {
    return small_.waiting.load(std::memory_order_relaxed) +
           large_.waiting.load(std::memory_order_relaxed);
  }

 private:
  struct Retired {
    const void* object;
    void (*destroy)(const void*);
    uint64_t since;  ///< may go when every reader has seen this epoch
  };

  struct Queue {
    std::deque<Retired> retired;  ///< oldest first
    std::atomic<uint64_t> waiting{0};
  };
  static constexpr uint32_t kFew = 32;

  void retire(const void* object, void (*destroy)(const void*), Queue& queue);
  void try_collect();  ///< a few small ones; nothing while another thread is at it
  // Under the mutex; what is destroyed must not come back here.
  static void free_unseen(Queue& queue, uint64_t seen, uint32_t most = ~0u);
  void free_all_unseen();
  uint64_t seen_by_all() const;

  std::atomic<uint64_t> now_{1};
  mutable std::mutex mutex_;
  std::vector<Reader*> readers_;
  Queue small_, large_;
};

}  // namespace esplane::base
