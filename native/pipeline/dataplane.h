// One dataplane: the frames, ports, SAD, SPD, next hops and workers of a gateway.
//
// Set-up before start is by one thread; all else by any, at any time. A registry hands the same
// dataplane to every thread of the process by its number.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/deputy.h"
#include "net/kernel_next_hops.h"
#include "net/static_next_hops.h"
#include "pipeline/core.h"
#include "pipeline/worker.h"
#include "pipeline/reinjection.h"
#include "port/open.h"
#include "port/tun/tun.h"

namespace esplane::pipeline {

/// Which threads there are, and what each of them serves.
struct WorkerPlan {
  uint32_t workers = 1;          ///< threads; those without a lane help the others
  std::vector<int> cpus;         ///< of worker i; those beyond its end are not pinned
  /// Worker of lane i, that is of the queues i, i + lanes, ... of every port; beyond its end the
  /// workers have lanes in turn.
  std::vector<uint32_t> owners;
};

struct DataplaneOptions {
  WorkerPlan plan;                ///< until set_workers()
  /// Queues of the port that has most of them: frames are had for each, and there are at most as
  /// many lanes, hence workers that have one. 0: one for each worker.
  uint32_t queues = 0;
  uint32_t max_child_sas = 1024;
  uint32_t frames_per_queue = 4096;
  uint32_t frame_bytes = 2048;
  bool plain_forwarding = false;
  uint32_t busy_poll_us = 0;      ///< port::Resources
  std::string tun_name = "esplane%d";  ///< of the gateway's own TUN
  std::string reinject_link;      ///< memory link in place of the TUN; empty: a TUN
};

/// Rings of one queue of a port.
struct RingStatus {
  std::string port;
  uint32_t queue = 0;
  uint32_t worker = 0;  ///< that serves it
  port::QueueRings rings;
};

/// What the kernel would know of a port, for those that it does not know (memory, pcap).
struct StaticPort {
  std::vector<net::Prefix> networks;       ///< reached through the port
  std::vector<net::IpAddress> addresses;   ///< ours on it
};

struct PortStatus {
  uint16_t number = 0;  ///< as captures and traces call it
  std::string name, device, mode, note;
  port::Role role = port::Role::kLan;
  uint32_t queues = 0;
  port::QueueStats stats;
};

/// The interface of a route-based tunnel: what the host routes there meets an SPD of its own, and
/// what comes through the tunnel's SAs enters the host there.
struct InterfaceOptions {
  std::string name;
  std::string link;  ///< memory link in place of a TUN; empty: a TUN
};

struct InterfaceStatus {
  std::string name;
  spd::Scope scope = spd::kHostScope;
  uint32_t mtu_bytes = 0;
  port::QueueStats stats;  ///< rx: what the host sent into it
};

class Dataplane {
 public:
  static constexpr uint32_t kMostWorkers = 64;

  /// @throws std::system_error where the memory cannot be had
  explicit Dataplane(DataplaneOptions options);
  ~Dataplane();
  Dataplane(const Dataplane&) = delete;
  Dataplane& operator=(const Dataplane&) = delete;

  /// Makes a dataplane that other threads find by its id while anyone holds it.
  static std::shared_ptr<Dataplane> create(DataplaneOptions options);
  /// Null where no such dataplane is alive.
  static std::shared_ptr<Dataplane> find(uint32_t id);
  uint32_t id() const { return id_; }

