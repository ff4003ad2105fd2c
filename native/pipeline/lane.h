// A lane: queues of the ports, one or more of each, with the frames that they receive into and all
// that depends on the order of their packets: sequence numbers given, windows, fragments, what
// waits for a next hop. A burst goes from rx to tx within its lane.
//
// A lane is driven by one worker at a time, its owner, and outlives it: the same rings, frames and
// bursts go on with another owner. So the number of workers may change under traffic, and nothing
// is lost by it but what overruns a ring meanwhile.
//
// Sharing. As long as a burst is all that a queue had, its owner runs it straight through. When
// bursts come full, there is a backlog: the owner then puts bursts into the lane's hand-over
// (handover.h), if another worker has time or can be woken. The owner goes on receiving and
// sending, and does heavy parts only when its helpers have enough, or when nothing arrives.
#pragma once

#include <memory>
#include <vector>

#include "pipeline/core.h"
#include "pipeline/handover.h"
#include "pipeline/host_queues.h"
#include "pipeline/presence.h"
#include "pipeline/stages.h"
#include "pipeline/watch.h"
#include "port/port.h"

namespace esplane::pipeline {

class Lane {
 public:
  /// @param index  among the lanes; the first one tells of time
  /// @param slots  bursts in flight at most, a power of two; 1 where nobody can ever help
  /// @param hops   connects one client, for the life of the lane
  Lane(uint32_t index, uint32_t slots, const Shared& shared,
       std::unique_ptr<port::FramePool> pool, net::NextHopSource& hops);
  /// Counts what it holds as kStopping. No worker owns or helps it any more.
  ~Lane();
  Lane(const Lane&) = delete;
  Lane& operator=(const Lane&) = delete;

  // Set-up, before a worker owns it.
  port::FramePool& pool() { return *pool_; }
  /// Between two owners too.
  void add_queue(uint16_t port, port::Role role, std::unique_ptr<port::Queue> queue);
  /// The port goes, between two owners. What waits in it is counted as kPortRemoved.
  /// @return its queues: the caller closes them, which may take long, and destroys them between two
  ///         owners, when they give back their frames
  std::vector<std::unique_ptr<port::Queue>> take_queues(uint16_t port);
  /// Joins it to the host by the gateway's own TUN, or by the interface of a tunnel; between two
  /// owners too.
  void add_host_queue(spd::Scope scope, std::unique_ptr<HostQueue> queue);
  void remove_host_queue(spd::Scope scope);
  /// Gives it to a worker, between two owners: what it counts from now on, and who helps.
  void give_to(Counters& counters, Helpers& helpers);

  // The owner only.

  /// Once through the queues.
  /// @param epoch  in which the look-ups of this turn take place
  /// @return true if anything arrived or is in flight
  bool turn(uint64_t epoch);
  /// Of the last turn: bursts came full, or are in flight.
  bool busy() const { return backlog_ || in_flight_; }
  /// Finishes what is in flight.
  void drain();
  /// What its look-ups need: the epoch of the oldest of them that is in flight.
  uint64_t held_since() const {
    return handover_.empty() ? base::Epoch::Reader::kHoldsNothing : handover_.held_since();
  }
  /// Longest that it may be left alone, while nothing arrives.
  uint32_t rest_ms() const;
  /// Rings when an answer about a next hop waits.
  const Bell& bell() const { return bell_; }
  /// Readable when packets wait; not of queues that cannot tell.
  const std::vector<int>& descriptors() const { return descriptors_; }

  // Any worker.

  /// Does the heavy part of one burst, if one waits for somebody to do it.
  bool help();

  /// Any thread, any time.
  port::QueueStats port_stats(uint16_t port) const;
  /// Calls each(port, rings) for every queue that shares rings with the kernel; likewise.
  template <typename Each>
  void each_ring(Each each) const {
    for (const auto& served : queues_) {
      const auto rings = served.queue->rings();
      if (rings.receive.size > 0) each(served.port, rings);
    }
  }
  /// Calls each(scope, stats) for the queue of every interface; likewise, while none comes or goes.
  template <typename Each>
  void each_host_queue(Each each) const {
    host_.each_stats(each);
  }

 private:
  struct Served {
    uint16_t port;
    port::Role role;
    std::unique_ptr<port::Queue> queue;
  };

  void find_descriptors();
  void discard_waiting(port::Queue& queue);
  void take_answers();
  void keep_time();
  void give_up_overdue();
  void release_held();

  // The ways of a burst.
  uint32_t receive(port::Queue& queue, port::Role role, const Ingress& from);
  bool receive_from_host(bool busy);
  void pass(Burst& burst, bool share);
  void pass_turned();
  void finish(Burst& burst);
  void finish_done();
  void share_work(bool received);

  // While packets are watched (lane_watch.cc).
  bool watch_received(const Watch& watch, port::Role role, Burst& burst);
  void trace_one(Trace& trace, port::Role role, Burst& burst, uint32_t at);
  TraceReport run_traced(Burst& one, port::Role role);
  Burst& next_burst(const Ingress& from);

  const uint32_t index_;
  const Bell bell_;
  std::unique_ptr<port::FramePool> pool_;
  Counters own_;  ///< until somebody owns it
  Helpers nobody_;
  Helpers* helpers_ = &nobody_;
  Core core_;
  Stages stages_;
  std::vector<Served> queues_;
  HostQueues host_;
  std::vector<int> descriptors_;
  bool must_poll_ = false;  ///< a port's queue cannot wake us

  Handover<Burst> handover_;
  uint64_t epoch_ = 0;
  bool backlog_ = false;    ///< a queue gave a full burst in this turn
  bool in_flight_ = false;  ///< bursts were, in this turn
  bool in_order_ = false;   ///< a burst is on its way behind which none may be begun
  uint32_t until_dummies_ms_ = Stages::kNoDummies;
};

}  // namespace esplane::pipeline
