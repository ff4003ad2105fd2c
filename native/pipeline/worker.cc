#include "pipeline/worker.h"

#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <cstring>

#include "base/capabilities.h"
#include "base/clock.h"

namespace esplane::pipeline {

namespace {

// How long to spin after the last packet before sleeping. A sleep that ends soon was a mistake and
// doubles the time, one that lasts halves it.
constexpr double kLeastSpinUs = 10, kMostSpinUs = 100, kSoonUs = 200;
constexpr uint32_t kMostSleepMs = 1000;

}  // namespace

Worker::Worker(uint32_t index, int cpu, base::Epoch& epoch, Counters& counters)
    : index_(index), cpu_(cpu), epoch_(epoch), counters_(counters) {}

Worker::~Worker() {
  request_stop();
  join();
}

void Worker::own(Lane& lane) {
  lane.give_to(counters_, helpers_);
  lanes_.push_back(&lane);
}

void Worker::set_colleagues(const std::vector<Worker*>& colleagues) {
  std::vector<const Presence*> presences;
  for (const Worker* colleague : colleagues) {
    presences.push_back(&colleague->presence_);
    others_.insert(others_.end(), colleague->lanes_.begin(), colleague->lanes_.end());
  }
  helpers_.set(std::move(presences));
}

void Worker::start() {
  poll_fds_ = {{presence_.bell().fd(), POLLIN, 0}};
  for (const Lane* lane : lanes_) poll_fds_.push_back({lane->bell().fd(), POLLIN, 0});
  for (const Lane* lane : lanes_) {
    for (const int fd : lane->descriptors()) poll_fds_.push_back({fd, POLLIN, 0});
  }
  spin_ticks_ = static_cast<uint64_t>(kMostSpinUs * base::ticks_per_microsecond());
  thread_ = std::thread(&Worker::run, this);
  if (cpu_ < 0) return;
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(static_cast<size_t>(cpu_), &set);
  const int error = pthread_setaffinity_np(thread_.native_handle(), sizeof set, &set);
  if (error != 0) note_ = "not pinned to CPU " + std::to_string(cpu_) + ": " + std::strerror(error);
}

void Worker::request_stop() {
  stopping_.store(true);
  presence_.bell().ring();
}

void Worker::join() {
  if (thread_.joinable()) thread_.join();
}

void Worker::run() {
  pthread_setname_np(pthread_self(), ("esplane-" + std::to_string(index_)).c_str());
  base::keep_capabilities(0);  // its rings and sockets are open
  base::Epoch::Reader reader(epoch_);
  uint64_t last = base::ticks();
  uint64_t last_work = last;
  while (!stopping_.load(std::memory_order_relaxed)) {
    epoch_now_ = reader.quiescent(held_since());
    const bool worked = turn();
    const uint64_t now = base::ticks();
    counters_.cycles.add(now - last);
    if (worked) counters_.busy_cycles.add(now - last);
    if (worked) last_work = now;
    last = now;
    if (now - last_work < spin_ticks_) continue;

    reader.idle();  // nothing is in flight: turn() would have worked
    sleep();
    reader.resume();
    last = last_work = base::ticks();
    counters_.cycles.add(last - now);
    const auto soon = static_cast<uint64_t>(kSoonUs * base::ticks_per_microsecond());
    const auto least = static_cast<uint64_t>(kLeastSpinUs * base::ticks_per_microsecond());
    const auto most = static_cast<uint64_t>(kMostSpinUs * base::ticks_per_microsecond());
    spin_ticks_ = std::clamp(last_work - now < soon ? spin_ticks_ * 2 : spin_ticks_ / 2, least, most);
  }
  for (Lane* lane : lanes_) lane->drain();
}

uint64_t Worker::held_since() const {
  uint64_t oldest = base::Epoch::Reader::kHoldsNothing;
  for (const Lane* lane : lanes_) oldest = std::min(oldest, lane->held_since());
  return oldest;
}

bool Worker::turn() {
  bool worked = false, busy = false;
  for (Lane* lane : lanes_) {
    worked |= lane->turn(epoch_now_);
    busy |= lane->busy();
  }
  presence_.show(busy ? Presence::State::kBusy : Presence::State::kIdle);
  return worked || help();
}

bool Worker::help() {
  for (Lane* lane : others_) {
    if (!lane->help()) continue;
    counters_.helped_bursts.add(1);
    return true;
  }
  return false;
}

/// Level-triggered descriptors: what came between the last look and poll() ends it at once.
void Worker::sleep() {
  uint32_t most_ms = kMostSleepMs;
  for (const Lane* lane : lanes_) most_ms = std::min(most_ms, lane->rest_ms());
  presence_.show(Presence::State::kAsleep);
  poll(poll_fds_.data(), poll_fds_.size(), static_cast<int>(most_ms));
  presence_.show(Presence::State::kIdle);
  if ((poll_fds_[0].revents & POLLIN) != 0) presence_.bell().silence();
  for (size_t i = 0; i < lanes_.size(); i++) {
    if ((poll_fds_[1 + i].revents & POLLIN) != 0) lanes_[i]->bell().silence();
  }
}

}  // namespace esplane::pipeline