  /// Adds a port, before start or under traffic, which waits in the rings of the others meanwhile,
  /// for less than a millisecond as a rule. After start there are as many lanes as before: those that
  /// the port has no queue for send beside its queues. With the capabilities of who called start().
  /// @throws std::exception with what could not be had; then nothing has changed
  PortStatus add_port(const port::PortOptions& options, StaticPort known);
  /// Takes one away, before start or under traffic. What waits in it is counted as kPortRemoved.
  /// @return false where there is none of this name
  bool remove_port(const std::string& name);
  /// Opens the queues and starts the workers. The queues make as many lanes (lane.h) as the port
  /// with the fewest has queues. Workers without a lane help (and are not started with
  /// plain_forwarding, where there is nothing to help with).
  /// @throws std::exception; then the dataplane is stopped
  void start();
  /// Goes on with other workers, under traffic: the lanes stay as they are, with their rings, frames
  /// and what is held in them. Nothing is lost but what overruns a ring meanwhile. Waits until the
  /// threads of before have ended: less than a millisecond, as a rule.
  /// @throws std::invalid_argument, and nothing has changed; std::system_error where a thread cannot
  ///         be had, then the dataplane is stopped
  void set_workers(WorkerPlan plan);
  /// Joins all threads, detaches programs, unmaps rings, forgets all SAs. Idempotent, any thread.
  void stop();
  bool stopped() const { return stopped_.load(); }

  void set_networks(std::vector<port::Prefix> local_addresses,
                    std::vector<port::Prefix> local_protected,
                    std::vector<port::Prefix> remote_protected);
  void set_spd(const std::vector<spd::Entry>& entries);

  /// Adds an interface, before start or under traffic, which waits in the rings meanwhile. One that
  /// has outlived a process is opened again, with its addresses and routes.
  /// @return the scope that its SPD entries are in
  /// @throws std::exception with what could not be had; then nothing has changed
  spd::Scope add_interface(const InterfaceOptions& options);
  /// Takes one away, with its routes, under traffic. No SPD entry is in its scope any more.
  /// @return false where there is none of this name
  bool remove_interface(const std::string& name);
  std::vector<InterfaceStatus> interfaces() const;
  /// An interface's addresses or its MTU have changed: the port on it, if any, goes by what is so now.
  /// After Event::kAddressChanged. @throws std::system_error where the interface is gone
  void refresh_port(int ifindex);
  /// Gives the interface of the tunnel that a pair belongs to the MTU that fits all pairs of it: after
  /// Event::kPathMtu. @throws std::system_error
  void settle_mtu(uint32_t inbound_spi);

  uint32_t allocate_spi();
  void release_spi(uint32_t spi);
  /// Installs a pair and sends on it before all others of its policy, or as its part says.
  void install(const sad::SaParameters& parameters, const std::string& policy,
               const spd::Part& part = {});
  /// How many senders there are that may have SAs of their own: the lanes, numbered from 0.
  uint32_t resources() const;
  /// Sends on this pair before all others of its policy.
  void prefer(uint32_t inbound_spi);
  /// Sends on this pair no more; it still receives.
  void retire(uint32_t inbound_spi);
  bool remove(uint32_t inbound_spi);
  /// Sad::move
  bool move(uint32_t inbound_spi, const sad::Endpoint& local, const sad::Endpoint& remote);
  std::optional<sad::PairCounters> counters(uint32_t inbound_spi) const;

  /// One of each at a time. @throws std::exception where one runs, or the dataplane does not
  std::shared_ptr<Capture> start_capture(CaptureOptions options);
  std::shared_ptr<Trace> start_trace(WatchedPackets packets);
  /// Nothing where it is not the one that runs. What it has taken may still be read.
  void stop_capture(const std::shared_ptr<Capture>& capture);
  void stop_trace(const std::shared_ptr<Trace>& trace);

  std::vector<PortStatus> ports() const;
  /// Of AF_XDP ports, as they are now.
  std::vector<RingStatus> rings() const;
  /// What the ports that were taken away have counted.
  port::QueueStats removed_ports() const;
  /// Calls `each(counters)` for every worker, then for those that there were before set_workers().
  /// @return how many there are now
  template <typename Each>
  size_t each_worker(Each each) const {
    const std::lock_guard lock(mutex_);
    for (const auto& counters : counters_) each(*counters);
    return workers_.size();
  }
  /// What could not be done as asked, for people.
  std::vector<std::string> notes() const;
  EventRing& events() { return events_; }

