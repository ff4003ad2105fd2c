// The queues by which one lane and the host are joined: of the gateway's own TUN, and of each
// tunnel's interface. There may be hundreds, most of them silent, and to ask one costs a system
// call: an epoll tells which to ask, and under load from the ports it is asked now and then.
#pragma once

#include <sys/epoll.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <system_error>
#include <utility>
#include <vector>

#include "pipeline/reinjection.h"

namespace esplane::pipeline {

class HostQueues {
 public:
  HostQueues() : epoll_(epoll_create1(EPOLL_CLOEXEC)) {
    if (!epoll_) throw std::system_error(errno, std::generic_category(), "epoll");
  }

  /// Between two turns.
  void add(spd::Scope scope, std::unique_ptr<HostQueue> queue) {
    auto added = std::make_unique<Door>(scope, std::move(queue));
    epoll_event event{.events = EPOLLIN, .data = {.ptr = added.get()}};
    const int fd = added->queue->queue().poll_fd();
    added->blind = fd < 0 || epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) < 0;
    blind_ += added->blind;
    doors_.push_back(std::move(added));
  }
  /// Likewise. Gives back the frames that the queue held.
  void remove(spd::Scope scope) {
    std::erase_if(doors_, [&](const auto& door) {
      if (door->scope != scope) return false;
      blind_ -= door->blind;
      return true;  // a descriptor that is closed leaves the epoll
    });
  }
  bool any_blind() const { return blind_ > 0; }
  int fd() const { return epoll_.get(); }
  /// Calls each(scope, stats) for every queue.
  template <typename Each>
  void each_stats(Each each) const {
    for (const auto& door : doors_) each(door->scope, door->queue->queue().stats());
  }

  /// Calls `receive(queue, scope)` for the queues where packets wait.
  /// @param busy  the ports have packets too: they go first, but for one turn in a few
  /// @return true if any was called
  template <typename Receive>
  bool receive(bool busy, Receive receive) {
    if (busy && !active_ && ++passed_over_ < kPassOver) return false;
    passed_over_ = 0;
    bool any = false, holding = false;
    const auto visit = [&](Door& door) {
      any |= receive(door.queue->queue(), door.scope) > 0;
      holding |= door.queue->holds_packets();
    };
    if (holding_ || blind_ > 0) {
      for (const auto& door : doors_) {
        if (door->blind || door->queue->holds_packets()) visit(*door);
      }
    }
    epoll_event ready[kReady];
    const int count = doors_.size() > blind_ ? epoll_wait(epoll_.get(), ready, kReady, 0) : 0;
    for (int i = 0; i < count; i++) visit(*static_cast<Door*>(ready[i].data.ptr));
    holding_ = holding;
    active_ = any || holding;
    return active_;
  }
  void flush() {
    for (const auto& door : doors_) door->queue->queue().flush();
  }

 private:
  static constexpr int kReady = 16;
  static constexpr uint32_t kPassOver = 8;

  struct Door {
    Door(spd::Scope of, std::unique_ptr<HostQueue> through) : scope(of), queue(std::move(through)) {}
    spd::Scope scope;
    std::unique_ptr<HostQueue> queue;
    bool blind = false;  ///< its queue cannot tell that packets wait
  };

  port::Fd epoll_;
  std::vector<std::unique_ptr<Door>> doors_;
  size_t blind_ = 0;
  bool active_ = false;   ///< packets came when last looked
  bool holding_ = false;  ///< and some still wait in a queue, of which the epoll knows nothing
  uint32_t passed_over_ = 0;
};

}  // namespace esplane::pipeline
