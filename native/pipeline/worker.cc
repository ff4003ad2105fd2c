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

#include "base/capabilities.h"
#include "base/clock.h"

namespace esplane::pipeline {

using packet::Verdict;

namespace {

// How long to spin after the last packet before sleeping. A sleep that ends soon was a mistake and
// doubles the time, one that lasts halves it.
constexpr double kLeastSpinUs = 10, kMostSpinUs = 100, kSoonUs = 200;
constexpr uint32_t kSleepMs = 1000, kHoldingSleepMs = 50, kBlindSleepMs = 1;
// A colleague is woken again no sooner than this: it may still be on its way.
constexpr double kWakeUs = 100;
// Sealing less than this is done sooner than another core has fetched it and given it back: where
// two cores share no cache, full bursts of 64-byte packets were slower with a helper than without.
constexpr uint32_t kWorthSharingBytes = 128 * packet::Batch::kCapacity;

/// Inbound, a helper spares the owner more than decryption: reading headers, the SAs, selectors.
bool is_worth_sharing(const Burst& burst) {
  if (burst.work == Burst::Work::kOpen) return true;
  uint32_t bytes = 0;
  for (uint32_t i = 0; i < burst.batch.size; i++) bytes += burst.batch.length[i];
  return bytes >= kWorthSharingBytes;
}

void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

int make_eventfd() {
  const int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (fd < 0) throw std::system_error(errno, std::generic_category(), "eventfd");
  return fd;
}

}  // namespace

Worker::Worker(uint32_t index, int cpu, uint32_t slots, const Shared& shared, Counters& counters,
               std::unique_ptr<port::FramePool> pool, net::NextHopSource& hops)
    : index_(index),
      cpu_(cpu),
      wake_fd_(make_eventfd()),
      pool_(std::move(pool)),
      core_(shared, counters, *pool_, hops.connect(wake_fd_)),
      stages_(core_),
      handover_(slots) {
  poll_fds_.push_back({wake_fd_, POLLIN, 0});
  wake_ticks_ = static_cast<uint64_t>(kWakeUs * base::ticks_per_microsecond());
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
  wake();
}

void Worker::wake() const {
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
  base::keep_capabilities(0);  // its rings and sockets are open
  base::Epoch::Reader reader(core_.shared.epoch);
  uint64_t last = base::ticks();
  uint64_t last_work = last;
  while (!stopping_.load(std::memory_order_relaxed)) {
    epoch_now_ =
        handover_.empty() ? reader.quiescent() : reader.quiescent(handover_.held_since());
    const bool worked = turn();
    const uint64_t now = base::ticks();
    core_.counters.cycles.add(now - last);
    if (worked) core_.counters.busy_cycles.add(now - last);
    if (worked) last_work = now;
    last = now;
    if (now - last_work < spin_ticks_) continue;

    reader.idle();  // nothing is in flight: turn() would have worked
    sleep();
    reader.resume();
    last = last_work = base::ticks();
    core_.counters.cycles.add(last - now);
    const auto soon = static_cast<uint64_t>(kSoonUs * base::ticks_per_microsecond());
    const auto least = static_cast<uint64_t>(kLeastSpinUs * base::ticks_per_microsecond());
    const auto most = static_cast<uint64_t>(kMostSpinUs * base::ticks_per_microsecond());
    spin_ticks_ = std::clamp(last_work - now < soon ? spin_ticks_ * 2 : spin_ticks_ / 2, least, most);
  }
  drain();
  release_held();
}

bool Worker::turn() {
  core_.now_ms = base::monotonic_ms();
  core_.now_s = base::monotonic_s();
  core_.networks = core_.shared.networks.load(std::memory_order_acquire);
  take_answers();
  backlog_ = false;
  bool received = false;
  for (auto& served : queues_) received |= receive(served);
  const bool in_flight = !handover_.empty();
  if (in_flight) share_work(received);
  if (stages_.owes_errors()) {
    drain();
    stages_.send_own();
  }
  if (index_ == 0) keep_time();
  if (core_.waiting()) give_up_overdue();
  core_.egress.send();
  for (auto& served : queues_) served.queue->flush();
  if (received || in_flight) {
    show(backlog_ || in_flight ? State::kBusy : State::kIdle);
    return true;
  }
  show(State::kIdle);
  return help();
}

// --- the ways of a burst -------------------------------------------------------------------

/// Takes a burst from a queue. One that is not full is all there was: it goes straight through.
bool Worker::receive(Served& served) {
  Burst* burst = handover_.next();
  // All slots are in flight, or one has to be finished first: first things first.
  if (burst == nullptr || in_order_) return false;
  burst->batch.clear();
  burst->batch.chunk_bytes = core_.shared.chunk_bytes;
  const uint32_t count = served.queue->rx(burst->batch, packet::Batch::kCapacity);
  if (count == 0) return false;
  burst->port = served.port;
  stages_.begin(*burst, served.role);
  const bool full = count == packet::Batch::kCapacity;
  backlog_ |= full;
  pass(*burst, full && !colleagues_.empty() && is_worth_sharing(*burst) && find_helpers());
  return true;
}

/// Sends the burst in the next slot, which begin() was called for, on its way. Behind others that
/// are in flight it waits for its turn.
void Worker::pass(Burst& burst, bool share) {
  in_order_ |= burst.in_order();
  if (share || !handover_.empty()) return handover_.publish(epoch_now_);
  Stages::work(core_.shared, burst);
  finish(burst);
  pass_turned();
}

void Worker::finish(Burst& burst) {
  if (burst.in_order()) in_order_ = false;
  stages_.finish(burst);
  core_.egress.send();
}

/// What goes from one tunnel into another is a burst like those that were received.
void Worker::pass_turned() {
  if (!stages_.turned_any()) return;
  Burst* burst = handover_.next();  // at least the one just finished is free
  stages_.begin_turned(*burst);
  pass(*burst, false);
}

/// Finishes, in order of arrival, what is done.
void Worker::finish_done() {
  while (Burst* burst = handover_.oldest()) {
    finish(*burst);
    handover_.release();
    pass_turned();
  }
}

/// The owner's part in what is in flight. It takes heavy parts only as long as its helpers have two
/// each to go on with, so that they need not wait for it meanwhile, or where nothing arrives. Where
/// nobody helps any more it does all that is left: then bursts go straight through again.
void Worker::share_work(bool received) {
  finish_done();
  const uint32_t enough = received ? std::min(2 * helpers_, handover_.slots() / 2) : 0;
  bool worked = false;
  while (handover_.unclaimed() > enough && work_for(*this)) {
    worked = true;
    finish_done();
  }
  if (!worked && !received) pause();
}

void Worker::drain() {
  while (!handover_.empty()) share_work(false);
}

// --- helping -------------------------------------------------------------------------------

bool Worker::help() {
  for (Worker* colleague : colleagues_) {
    if (!work_for(*colleague)) continue;
    core_.counters.helped_bursts.add(1);
    return true;
  }
  return false;
}

/// Does the heavy part of one burst, if one waits for somebody to do it.
bool Worker::work_for(Worker& owner) {
  const auto claim = owner.handover_.claim();
  if (claim.work == nullptr) return false;
  Stages::work(core_.shared, *claim.work);
  owner.handover_.done(claim);
  return true;
}

/// Looks who has time. Where nobody is about, or those who are do not keep up, a sleeper is woken,
/// and counted: it finds something to do when it comes, and if it does not, the owner takes that.
bool Worker::find_helpers() {
  helpers_ = 0;
  const Worker* sleeper = nullptr;
  for (const Worker* colleague : colleagues_) {
    const State state = colleague->state_.load(std::memory_order_relaxed);
    if (state == State::kIdle) helpers_++;
    if (state == State::kAsleep) sleeper = colleague;
  }
  if (sleeper != nullptr && (helpers_ == 0 || handover_.unclaimed() > 2 * helpers_)) {
    const uint64_t now = base::ticks();
    if (now - last_wake_ >= wake_ticks_) {
      last_wake_ = now;
      sleeper->wake();
    }
    helpers_++;
  }
  return helpers_ > 0;
}

void Worker::show(State state) {
  if (state == shown_) return;
  shown_ = state;
  state_.store(state, std::memory_order_relaxed);
}

// --- next hops and time --------------------------------------------------------------------


void Worker::take_answers() {
  net::Answer answer;
  while (core_.client->take(answer)) {
    if (answer.kind == net::Answer::Kind::kPortAddress) {
      core_.port_addresses[answer.is_v4 ? 0 : 1][answer.hop.port] = answer.address;
    } else if (auto* entry = core_.hops.record(answer, core_.now_ms)) {
      if (entry->held == 0) continue;
      drain();
      stages_.resume(*entry);
    }
  }
}

/// What no packet brings about.
void Worker::keep_time() {
  stages_.raise_expiries();
  until_dummies_ms_ = stages_.until_dummies_ms();
  if (until_dummies_ms_ != 0) return;
  drain();
  stages_.send_dummies();
  until_dummies_ms_ = stages_.until_dummies_ms();
}

void Worker::give_up_overdue() {
  core_.expire_fragments();
  while (auto* entry = core_.held.overdue(core_.now_ms)) {
    HoldQueue::Packet packet;
    if (core_.held.release(*entry, packet))
      core_.egress.finish(packet.data, Verdict::kNeighbourUnresolved, packet.origin);
  }
}

/// Level-triggered descriptors: what came between the last look and poll() ends it at once.
void Worker::sleep() {
  const uint32_t most_ms = must_poll_ ? kBlindSleepMs : core_.held.size() > 0 ? kHoldingSleepMs : kSleepMs;
  const int timeout_ms = static_cast<int>(std::min(most_ms, until_dummies_ms_));
  show(State::kAsleep);
  poll(poll_fds_.data(), poll_fds_.size(), timeout_ms);
  show(State::kIdle);
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
  core_.counters.count(Verdict::kStopping, core_.clear_fragments());
}

}  // namespace esplane::pipeline