 private:
  /// What has a port's number. Its port goes before its numbers, at the end of all.
  struct AttachedPort {
    PortStatus status;
    std::unique_ptr<port::Port> port;
    StaticPort known;
    bool present() const { return !status.name.empty(); }
  };
  struct KnownHops {
    std::vector<net::StaticRoute> routes;
    std::vector<net::Answer> addresses;
  };

  void require_running() const;
  static void check(const WorkerPlan& plan);
  uint32_t owner_of(uint32_t lane) const;
  void make_lanes();
  void make_workers();
  void make_workers_or_stop();
  void stop_workers();
  /// Makes a change while no lane has an owner. @throws what it throws, and the workers go on
  template <typename Change>
  void between_owners(Change change) {
    stop_workers();
    try {
      change();
    } catch (...) {
      make_workers_or_stop();
      throw;
    }
    make_workers_or_stop();
  }

  // Ports (dataplane_ports.cc).
  AttachedPort open(const port::PortOptions& options, StaticPort known);
  void with_capabilities(const std::function<void()>& errand);
  uint16_t free_number() const;
  uint32_t ring_entries_left() const;
  void attach(AttachedPort added);
  void open_queues(const AttachedPort& p);
  void open_queues();
  std::vector<std::unique_ptr<port::Queue>> detach(uint16_t number);
  bool knows_kernel() const;
  const AttachedPort* narrowest_port() const;
  std::unique_ptr<net::NextHopSource> make_next_hops();
  std::vector<net::PortInterface> kernel_interfaces() const;
  KnownHops static_next_hops() const;
  void update_next_hops();

  struct Interface {
    InterfaceOptions options;
    std::unique_ptr<port::Tun> tun;
    std::unique_ptr<port::Port> link;
  };

  void open_own_interface();
  std::unique_ptr<HostQueue> open_host_queue(Interface& interface, uint32_t lane);
  void join(spd::Scope scope, Interface& interface);
  spd::Scope free_scope() const;
  uint32_t least_wan_mtu() const;
  void tear_down();
  bool detach_and_remove(uint32_t inbound_spi);
  void forget_sas();
  void set_watch(Watch watch);

  DataplaneOptions options_;  ///< its plan is the one that runs
  const uint32_t id_;
  mutable std::mutex mutex_;  ///< set-up, ports and workers; never held while a worker waits for it
  std::atomic<bool> stopped_{false};
  bool started_ = false;
  std::vector<std::string> notes_;

  // Later members refer to earlier ones.
  base::Epoch epoch_;
  sad::Sad sad_;
  spd::Spd spd_;
  EventRing events_;
  mutable std::mutex sa_mutex_;   ///< installing and removing
  std::set<uint32_t> installed_;  ///< inbound SPIs
  std::map<spd::Scope, std::set<uint32_t>> of_interface_;  ///< those of them whose tunnel has one
  std::mutex watch_mutex_;
  Watch watched_;                 ///< as published in shared_
  std::mutex networks_mutex_;
  std::atomic<const Networks*> networks_;
  port::Umem umem_;
  port::xdp::Selection selection_;
  port::Resources resources_;
  Shared shared_;
  std::optional<base::Deputy> deputy_;  ///< opens ports once this process may not any more
  std::vector<AttachedPort> ports_;     ///< by number
  port::QueueStats removed_;
  std::map<spd::Scope, Interface> interfaces_;  ///< that of the host's scope is the gateway's own
  std::unique_ptr<net::NextHopSource> hops_;  ///< one of these two:
  net::KernelNextHops* kernel_hops_ = nullptr;
  net::StaticNextHops* static_hops_ = nullptr;
  std::vector<std::unique_ptr<Counters>> counters_;  ///< by worker; they outlive them, and the lanes
  std::vector<std::unique_ptr<Lane>> lanes_;
  std::vector<std::unique_ptr<Worker>> workers_;
};

}  // namespace esplane::pipeline
