// A worker: one thread that owns a pool of frames and a set of queues, and runs bursts from rx to
// tx. It spins briefly when nothing arrives, then sleeps in poll(2) on its queues and its eventfd.
#pragma once

#include <poll.h>

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "pipeline/core.h"
#include "pipeline/stages.h"
#include "port/port.h"

namespace esplane::pipeline {

class Worker {
 public:
  /// @param cpu   to pin the thread to, or -1
  /// @param hops  connects one client, for the life of the worker
  Worker(uint32_t index, int cpu, const Shared& shared, Counters& counters,
         std::unique_ptr<port::FramePool> pool, net::NextHopSource& hops);
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  // Set-up, before start().
  port::FramePool& pool() { return *pool_; }
  void add_queue(uint16_t port, port::Role role, std::unique_ptr<port::Queue> queue);
  void set_reinjector(std::unique_ptr<Reinjector> reinjector);

  void start();
  /// Asks the thread to end; it counts what it holds as kStopping. Any thread.
  void request_stop();
  void join();

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

  void run();
  bool run_once();
  void take_answers();
  void give_up_overdue();
  void sleep();
  void release_held();

  const uint32_t index_;
  const int cpu_;
  const int wake_fd_;
  std::unique_ptr<port::FramePool> pool_;
  Core core_;
  Stages stages_;
  Burst burst_;
  std::vector<Served> queues_;
  std::unique_ptr<Reinjector> reinjector_;
  std::vector<pollfd> poll_fds_;
  bool must_poll_ = false;  ///< a queue cannot wake us
  uint64_t spin_ticks_ = 0;
  std::string note_;
  std::atomic<bool> stopping_{false};
  std::thread thread_;
};

}  // namespace esplane::pipeline
