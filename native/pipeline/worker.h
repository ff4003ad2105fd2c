// A worker: one thread that owns a pool of frames and a set of queues, and runs bursts from rx to
// tx. It spins briefly when nothing arrives, then sleeps in poll(2) on its queues and its eventfd.
//
// Sharing. As long as a burst is all that a queue had, its owner runs it straight through. When
// bursts come full, there is a backlog: the owner then puts bursts into its hand-over
// (handover.h), if another worker has time or can be woken. The owner goes on receiving and
// sending, and does heavy parts only when its helpers have enough, or when nothing arrives. A
// worker helps when its own queues are empty. One without queues is a pure helper.
#pragma once

#include <poll.h>

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "pipeline/core.h"
#include "pipeline/handover.h"
#include "pipeline/stages.h"
#include "port/port.h"

namespace esplane::pipeline {

class Worker {
 public:
  /// @param cpu    to pin the thread to, or -1
  /// @param slots  bursts in flight at most, a power of two; 1 where nobody can help
  /// @param hops   connects one client, for the life of the worker
  Worker(uint32_t index, int cpu, uint32_t slots, const Shared& shared, Counters& counters,
         std::unique_ptr<port::FramePool> pool, net::NextHopSource& hops);
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  // Set-up, before start().
  port::FramePool& pool() { return *pool_; }
  void add_queue(uint16_t port, port::Role role, std::unique_ptr<port::Queue> queue);
  void set_reinjector(std::unique_ptr<Reinjector> reinjector);
  /// The other workers of the dataplane, which help and are helped, in the order in which this one
  /// looks for work. They are destroyed only when this one has been joined.
  void set_colleagues(std::vector<Worker*> colleagues) { colleagues_ = std::move(colleagues); }

  void start();
  /// Asks the thread to end; it counts what it holds as kStopping. Any thread.
  void request_stop();
  void join();

  /// One turn of the thread's loop: once through the queues, else one burst of a colleague. For
  /// benchmarks, which bring their own threads in place of start().
  /// @return true if there was anything to do
  bool turn();
  /// Finishes what is in flight. As turn(), and part of stopping.
  void drain();

  /// Any thread, any time.
  port::QueueStats port_stats(uint16_t port) const;
  /// Why the thread could not be pinned; empty where it could or need not.
  const std::string& note() const { return note_; }

 private:
  struct Served {
    uint16_t port;
    port::Role role;
    std::unique_ptr<port::Queue> queue;
  };

  /// Whether a worker has time for others, as they see it.
  enum class State : uint8_t { kBusy, kIdle, kAsleep };

  void run();
  void take_answers();
  void keep_time();
  void give_up_overdue();
  void sleep();
  void release_held();

  // The ways of a burst.
  bool receive(Served& served);
  void pass(Burst& burst, bool share);
  void pass_turned();
  void finish(Burst& burst);
  void finish_done();
  void share_work(bool received);

  // Helping.
  bool help();
  bool work_for(Worker& owner);
  bool find_helpers();
  void wake() const;
  void show(State state);

  const uint32_t index_;
  const int cpu_;
  const int wake_fd_;
  std::unique_ptr<port::FramePool> pool_;
  Core core_;
  Stages stages_;
  std::vector<Served> queues_;
  std::unique_ptr<Reinjector> reinjector_;
  std::vector<pollfd> poll_fds_;
  bool must_poll_ = false;  ///< a queue cannot wake us
  uint64_t spin_ticks_ = 0;
  std::string note_;
  std::atomic<bool> stopping_{false};
  std::thread thread_;

  Handover<Burst> handover_;
  uint64_t epoch_now_ = 0;       ///< in which this turn's look-ups take place
  std::vector<Worker*> colleagues_;
  uint32_t helpers_ = 0;         ///< colleagues that had time when last looked
  uint64_t last_wake_ = 0;
  uint64_t wake_ticks_ = 0;      ///< at least between two wakes
  bool backlog_ = false;         ///< a queue gave a full burst in this turn
  bool in_order_ = false;  ///< a burst is on its way behind which none may be begun
  uint32_t until_dummies_ms_ = Stages::kNoDummies;
  State shown_ = State::kBusy;
  alignas(64) std::atomic<State> state_{State::kBusy};  ///< `shown_`, for others to read
};

}  // namespace esplane::pipeline
