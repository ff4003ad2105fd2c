// The ports of a dataplane: how they come and go, before its start and under traffic.
//
// Lanes are made once, at the start. A port that comes later gives each of them a queue, or several;
// where it has fewer, the lanes that are left over send beside its queues (Port::open_sender). What
// takes long, attaching programs and closing sockets, is done while the workers run; they stop only
// while their lanes get or lose a queue.
#include <algorithm>
#include <bit>
#include <stdexcept>
#include <utility>

#include "net/kernel_next_hops.h"
#include "net/static_next_hops.h"
#include "pipeline/dataplane.h"

namespace esplane::pipeline {
namespace {

/// Where another port is memory: what it calls the host at the far end of the wire.
constexpr uint8_t kFarEndMac[6] = {0x02, 0, 0, 0, 0, 0xfe};
constexpr uint32_t kLeastRingEntries = 64;
constexpr const char* kMixed =
    "ports that the kernel knows and others (memory, pcap) in one dataplane";

}  // namespace

PortStatus Dataplane::add_port(const port::PortOptions& options, StaticPort known) {
  const std::lock_guard lock(mutex_);
  require_running();
  for (const auto& other : ports_) {
    if (other.present() && other.status.name == options.name)
      throw std::invalid_argument("there is a port " + options.name + " already");
  }
  auto added = open(options, std::move(known));
  const PortStatus status = added.status;
  attach(std::move(added));
  return status;
}

Dataplane::AttachedPort Dataplane::open(const port::PortOptions& options, StaticPort known) {
  auto wanted = options;
  const bool has_rings = options.kind == port::Kind::kAuto || options.kind == port::Kind::kXdp;
  if (started_ && has_rings) wanted.ring_entries = ring_entries_left();
  port::OpenedPort opened;
  with_capabilities([&] { opened = port::open_port(wanted, resources_); });
  if (started_ && (opened.port->ifindex() != 0) != deputy_.has_value())
    throw std::invalid_argument(kMixed);
  PortStatus status{.number = free_number(),
                    .name = options.name,
                    .device = options.device,
                    .mode = opened.port->mode(),
                    .note = opened.note,
                    .role = options.role,
                    .queues = opened.port->queues()};
  return {std::move(status), std::move(opened.port), std::move(known)};
}

/// Whoever calls may have given up what a port takes (base/capabilities.h).
void Dataplane::with_capabilities(const std::function<void()>& errand) {
  if (deputy_) {
    deputy_->run(errand);
  } else {
    errand();
  }
}

void Dataplane::refresh_port(int ifindex) {
  const std::lock_guard lock(mutex_);
  for (const auto& p : ports_) {
    if (p.present() && p.port->ifindex() == ifindex) with_capabilities([&] { p.port->refresh(); });
  }
}

uint16_t Dataplane::free_number() const {
  const auto gone =
      std::find_if(ports_.begin(), ports_.end(), [](const auto& p) { return !p.present(); });
  return static_cast<uint16_t>(gone - ports_.begin());
}

/// For one port more: what the others leave of a lane's frames, a half of it for what is on its way.
uint32_t Dataplane::ring_entries_left() const {
  const auto lanes = static_cast<uint32_t>(lanes_.size());
  const uint32_t frames = umem_.frames() / lanes;
  uint32_t held = 0;
  for (const auto& p : ports_) {
    if (p.present()) held += (p.status.queues + lanes - 1) / lanes * p.port->frames_held();
  }
  const uint32_t share = (frames - std::min(held, frames)) / 4;
  if (share < kLeastRingEntries)
    throw std::runtime_error("no frames are left for another port: more are had from the next start on");
  return std::min(resources_.ring_entries, std::bit_floor(share));
}

void Dataplane::attach(AttachedPort added) {
  const uint16_t number = added.status.number;
  if (number == ports_.size()) ports_.emplace_back();
  ports_[number] = std::move(added);
  if (!started_) return;
  try {
    between_owners([&] {
      try {
        with_capabilities([&] { open_queues(ports_[number]); });
        update_next_hops();
      } catch (...) {
        detach(number);
        throw;
      }
    });
  } catch (...) {
    ports_[number] = {};
    throw;
  }
}

/// Gives every lane its queues of the port.
void Dataplane::open_queues(const AttachedPort& p) {
  const auto& [number, name, device, mode, note, role, queues, stats] = p.status;
  if (shared_.roles.size() <= number) shared_.roles.resize(number + 1u);
  shared_.roles[number] = role;
  for (uint32_t q = 0; q < std::max<size_t>(queues, lanes_.size()); q++) {
    auto& lane = *lanes_[q % lanes_.size()];
    lane.add_queue(number, role,
                   q < queues ? p.port->open_queue(q, lane.pool()) : p.port->open_sender(lane.pool()));
  }
}

void Dataplane::open_queues() {
  for (const auto& p : ports_) {
    if (p.present()) open_queues(p);
  }
}

bool Dataplane::remove_port(const std::string& name) {
  const std::lock_guard lock(mutex_);
  require_running();
  const auto found = std::find_if(ports_.begin(), ports_.end(), [&](const auto& p) {
    return p.present() && p.status.name == name;
  });
  if (found == ports_.end()) return false;
  const AttachedPort going = std::exchange(*found, {});  // it outlives its queues
  if (!started_) return true;
  std::vector<std::unique_ptr<port::Queue>> queues;
  between_owners([&] {
    queues = detach(going.status.number);
    update_next_hops();
  });
  for (auto& queue : queues) queue->close();
  between_owners([&] { queues.clear(); });
  return true;
}

/// Between two owners: takes its queues out of the lanes, and every word of it.
std::vector<std::unique_ptr<port::Queue>> Dataplane::detach(uint16_t number) {
  std::vector<std::unique_ptr<port::Queue>> all;
  for (auto& lane : lanes_) {
    for (auto& queue : lane->take_queues(number)) {
      removed_ += queue->stats();
      all.push_back(std::move(queue));
    }
  }
  const std::lock_guard lock(watch_mutex_);
  if (watched_.capture) watched_.capture->forget(number);
  return all;
}

/// A lane of the start needs a queue of every port, to send on.
const Dataplane::AttachedPort* Dataplane::narrowest_port() const {
  const AttachedPort* narrowest = nullptr;
  for (const auto& p : ports_) {
    if (p.present() && (narrowest == nullptr || p.status.queues < narrowest->status.queues))
      narrowest = &p;
  }
  return narrowest;
}

bool Dataplane::knows_kernel() const {
  return std::any_of(ports_.begin(), ports_.end(),
                     [](const auto& p) { return p.present() && p.port->ifindex() != 0; });
}

std::vector<PortStatus> Dataplane::ports() const {
  const std::lock_guard lock(mutex_);
  std::vector<PortStatus> all;
  for (const auto& p : ports_) {
    if (!p.present()) continue;
    all.push_back(p.status);
    for (const auto& lane : lanes_) all.back().stats += lane->port_stats(p.status.number);
  }
  return all;
}

std::vector<RingStatus> Dataplane::rings() const {
  const std::lock_guard lock(mutex_);
  std::vector<RingStatus> all;
  if (workers_.empty()) return all;
  for (uint32_t i = 0; i < lanes_.size(); i++) {
    std::vector<uint32_t> next(ports_.size(), i);  // by port: its next queue in this lane
    lanes_[i]->each_ring([&](uint16_t port, const port::QueueRings& rings) {
      all.push_back({.port = ports_[port].status.name,
                     .queue = std::exchange(next[port], next[port] + static_cast<uint32_t>(lanes_.size())),
                     .worker = owner_of(i),
                     .rings = rings});
    });
  }
  return all;
}

port::QueueStats Dataplane::removed_ports() const {
  const std::lock_guard lock(mutex_);
  return removed_;
}

// --- next hops -----------------------------------------------------------------------------

/// Those of ports that the kernel knows.
std::vector<net::PortInterface> Dataplane::kernel_interfaces() const {
  std::vector<net::PortInterface> interfaces;
  for (const auto& p : ports_) {
    if (!p.present() || p.port->ifindex() == 0) continue;
    net::PortInterface known{.port = p.status.number,
                             .ifindex = p.port->ifindex(),
                             .mtu_bytes = p.port->mtu_bytes()};
    std::copy_n(p.port->mac(), 6, known.mac);
    interfaces.push_back(known);
  }
  return interfaces;
}

std::unique_ptr<net::NextHopSource> Dataplane::make_next_hops() {
  auto interfaces = kernel_interfaces();
  if (interfaces.empty()) {
    auto known = static_next_hops();
    auto made = std::make_unique<net::StaticNextHops>(std::move(known.routes),
                                                      std::move(known.addresses));
    static_hops_ = made.get();
    return made;
  }
  const auto present = std::count_if(ports_.begin(), ports_.end(),
                                     [](const auto& p) { return p.present(); });
  if (interfaces.size() != static_cast<size_t>(present)) throw std::invalid_argument(kMixed);
  auto made = std::make_unique<net::KernelNextHops>(std::move(interfaces), [this](int ifindex) {
    events_.push({.kind = Event::Kind::kAddressChanged, .ifindex = ifindex});
  });
  kernel_hops_ = made.get();
  return made;
}

/// Between two owners.
void Dataplane::update_next_hops() {
  if (kernel_hops_ != nullptr) return kernel_hops_->set_ports(kernel_interfaces());
  auto now = static_next_hops();
  static_hops_->replace(std::move(now.routes), std::move(now.addresses));
}

Dataplane::KnownHops Dataplane::static_next_hops() const {
  KnownHops all;
  for (const auto& p : ports_) {
    if (!p.present()) continue;
    net::NextHop hop{.kind = net::NextHop::Kind::kForward,
                     .port = p.status.number,
                     .mtu_bytes = p.port->mtu_bytes(),
                     .port_mtu_bytes = p.port->mtu_bytes()};
    std::copy_n(kFarEndMac, 6, hop.macs.destination);
    std::copy_n(p.port->mac(), 6, hop.macs.source);
    for (const auto& network : p.known.networks) all.routes.push_back({network, hop});
    for (const auto& address : p.known.addresses) {
      const auto bits = static_cast<uint8_t>(address.size() * 8);
      all.routes.push_back({{address, bits}, {.kind = net::NextHop::Kind::kLocal}});
      net::Answer ours{.kind = net::Answer::Kind::kPortAddress,
                       .is_v4 = address.is_v4(),
                       .address = address};
      ours.hop.port = p.status.number;
      all.addresses.push_back(ours);
    }
  }
  return all;
}

}  // namespace esplane::pipeline
