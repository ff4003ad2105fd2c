#include "pipeline/worker.h"

#include <pthread.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <system_error>
#include <utility>

#include "base/clock.h"

namespace esplane::pipeline {

using packet::Verdict;

namespace {

// How long to spin after the last packet before sleeping. A sleep that ends soon was a mistake and
// doubles the time, one that lasts halves it.
constexpr double kLeastSpinUs = 10, kMostSpinUs = 100, kSoonUs = 200;
constexpr int kSleepMs = 1000, kHoldingSleepMs = 50, kBlindSleepMs = 1;

int make_eventfd() {
  const int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (fd < 0) throw std::system_error(errno, std::generic_category(), "eventfd");
  return fd;
}

}  // namespace

Worker::Worker(uint32_t index, int cpu, const Shared& shared, Counters& counters,
               std::unique_ptr<port::FramePool> pool, net::NextHopSource& hops)
    : index_(index),
      cpu_(cpu),
      wake_fd_(make_eventfd()),
      pool_(std::move(pool)),
      core_(shared, counters, *pool_, hops.connect(wake_fd_)),
      stages_(core_) {
  poll_fds_.push_back({wake_fd_, POLLIN, 0});
  burst_.batch.chunk_bytes = shared.chunk_bytes;
}

Worker::~Worker() {
  request_stop();
  join();
  queues_.clear();  // gives frames back to the pool
  reinjector_.reset();
  close(wake_fd_);
}

void Worker::add_queue(uint16_t port, port::Role role, std::unique_ptr<port::Queue> queue) {
  if (const int fd = queue->poll_fd(); fd >= 0) {
    poll_fds_.push_back({fd, POLLIN, 0});
  } else {
    must_poll_ = true;
  }
  core_.egress.set_queue(port, queue.get());
  queues_.push_back({port, role, std::move(queue)});
}

void Worker::set_reinjector(std::unique_ptr<Reinjector> reinjector) {
  reinjector_ = std::move(reinjector);
  core_.egress.set_reinjector(reinjector_.get());
}

void Worker::start() {
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
  const uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = write(wake_fd_, &one, sizeof one);
}

void Worker::join() {
  if (thread_.joinable()) thread_.join();
}

port::QueueStats Worker::port_stats(uint16_t port) const {
  port::QueueStats sum;
  for (const auto& served : queues_) {
    if (served.port != port) continue;
    sum += served.queue->stats();
  }
  return sum;
}

void Worker::run() {
  pthread_setname_np(pthread_self(), ("esplane-" + std::to_string(index_)).c_str());
  base::Epoch::Reader reader(core_.shared.epoch);
  uint64_t last = base::ticks();
  uint64_t last_work = last;
  while (!stopping_.load(std::memory_order_relaxed)) {
    reader.quiescent();
    const bool worked = run_once();
    const uint64_t now = base::ticks();
    core_.counters.cycles.add(now - last);
    if (worked) core_.counters.busy_cycles.add(now - last);
    if (worked) last_work = now;
    last = now;
    if (now - last_work < spin_ticks_) continue;

    reader.idle();
    sleep();
    reader.resume();
    last = last_work = base::ticks();
    core_.counters.cycles.add(last - now);
    const auto soon = static_cast<uint64_t>(kSoonUs * base::ticks_per_microsecond());
    const auto least = static_cast<uint64_t>(kLeastSpinUs * base::ticks_per_microsecond());
    const auto most = static_cast<uint64_t>(kMostSpinUs * base::ticks_per_microsecond());
    spin_ticks_ = std::clamp(last_work - now < soon ? spin_ticks_ * 2 : spin_ticks_ / 2, least, most);
  }
  release_held();
}

/// @return true if there was anything to do
bool Worker::run_once() {
  core_.now_ms = base::monotonic_ms();
  core_.networks = core_.shared.networks.load(std::memory_order_acquire);
  take_answers();
  bool worked = false;
  for (auto& served : queues_) {
    burst_.batch.clear();
    if (served.queue->rx(burst_.batch, packet::Batch::kCapacity) == 0) continue;
    worked = true;
    burst_.port = served.port;
    stages_.from_port(burst_, served.role);
    core_.egress.send();
  }
  if (core_.held.size() > 0) give_up_overdue();
  core_.egress.send();
  for (auto& served : queues_) served.queue->flush();
  return worked;
}

void Worker::take_answers() {
  net::Answer answer;
  while (core_.client->take(answer)) {
    if (answer.kind == net::Answer::Kind::kPortAddress) {
      core_.port_addresses[answer.is_v4 ? 0 : 1][answer.hop.port] = answer.address;
    } else if (auto* entry = core_.hops.record(answer, core_.now_ms)) {
      stages_.resume(*entry);
    }
  }
}

void Worker::give_up_overdue() {
  while (auto* entry = core_.held.overdue(core_.now_ms)) {
    HoldQueue::Packet packet;
    if (core_.held.release(*entry, packet))
      core_.egress.finish(packet.data, Verdict::kNeighbourUnresolved, packet.origin);
  }
}

/// Level-triggered descriptors: what came between the last look and poll() ends it at once.
void Worker::sleep() {
  const int timeout_ms = must_poll_ ? kBlindSleepMs : core_.held.size() > 0 ? kHoldingSleepMs : kSleepMs;
  poll(poll_fds_.data(), poll_fds_.size(), timeout_ms);
  uint64_t count;
  if ((poll_fds_[0].revents & POLLIN) != 0) {
    [[maybe_unused]] const ssize_t got = read(wake_fd_, &count, sizeof count);
  }
}

void Worker::release_held() {
  while (auto* entry = core_.held.any()) {
    HoldQueue::Packet packet;
    if (core_.held.release(*entry, packet))
      core_.egress.finish(packet.data, Verdict::kStopping, packet.origin);
  }
}

}  // namespace esplane::pipeline
