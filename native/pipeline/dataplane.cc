#include "pipeline/dataplane.h"

#include <algorithm>
#include <bit>
#include <map>
#include <stdexcept>
#include <unordered_map>
#include <utility>

#include "pipeline/reinjection.h"
#include "port/memory/memory_port.h"

namespace esplane::pipeline {
namespace {

struct Registry {
  std::mutex mutex;
  uint32_t next_id = 1;
  std::map<uint32_t, std::weak_ptr<Dataplane>> alive;
};

/// Never destroyed: threads of other dataplanes may still run while the process exits.
Registry& registry() {
  static auto* instance = new Registry;
  return *instance;
}

/// Bursts that one lane may have in flight: they may hold a quarter of its frames, and more of them
/// than this would only wait, and spill out of its owner's cache.
uint32_t slots_for(uint32_t frames) {
  return std::bit_floor(std::clamp(frames / 4 / packet::Batch::kCapacity, 4u, 16u));
}

constexpr uint32_t kLeastIpv6Mtu = 1280;  // RFC 8200 §5

uint32_t take_id() {
  const std::lock_guard lock(registry().mutex);
  return registry().next_id++;
}

net::IpAddress address_of(const port::Prefix& p) {
  return p.family == port::Family::kIpv4 ? net::IpAddress::v4(p.address.data())
                                         : net::IpAddress::v6(p.address.data());
}

}  // namespace

Dataplane::Dataplane(DataplaneOptions options)
    : options_(std::move(options)),
      id_(take_id()),
      sad_(options_.max_child_sas, epoch_),
      spd_(epoch_, options_.max_child_sas),
      networks_(new Networks),
      umem_(std::max(options_.queues, options_.plan.workers) * options_.frames_per_queue,
            options_.frame_bytes),
      resources_{.umem = umem_,
                 .selection = selection_,
                 .ring_entries = port::Resources::ring_entries_for(options_.frames_per_queue),
                 .busy_poll_us = options_.busy_poll_us},
      shared_{.epoch = epoch_,
              .sad = sad_,
              .spd = spd_,
              .events = events_,
              .networks = networks_,
              .roles = {},
              .plain_forwarding = options_.plain_forwarding,
              .chunk_bytes = options_.frame_bytes} {}

Dataplane::~Dataplane() {
  stop();
  delete networks_.load();
  delete shared_.watch.load();
}

std::shared_ptr<Dataplane> Dataplane::create(DataplaneOptions options) {
  auto made = std::make_shared<Dataplane>(std::move(options));
  auto& r = registry();
  const std::lock_guard lock(r.mutex);
  std::erase_if(r.alive, [](const auto& entry) { return entry.second.expired(); });
  r.alive[made->id()] = made;
  return made;
}

std::shared_ptr<Dataplane> Dataplane::find(uint32_t id) {
  auto& r = registry();
  const std::lock_guard lock(r.mutex);
  const auto it = r.alive.find(id);
  return it == r.alive.end() ? nullptr : it->second.lock();
}

void Dataplane::require_running() const {
  if (stopped_.load()) throw std::runtime_error("the dataplane was stopped");
}

// --- start and stop ------------------------------------------------------------------------

void Dataplane::start() {
  const std::lock_guard lock(mutex_);
  require_running();
  if (started_) throw std::runtime_error("the dataplane runs already");
  if (ports_.empty()) throw std::runtime_error("a dataplane without ports has nothing to do");
  if (knows_kernel()) deputy_.emplace("esplane-ports");
  try {
    hops_ = make_next_hops();
    make_lanes();
    open_queues();
    open_own_interface();
    for (auto& [scope, interface] : interfaces_) join(scope, interface);
    hops_->start();
    make_workers();
  } catch (...) {
    tear_down();
    stopped_.store(true);  // the ports are gone: a further try needs a new dataplane
    throw;
  }
  started_ = true;
}

void Dataplane::set_workers(WorkerPlan plan) {
  const std::lock_guard lock(mutex_);
  require_running();
  if (!started_) throw std::runtime_error("workers are changed after start");
  check(plan);
  stop_workers();
  options_.plan = std::move(plan);
  make_workers_or_stop();
}

/// Workers that cannot be had leave nobody to serve the queues.
void Dataplane::make_workers_or_stop() {
  try {
    make_workers();
  } catch (...) {
    tear_down();
    stopped_.store(true);
    throw;
  }
}

void Dataplane::check(const WorkerPlan& plan) {
  if (plan.workers < 1 || plan.workers > kMostWorkers)
    throw std::invalid_argument("there are 1 to " + std::to_string(kMostWorkers) + " workers");
  for (const uint32_t owner : plan.owners) {
    if (owner >= plan.workers)
      throw std::invalid_argument("there is no worker " + std::to_string(owner) + " among " +
                                  std::to_string(plan.workers));
  }
}

void Dataplane::make_lanes() {
  const uint32_t wanted = options_.queues != 0 ? options_.queues : options_.plan.workers;
  const uint32_t count = std::min(wanted, narrowest_port()->status.queues);
  const uint32_t frames = umem_.frames() / count;
  const uint32_t slots = shared_.plain_forwarding ? 1 : slots_for(frames);
  for (uint32_t i = 0; i < count; i++) {
    auto pool = std::make_unique<port::FramePool>(umem_, i * frames, frames);
    lanes_.push_back(std::make_unique<Lane>(i, slots, shared_, std::move(pool), *hops_));
  }
}

// --- the host ------------------------------------------------------------------------------

void Dataplane::open_own_interface() {
  if (options_.reinject_link.empty() && !knows_kernel()) return;
  Interface own{.options = {.name = options_.tun_name, .link = options_.reinject_link}};
  if (own.options.link.empty()) {
    own.tun = std::make_unique<port::Tun>(
        port::TunOptions{.name = options_.tun_name, .from_anywhere = true});
    if (!own.tun->note().empty()) notes_.push_back(own.tun->note());
  }
  interfaces_[spd::kHostScope] = std::move(own);
}

std::unique_ptr<HostQueue> Dataplane::open_host_queue(Interface& interface, uint32_t lane) {
  auto& pool = lanes_[lane]->pool();
  if (interface.tun) return std::make_unique<TunHostQueue>(interface.tun->open_queue(pool));
  return std::make_unique<MemoryHostQueue>(pool, interface.link->open_queue(lane, pool));
}

/// Gives every lane a queue of it.
void Dataplane::join(spd::Scope scope, Interface& interface) {
  const auto& [name, link] = interface.options;
  if (!link.empty()) {
    const auto queues = static_cast<uint32_t>(lanes_.size());
    interface.link =
        port::open_memory_port(link, {.name = name, .role = port::Role::kHost, .queues = queues});
  }
  std::vector<std::unique_ptr<HostQueue>> queues;
  for (uint32_t i = 0; i < lanes_.size(); i++) queues.push_back(open_host_queue(interface, i));
  for (uint32_t i = 0; i < lanes_.size(); i++)
    lanes_[i]->add_host_queue(scope, std::move(queues[i]));
}

/// Not one of which SAs are left: what they let in is of an interface that is gone.
spd::Scope Dataplane::free_scope() const {
  const std::lock_guard lock(sa_mutex_);
  for (spd::Scope scope = spd::kHostScope + 1; scope <= spd::kLastScope; scope++) {
    const auto sas = of_interface_.find(scope);
    const bool has_sas = sas != of_interface_.end() && !sas->second.empty();
    if (!interfaces_.contains(scope) && !has_sas) return scope;
  }
  throw std::runtime_error("there are too many interfaces");
}

spd::Scope Dataplane::add_interface(const InterfaceOptions& options) {
  const std::lock_guard lock(mutex_);
  require_running();
  if (shared_.plain_forwarding) throw std::runtime_error("plain forwarding knows no interfaces");
  for (const auto& [scope, other] : interfaces_) {
    if (other.options.name == options.name)
      throw std::invalid_argument("there is an interface " + options.name + " already");
  }
  const spd::Scope scope = free_scope();
  Interface interface{.options = options};
  if (options.link.empty()) {
    interface.tun = std::make_unique<port::Tun>(
        port::TunOptions{.name = options.name, .mtu_bytes = 0, .outlives_process = true});
  }
  if (started_) {
    between_owners([&] { join(scope, interface); });
  }
  interfaces_[scope] = std::move(interface);
  return scope;
}

bool Dataplane::remove_interface(const std::string& name) {
  const std::lock_guard lock(mutex_);
  const auto found = std::find_if(interfaces_.begin(), interfaces_.end(), [&](const auto& entry) {
    return entry.first != spd::kHostScope && entry.second.options.name == name;
  });
  if (found == interfaces_.end()) return false;
  if (found->second.tun) found->second.tun->remove();
  if (started_ && !stopped_.load()) {
    between_owners([&] {
      for (auto& lane : lanes_) lane->remove_host_queue(found->first);
      const std::lock_guard watch_lock(watch_mutex_);
      if (watched_.capture) watched_.capture->forget_tun(found->first);
    });
  }
  interfaces_.erase(found);
  return true;
}

std::vector<InterfaceStatus> Dataplane::interfaces() const {
  const std::lock_guard lock(mutex_);
  std::unordered_map<spd::Scope, port::QueueStats> stats;
  for (const auto& lane : lanes_) {
    lane->each_host_queue([&](spd::Scope scope, const port::QueueStats& of_queue) {
      stats[scope] += of_queue;
    });
  }
  std::vector<InterfaceStatus> all;
  for (const auto& [scope, interface] : interfaces_) {
    InterfaceStatus status{.name = interface.tun ? interface.tun->name() : interface.options.name,
                           .scope = scope,
                           .mtu_bytes = interface.tun ? interface.tun->mtu_bytes() : 0,
                           .stats = stats[scope]};
    all.push_back(std::move(status));
  }
  return all;
}

uint32_t Dataplane::least_wan_mtu() const {
  uint32_t least = kUsualMtu;
  for (const auto& p : ports_) {
    if (p.port && p.status.role == port::Role::kWan) least = std::min(least, p.port->mtu_bytes());
  }
  return least;
}

void Dataplane::settle_mtu(uint32_t inbound_spi) {
  const std::lock_guard lock(mutex_);
  const std::lock_guard sa_lock(sa_mutex_);
  const auto* any = sad_.outbound(inbound_spi);
  const auto interface = any == nullptr ? interfaces_.end() : interfaces_.find(any->scope);
  if (interface == interfaces_.end() || !interface->second.tun) return;
  uint32_t least = UINT32_MAX;
  for (const uint32_t spi : of_interface_[any->scope]) {
    const auto* sa = sad_.outbound(spi);
    const uint32_t seen = sa->path_mtu_seen.load(std::memory_order_relaxed);
    uint32_t inner = esp::largest_inner_bytes(*sa, seen != 0 ? seen : least_wan_mtu());
    // Below that, Linux takes IPv6 from the interface (RFC 8200 §5). ESP packets are fragmented then.
    if (sa->carries_ipv6) inner = std::max(inner, kLeastIpv6Mtu);
    least = std::min(least, inner);
  }
  interface->second.tun->set_mtu(least);
}

// --- workers -------------------------------------------------------------------------------

/// Makes them as options_.plan says, gives them the lanes, and starts them.
void Dataplane::make_workers() {
  const auto& cpus = options_.plan.cpus;
  const uint32_t wanted = options_.plan.workers;
  const auto lanes = static_cast<uint32_t>(lanes_.size());
  const uint32_t count = shared_.plain_forwarding ? std::min(wanted, lanes) : wanted;
  while (counters_.size() < count) counters_.push_back(std::make_unique<Counters>());
  for (uint32_t i = 0; i < count; i++) {
    const int cpu = i < cpus.size() ? cpus[i] : -1;
    workers_.push_back(std::make_unique<Worker>(i, cpu, epoch_, *counters_[i]));
  }
  for (uint32_t i = 0; i < lanes; i++) workers_[owner_of(i)]->own(*lanes_[i]);
  // Everyone begins to look for work behind himself, so that helpers spread.
  for (uint32_t i = 0; i < count && !shared_.plain_forwarding; i++) {
    std::vector<Worker*> colleagues;
    for (uint32_t n = 1; n < count; n++) colleagues.push_back(workers_[(i + n) % count].get());
    workers_[i]->set_colleagues(colleagues);
  }
  for (auto& worker : workers_) worker->start();
}

/// The workers have been made.
uint32_t Dataplane::owner_of(uint32_t lane) const {
  const auto& owners = options_.plan.owners;
  return (lane < owners.size() ? owners[lane] : lane) % static_cast<uint32_t>(workers_.size());
}

void Dataplane::stop_workers() {
  for (auto& worker : workers_) worker->request_stop();
  for (auto& worker : workers_) worker->join();
  workers_.clear();
}

void Dataplane::stop() {
  const std::lock_guard lock(mutex_);
  if (stopped_.exchange(true)) return;
  tear_down();
  forget_sas();
}

void Dataplane::tear_down() {
  for (auto& p : ports_) {
    // The queues' last numbers stay readable.
    for (const auto& lane : lanes_) p.status.stats += lane->port_stats(p.status.number);
  }
  stop_workers();
  if (hops_) hops_->stop();
  lanes_.clear();
  hops_.reset();
  interfaces_.clear();
  for (auto& p : ports_) p.port.reset();
  deputy_.reset();
}

void Dataplane::forget_sas() {
  const std::lock_guard lock(sa_mutex_);
  for (const uint32_t spi : installed_) detach_and_remove(spi);
  installed_.clear();
  epoch_.collect();  // no worker is left: this wipes their keys
}

// --- policy and SAs ------------------------------------------------------------------------

void Dataplane::set_networks(std::vector<port::Prefix> local_addresses,
                             std::vector<port::Prefix> local_protected,
                             std::vector<port::Prefix> remote_protected) {
  const std::lock_guard lock(networks_mutex_);
  require_running();
  auto fresh = std::make_unique<Networks>();
  for (const auto& p : local_addresses) fresh->local_addresses.push_back(address_of(p));
  for (const auto& p : local_protected)
    fresh->local_protected.push_back({address_of(p), p.length});
  // The stages first: what the ports take anew must meet stages that know it.
  epoch_.retire(std::unique_ptr<const Networks>(networks_.exchange(fresh.release())));
  selection_.set_local_addresses(local_addresses);
  selection_.set_networks(local_protected, remote_protected);
}

void Dataplane::set_spd(const std::vector<spd::Entry>& entries) {
  require_running();
  spd_.set(entries);
}

uint32_t Dataplane::allocate_spi() {
  require_running();
  return sad_.allocate_spi();
}

void Dataplane::release_spi(uint32_t spi) { sad_.release_spi(spi); }

void Dataplane::install(const sad::SaParameters& parameters, const std::string& policy,
                        const spd::Part& part) {
  const std::lock_guard lock(sa_mutex_);
  require_running();  // under the lock: what comes later than forget_sas() would stay, keys and all
  auto scoped = parameters;
  scoped.scope = spd_.scope_of(policy);
  spd_.attach(policy, sad_.install(scoped), parameters.local_selectors,
              parameters.remote_selectors, part);
  installed_.insert(parameters.inbound_spi);
  if (!part.standby) sad_.set_masked(parameters.inbound_spi, true);
  if (scoped.scope == spd::kHostScope) return;
  of_interface_[scoped.scope].insert(parameters.inbound_spi);
  events_.push({.kind = Event::Kind::kPathMtu, .spi = parameters.inbound_spi});
}

uint32_t Dataplane::resources() const {
  const std::lock_guard lock(mutex_);
  return static_cast<uint32_t>(lanes_.size());
}

void Dataplane::prefer(uint32_t inbound_spi) {
  const std::lock_guard lock(sa_mutex_);
  if (auto* outbound = sad_.outbound(inbound_spi)) spd_.prefer(outbound);
  sad_.set_masked(inbound_spi, true);
}

void Dataplane::retire(uint32_t inbound_spi) {
  const std::lock_guard lock(sa_mutex_);
  if (auto* outbound = sad_.outbound(inbound_spi)) spd_.detach(outbound);
  sad_.set_masked(inbound_spi, false);
}

bool Dataplane::remove(uint32_t inbound_spi) {
  const std::lock_guard lock(sa_mutex_);
  installed_.erase(inbound_spi);
  return detach_and_remove(inbound_spi);
}

bool Dataplane::move(uint32_t inbound_spi, const sad::Endpoint& local,
                     const sad::Endpoint& remote) {
  return sad_.move(inbound_spi, local, remote);
}

bool Dataplane::detach_and_remove(uint32_t inbound_spi) {
  if (auto* outbound = sad_.outbound(inbound_spi)) {
    spd_.detach(outbound);
    if (outbound->scope != spd::kHostScope) of_interface_[outbound->scope].erase(inbound_spi);
  }
  return sad_.remove(inbound_spi);
}

std::optional<sad::PairCounters> Dataplane::counters(uint32_t inbound_spi) const {
  const std::lock_guard lock(sa_mutex_);
  auto found = sad_.counters(inbound_spi);
  if (!found) return found;
  const sad::OutboundSa& sa = *sad_.outbound(inbound_spi);
  found->path_mtu_bytes = sa.path_mtu_seen.load(std::memory_order_relaxed);
  const uint32_t kept =
      sa.outer().is_v4() ? packet::kIpv4HeaderBytes : packet::kIpv6HeaderBytes;
  found->inner_mtu_bytes = esp::largest_inner_bytes(sa, found->path_mtu_bytes, kept);
  return found;
}

// --- watching ------------------------------------------------------------------------------

std::shared_ptr<Capture> Dataplane::start_capture(CaptureOptions options) {
  const std::scoped_lock lock(mutex_, watch_mutex_);
  require_running();
  if (!started_) throw std::runtime_error("the dataplane does not run yet");
  if (watched_.capture) throw std::runtime_error("another capture runs");
  const spd::Scope last = interfaces_.empty() ? spd::kHostScope : interfaces_.rbegin()->first;
  auto capture = std::make_shared<Capture>(std::move(options), shared_.roles, last,
                                           static_cast<uint32_t>(lanes_.size()));
  set_watch({capture, watched_.trace});
  return capture;
}

std::shared_ptr<Trace> Dataplane::start_trace(WatchedPackets packets) {
  const std::lock_guard lock(watch_mutex_);
  require_running();
  if (watched_.trace) throw std::runtime_error("another trace waits for its packet");
  auto trace = std::make_shared<Trace>(std::move(packets));
  set_watch({watched_.capture, trace});
  return trace;
}

void Dataplane::stop_capture(const std::shared_ptr<Capture>& capture) {
  const std::lock_guard lock(watch_mutex_);
  if (capture && watched_.capture == capture) set_watch({nullptr, watched_.trace});
}

void Dataplane::stop_trace(const std::shared_ptr<Trace>& trace) {
  const std::lock_guard lock(watch_mutex_);
  if (trace && watched_.trace == trace) set_watch({watched_.capture, nullptr});
}

/// Under the mutex. Workers may hold the old one until they have been quiescent.
void Dataplane::set_watch(Watch watch) {
  watched_ = std::move(watch);
  const bool any = watched_.capture || watched_.trace;
  auto fresh = any ? std::make_unique<const Watch>(watched_) : nullptr;
  epoch_.retire(std::unique_ptr<const Watch>(shared_.watch.exchange(fresh.release())));
}

// --- what people see -----------------------------------------------------------------------

std::vector<std::string> Dataplane::notes() const {
  const std::lock_guard lock(mutex_);
  auto all = notes_;
  if (lanes_.size() < options_.plan.workers && started_ && !stopped_.load()) {
    const auto* narrow = narrowest_port();
    const bool by_port = narrow != nullptr && narrow->status.queues <= lanes_.size();
    const std::string others = shared_.plain_forwarding
                                   ? "were started"
                                   : "have queues of their own, the others help them";
    all.push_back("only " + std::to_string(lanes_.size()) + " of " +
                  std::to_string(options_.plan.workers) + " workers " + others + ": " +
                  (by_port ? "port " + narrow->status.name + " has no more queues"
                           : "more queues are served from the next start on"));
  }
  for (const auto& worker : workers_) {
    if (!worker->note().empty()) all.push_back(worker->note());
  }
  return all;
}

}  // namespace esplane::pipeline
