#include "pipeline/lane.h"

#include <algorithm>
#include <utility>

#include "base/clock.h"
#include "base/spin_pause.h"

namespace esplane::pipeline {

using packet::Verdict;

namespace {

constexpr uint32_t kRestMs = 1000, kHoldingRestMs = 50, kBlindRestMs = 1, kUnsentRestMs = 1;
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

}  // namespace

Lane::Lane(uint32_t index, uint32_t slots, const Shared& shared,
           std::unique_ptr<port::FramePool> pool, net::NextHopSource& hops)
    : index_(index),
      pool_(std::move(pool)),
      core_(shared, own_, *pool_, hops.connect(bell_.fd()),
            static_cast<spd::Resource>(index)),
      stages_(core_),
      handover_(slots) {
  find_descriptors();
  core_.egress.set_watch(shared.watch, index);
}

Lane::~Lane() {
  release_held();
  queues_.clear();  // gives frames back to the pool
}

void Lane::add_queue(uint16_t port, port::Role role, std::unique_ptr<port::Queue> queue) {
  core_.reset_port(port);
  core_.egress.set_queue(port, queue.get());
  queues_.push_back({port, role, std::move(queue)});
  find_descriptors();
}

std::vector<std::unique_ptr<port::Queue>> Lane::take_queues(uint16_t port) {
  std::vector<std::unique_ptr<port::Queue>> taken;
  for (auto& [of, role, queue] : queues_) {
    if (of != port) continue;
    queue->stop_receiving();
    discard_waiting(*queue);
    queue->flush();
    taken.push_back(std::move(queue));
  }
  std::erase_if(queues_, [](const Served& served) { return served.queue == nullptr; });
  if (taken.empty()) return taken;  // a port that could not be opened may have come to some lanes only
  find_descriptors();
  core_.egress.remove_queue(port);
  core_.reset_port(port);
  return taken;
}

void Lane::discard_waiting(port::Queue& queue) {
  constexpr int kMostBursts = 64;  // more than a ring; whoever sends on does not hold us up
  packet::Batch batch;
  for (int i = 0; i < kMostBursts && queue.rx(batch, packet::Batch::kCapacity) > 0; i++) {
    core_.counters->rx_packets.add(batch.size);
    for (uint32_t n = 0; n < batch.size; n++)
      core_.egress.finish(batch.data[n], Verdict::kPortRemoved, Origin::kReceived);
    batch.clear();
  }
}

void Lane::find_descriptors() {
  descriptors_ = {host_.fd()};
  must_poll_ = false;
  for (const auto& served : queues_) {
    if (const int fd = served.queue->poll_fd(); fd >= 0) {
      descriptors_.push_back(fd);
    } else {
      must_poll_ = true;
    }
  }
}

void Lane::add_host_queue(spd::Scope scope, std::unique_ptr<HostQueue> queue) {
  core_.egress.set_reinjector(scope, queue.get());
  host_.add(scope, std::move(queue));
}

void Lane::remove_host_queue(spd::Scope scope) {
  core_.egress.set_reinjector(scope, nullptr);
  host_.remove(scope);
}

void Lane::give_to(Counters& counters, Helpers& helpers) {
  core_.count_in(counters);
  helpers_ = &helpers;
}

port::QueueStats Lane::port_stats(uint16_t port) const {
  port::QueueStats sum;
  for (const auto& served : queues_) {
    if (served.port != port) continue;
    sum += served.queue->stats();
  }
  return sum;
}

bool Lane::turn(uint64_t epoch) {
  epoch_ = epoch;
  core_.now_ms = base::monotonic_ms();
  core_.now_s = base::monotonic_s();
  core_.networks = core_.shared.networks.load(std::memory_order_acquire);
  take_answers();
  backlog_ = false;
  bool received = false;
  for (auto& served : queues_)
    received |= receive(*served.queue, served.role, {.port = served.port}) > 0;
  received |= receive_from_host(received);
  in_flight_ = !handover_.empty();
  if (in_flight_) share_work(received);
  if (stages_.owes_errors()) {
    drain();
    stages_.send_own();
  }
  if (index_ == 0) keep_time();
  if (core_.waiting()) give_up_overdue();
  core_.egress.send();
  for (auto& served : queues_) served.queue->flush();
  host_.flush();
  return received || in_flight_;
}

// --- the ways of a burst -------------------------------------------------------------------

/// Takes a burst from a queue. One that is not full is all there was: it goes straight through.
/// @return how many packets it had
uint32_t Lane::receive(port::Queue& queue, port::Role role, const Ingress& from) {
  Burst* burst = handover_.next();
  // All slots are in flight, or one has to be finished first: first things first.
  if (burst == nullptr || in_order_) return 0;
  burst->batch.clear();
  burst->batch.chunk_bytes = core_.shared.chunk_bytes;
  const uint32_t count = queue.rx(burst->batch, packet::Batch::kCapacity);
  if (count == 0) return 0;
  burst->from = from;
  if (const Watch* watch = core_.shared.watch.load(std::memory_order_acquire)) [[unlikely]] {
    if (watch_received(*watch, role, *burst)) return count;
  }
  stages_.begin(*burst, role);
  const bool full = count == packet::Batch::kCapacity;
  backlog_ |= full;
  const bool share = full && helpers_->any() && is_worth_sharing(*burst) &&
                     helpers_->find(handover_.unclaimed());
  pass(*burst, share);
  return count;
}

bool Lane::receive_from_host(bool busy) {
  return host_.receive(busy, [this](port::Queue& queue, spd::Scope scope) {
    const Ingress from{.scope = scope, .from_host = true};
    return receive(queue, port::Role::kHost, from);
  });
}

/// Sends the burst in the next slot, which begin() was called for, on its way. Behind others that
/// are in flight it waits for its turn.
void Lane::pass(Burst& burst, bool share) {
  in_order_ |= burst.in_order();
  if (share || !handover_.empty()) return handover_.publish(epoch_);
  Stages::work(core_.shared, burst);
  finish(burst);
  pass_turned();
}

void Lane::finish(Burst& burst) {
  if (burst.in_order()) in_order_ = false;
  stages_.finish(burst);
  core_.egress.send();
}

/// What goes from one tunnel into another is a burst like those that were received.
void Lane::pass_turned() {
  if (!stages_.turned_any()) return;
  Burst* burst = handover_.next();  // at least the one just finished is free
  stages_.begin_turned(*burst);
  pass(*burst, false);
}

/// Finishes, in order of arrival, what is done.
void Lane::finish_done() {
  while (Burst* burst = handover_.oldest()) {
    finish(*burst);
    handover_.release();
    pass_turned();
  }
}

/// The owner's part in what is in flight. It takes heavy parts only as long as its helpers have two
/// each to go on with, so that they need not wait for it meanwhile, or where nothing arrives. Where
/// nobody helps any more it does all that is left: then bursts go straight through again.
void Lane::share_work(bool received) {
  finish_done();
  const uint32_t enough = received ? std::min(2 * helpers_->count(), handover_.slots() / 2) : 0;
  bool worked = false;
  while (handover_.unclaimed() > enough && help()) {
    worked = true;
    finish_done();
  }
  if (!worked && !received) base::spin_pause();
}

void Lane::drain() {
  while (!handover_.empty()) share_work(false);
}

bool Lane::help() {
  const auto claim = handover_.claim();
  if (claim.work == nullptr) return false;
  Stages::work(core_.shared, *claim.work);
  handover_.done(claim);
  return true;
}

// --- next hops and time --------------------------------------------------------------------

void Lane::take_answers() {
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
void Lane::keep_time() {
  stages_.raise_expiries();
  until_dummies_ms_ = stages_.until_dummies_ms();
  if (until_dummies_ms_ != 0) return;
  drain();
  stages_.send_dummies();
  until_dummies_ms_ = stages_.until_dummies_ms();
}

uint32_t Lane::rest_ms() const {
  uint32_t most = core_.held.size() > 0 ? kHoldingRestMs : kRestMs;
  if (must_poll_ || host_.any_blind()) most = kBlindRestMs;
  for (const auto& served : queues_)
    if (served.queue->has_unsent()) most = kUnsentRestMs;
  return std::min(most, until_dummies_ms_);
}

void Lane::give_up_overdue() {
  core_.expire_fragments();
  while (auto* entry = core_.held.overdue(core_.now_ms)) {
    HoldQueue::Packet packet;
    if (core_.held.release(*entry, packet))
      core_.egress.finish(packet.data, Verdict::kNeighbourUnresolved, packet.origin);
  }
}

void Lane::release_held() {
  while (auto* entry = core_.held.any()) {
    HoldQueue::Packet packet;
    if (core_.held.release(*entry, packet))
      core_.egress.finish(packet.data, Verdict::kStopping, packet.origin);
  }
  core_.counters->count(Verdict::kStopping, core_.clear_fragments());
}

}  // namespace esplane::pipeline
