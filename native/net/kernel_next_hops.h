// Next hops as the Linux kernel decides them: one thread that speaks rtnetlink for all workers.
//
// A question is answered by RTM_GETROUTE for exactly that destination (so policy routing, metrics
// and learnt path MTUs are the kernel's), then RTM_GETNEIGH for the gateway. Every question makes
// the kernel verify the neighbour (NTF_USE); a worker asks again every ten seconds for what it
// uses, so what is in use stays verified. A neighbour that is not known yet is probed the same
// way, and the answer follows its RTM_NEWNEIGH. One that has failed is probed once more before
// anybody hears of it.
//
// Left out: neighbours are never resolved here (no ARP or ND of our own), and multipath routes
// are the kernel's one choice per destination.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <unordered_map>
#include <vector>

#include "base/spsc_ring.h"
#include "net/netlink.h"
#include "net/next_hop.h"

namespace esplane::net {

/// A port as the resolver needs to know it.
struct PortInterface {
  uint16_t port = 0;
  int ifindex = 0;
  uint8_t mac[6] = {};
  uint32_t mtu_bytes = 1500;
};

class KernelNextHops final : public NextHopSource {
 public:
  using AddressChanged = std::function<void(int ifindex)>;

  /// @param address_changed  called from the resolver's thread for every change of an address
  KernelNextHops(std::vector<PortInterface> ports, AddressChanged address_changed);
  ~KernelNextHops() override;

  /// Others from now on; any thread. Answers that speak of those before are taken by nobody any more:
  /// the client asks again.
  void set_ports(std::vector<PortInterface> ports);

  std::unique_ptr<NextHopClient> connect(int wake_fd) override;
  void start() override;
  void stop() override;

 private:
  static constexpr size_t kMaxDestinations = 16384;
  static constexpr uint32_t kForgetMs = 60'000;   ///< above NextHopCache::kTrustMs
  /// A neighbour's time to answer. The kernel asks again after a second (retrans_time_ms).
  static constexpr uint32_t kResolveMs = 1'500;

  class Client;
  struct Line;  ///< the two rings between one worker and the thread

  struct Neighbour {
    int ifindex = 0;
    IpAddress address;
    bool operator==(const Neighbour& o) const {
      return ifindex == o.ifindex && address == o.address;
    }
  };
  struct NeighbourHash {
    size_t operator()(const Neighbour& n) const {
      return address_hash(n.address, static_cast<uint64_t>(n.ifindex));
    }
  };
  struct AddressHash {
    size_t operator()(const IpAddress& a) const { return address_hash(a, 0); }
  };
  struct Destination {
    NextHop hop;
    Neighbour neighbour;
    uint64_t workers = 0;          ///< a bit per worker that asked
    uint32_t asked_ms = 0;
    uint32_t waiting_since_ms = 0;
    bool waiting = false;          ///< the neighbour was probed and has not answered
  };
  using Destinations = std::unordered_map<IpAddress, Destination, AddressHash>;

  void run();
  void serve_questions(uint32_t now_ms);
  void resolve(const IpAddress& address, Destination& d, uint32_t now_ms);
  int ask_route(const IpAddress& address, Destination& d);
  /// NUD_* state of the neighbour, its link-layer address in `mac`; 0 if the kernel has none.
  uint16_t ask_neighbour(const Neighbour& n, uint8_t* mac);
  void probe(const Neighbour& n);
  void wait(Destination& d, uint32_t now_ms);
  void settle(const IpAddress& address, Destination& d, const uint8_t* mac);
  void answer(const IpAddress& address, Destination& d);
  void expire(uint32_t now_ms);
  void forget(Destinations::iterator it);

  void on_notification(const nlmsghdr& message);
  void on_neighbour(const nlmsghdr& message);
  void ask_failed_again(const Neighbour& n);
  void on_link(const nlmsghdr& message);
  void everything_changed();
  void publish_generation(uint32_t now_ms);

  void adopt_ports();
  void read_port_addresses();
  const PortInterface* port_of(int ifindex) const;

  std::mutex ports_mutex_;
  std::vector<PortInterface> next_ports_;     ///< that the thread is to go on with
  std::atomic<uint32_t> ports_version_{0};    ///< of next_ports_

  const AddressChanged address_changed_;
  std::vector<std::unique_ptr<Line>> lines_;
  int wake_fd_;
  std::atomic<bool> stopping_{false};
  std::atomic<uint32_t> generation_{1};
  std::thread thread_;

  // The thread's own.
  std::vector<PortInterface> ports_;
  uint32_t adopted_version_ = 0;  ///< of ports_
  NetlinkSocket questions_;
  NetlinkSocket notifications_;
  Destinations destinations_;
  std::unordered_multimap<Neighbour, IpAddress, NeighbourHash> by_neighbour_;
  bool changed_ = false;
  bool addresses_changed_ = true;
  uint32_t waiting_ = 0;
  uint32_t last_change_ms_ = 0;
  uint32_t last_expiry_ms_ = 0;
};

}  // namespace esplane::net
