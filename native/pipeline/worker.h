// A worker: one thread that owns lanes (lane.h) and helps with those of others when its own have
// nothing to do. One without lanes is a pure helper. It spins briefly when nothing arrives, then
// sleeps in poll(2) on the queues and bells of its lanes and on its own bell.
#pragma once

#include <poll.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "pipeline/counters.h"
#include "pipeline/lane.h"
#include "pipeline/presence.h"

namespace esplane::pipeline {

class Worker {
 public:
  /// @param cpu       to pin the thread to, or -1
  /// @param counters  its own, and of its lanes; they outlive it
  Worker(uint32_t index, int cpu, base::Epoch& epoch, Counters& counters);
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  // Set-up, before start().

  /// Owns it until join() has returned.
  void own(Lane& lane);
  /// Lanes of others to help with, in the order in which it looks for work there, and the workers
  /// who may help with its own. They go only when all workers have been joined.
  void set_colleagues(const std::vector<Worker*>& colleagues);

  void start();
  /// Asks the thread to end. What its lanes have in flight it finishes. Any thread.
  void request_stop();
  void join();

  /// One turn of the thread's loop: once through the lanes, else one burst of another's. For
  /// benchmarks, which bring their own threads in place of start().
  /// @return true if there was anything to do
  bool turn();

  /// Why the thread could not be pinned; empty where it could or need not. Any thread.
  const std::string& note() const { return note_; }

 private:
  void run();
  uint64_t held_since() const;
  bool help();
  void sleep();

  const uint32_t index_;
  const int cpu_;
  base::Epoch& epoch_;
  Counters& counters_;
  Presence presence_;
  Helpers helpers_;
  std::vector<Lane*> lanes_;
  std::vector<Lane*> others_;
  std::vector<pollfd> poll_fds_;  ///< our bell, those of the lanes, then the queues
  uint64_t spin_ticks_ = 0;
  uint64_t epoch_now_ = 0;  ///< in which this turn's look-ups take place
  std::string note_;
  std::atomic<bool> stopping_{false};
  std::thread thread_;
};

}  // namespace esplane::pipeline
