#include "net/kernel_next_hops.h"

#include <linux/neighbour.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <system_error>
#include <utility>

#include "base/clock.h"

namespace esplane::net {
namespace {

constexpr size_t kRingEntries = 1024;
constexpr std::array<uint8_t, 2> kNatTraversalPort = {4500 >> 8, 4500 & 0xff};  // RFC 3948 §2.1
constexpr uint16_t kNeighbourValid =
    NUD_REACHABLE | NUD_STALE | NUD_DELAY | NUD_PROBE | NUD_PERMANENT | NUD_NOARP;
constexpr uint16_t kNeighbourFixed = NUD_PERMANENT | NUD_NOARP;
constexpr int kGroups[] = {RTNLGRP_NEIGH,       RTNLGRP_LINK,        RTNLGRP_IPV4_IFADDR,
                           RTNLGRP_IPV6_IFADDR, RTNLGRP_IPV4_ROUTE,  RTNLGRP_IPV6_ROUTE,
                           RTNLGRP_IPV4_RULE,   RTNLGRP_IPV6_RULE,   RTNLGRP_NEXTHOP};

/// Changes of routes come in thousands at once where a routing daemon runs; workers hear of them
/// at most this often.
constexpr uint32_t kGenerationMs = 50;

void wake(int fd) {
  const uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = write(fd, &one, sizeof one);
}

uint8_t family_of(const IpAddress& a) { return a.is_v4() ? AF_INET : AF_INET6; }

IpAddress address_from(int family, std::span<const uint8_t> raw) {
  if (family == AF_INET && raw.size() >= 4) return IpAddress::v4(raw.data());
  if (family == AF_INET6 && raw.size() >= 16) return IpAddress::v6(raw.data());
  return {};
}

}  // namespace

struct KernelNextHops::Line {
  explicit Line(int fd) : worker_fd(fd) {}
  base::SpscRing<IpAddress> questions{kRingEntries};
  base::SpscRing<Answer> answers{kRingEntries};
  const int worker_fd;
};

class KernelNextHops::Client final : public NextHopClient {
 public:
  Client(KernelNextHops& source, Line& line) : source_(source), line_(line) {}

  Asked ask(const IpAddress& destination, NextHop&) override {
    if (!line_.questions.push(destination)) return Asked::kFull;
    wake(source_.wake_fd_);
    return Asked::kLater;
  }
  bool take(Answer& out) override {
    while (line_.answers.pop(out)) {
      if (out.ports == source_.ports_version_.load(std::memory_order_acquire)) return true;
      if (out.kind == Answer::Kind::kHop) ask(out.address, out.hop);
    }
    return false;
  }
  uint32_t generation() const override {
    return source_.generation_.load(std::memory_order_acquire);
  }

 private:
  KernelNextHops& source_;
  Line& line_;
};

KernelNextHops::KernelNextHops(std::vector<PortInterface> ports, AddressChanged address_changed)
    : address_changed_(std::move(address_changed)),
      wake_fd_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      ports_(std::move(ports)),
      notifications_(kGroups) {
  if (wake_fd_ < 0) throw std::system_error(errno, std::generic_category(), "eventfd");
}

KernelNextHops::~KernelNextHops() {
  stop();
  close(wake_fd_);
}

std::unique_ptr<NextHopClient> KernelNextHops::connect(int wake_fd) {
  lines_.push_back(std::make_unique<Line>(wake_fd));
  return std::make_unique<Client>(*this, *lines_.back());
}

void KernelNextHops::set_ports(std::vector<PortInterface> ports) {
  {
    const std::lock_guard lock(ports_mutex_);
    next_ports_ = std::move(ports);
    ports_version_.fetch_add(1, std::memory_order_release);
  }
  wake(wake_fd_);
}

/// Routes that led elsewhere may lead to a port now, and the other way round.
void KernelNextHops::adopt_ports() {
  if (ports_version_.load(std::memory_order_acquire) == adopted_version_) return;
  const std::lock_guard lock(ports_mutex_);
  ports_ = std::move(next_ports_);
  adopted_version_ = ports_version_.load();
  everything_changed();
  const uint32_t now_ms = base::monotonic_ms();
  last_change_ms_ = now_ms - kGenerationMs;  // the workers hear of it at once
  for (auto& [address, d] : destinations_) {
    if (d.neighbour.ifindex == 0) continue;
    const auto* port = port_of(d.neighbour.ifindex);
    if (port == nullptr || port->port != d.hop.port) resolve(address, d, now_ms);
  }
}

void KernelNextHops::start() { thread_ = std::thread(&KernelNextHops::run, this); }

void KernelNextHops::stop() {
  stopping_.store(true);
  wake(wake_fd_);
  if (thread_.joinable()) thread_.join();
}

void KernelNextHops::run() {
  pthread_setname_np(pthread_self(), "esplane-hops");
  pollfd fds[2] = {{wake_fd_, POLLIN, 0}, {notifications_.fd(), POLLIN, 0}};
  while (!stopping_.load(std::memory_order_relaxed)) {
    const int timeout_ms = addresses_changed_ ? 0 : (changed_ || waiting_ > 0) ? 50 : 5000;
    poll(fds, 2, timeout_ms);
    uint64_t count;
    [[maybe_unused]] const ssize_t drained = read(wake_fd_, &count, sizeof count);
    adopt_ports();
    if (!notifications_.drain([this](const nlmsghdr& m) { on_notification(m); })) everything_changed();
    const uint32_t now_ms = base::monotonic_ms();
    if (addresses_changed_) read_port_addresses();
    publish_generation(now_ms);
    serve_questions(now_ms);
    expire(now_ms);
  }
}

void KernelNextHops::publish_generation(uint32_t now_ms) {
  if (!changed_ || now_ms - last_change_ms_ < kGenerationMs) return;
  changed_ = false;
  last_change_ms_ = now_ms;
  generation_.fetch_add(1, std::memory_order_release);
}

void KernelNextHops::everything_changed() {
  changed_ = true;
  addresses_changed_ = true;
}

// --- questions -----------------------------------------------------------------------------

void KernelNextHops::serve_questions(uint32_t now_ms) {
  for (size_t worker = 0; worker < lines_.size(); worker++) {
    IpAddress address;
    for (size_t n = 0; n < kRingEntries && lines_[worker]->questions.pop(address); n++) {
      auto it = destinations_.find(address);
      if (it == destinations_.end()) {
        if (destinations_.size() >= kMaxDestinations) continue;  // the worker asks again
        it = destinations_.emplace(address, Destination{}).first;
      }
      it->second.workers |= uint64_t{1} << worker;
      it->second.asked_ms = now_ms;
      resolve(address, it->second, now_ms);
    }
  }
}

void KernelNextHops::resolve(const IpAddress& address, Destination& d, uint32_t now_ms) {
  const Neighbour before = d.neighbour;
  const int route = ask_route(address, d);
  if (!(d.neighbour == before)) {
    const auto [first, last] = by_neighbour_.equal_range(before);
    const auto it = std::find_if(first, last, [&](const auto& e) { return e.second == address; });
    if (it != last) by_neighbour_.erase(it);
    if (d.neighbour.ifindex != 0) by_neighbour_.emplace(d.neighbour, address);
  }
  if (route < 0) d.hop.kind = NextHop::Kind::kNoRoute;
  if (d.neighbour.ifindex == 0) {
    if (d.waiting) waiting_--;
    d.waiting = false;
    answer(address, d);
    return;
  }
  uint8_t mac[6];
  const uint16_t state = ask_neighbour(d.neighbour, mac);
  if ((state & kNeighbourFixed) == 0) probe(d.neighbour);
  if ((state & kNeighbourValid) != 0) {
    settle(address, d, mac);
  } else {
    wait(d, now_ms);
  }
}

void KernelNextHops::wait(Destination& d, uint32_t now_ms) {
  if (d.waiting) return;
  d.waiting = true;
  d.waiting_since_ms = now_ms;
  waiting_++;
}

/// Fills the hop's kind, port and MTU, and the neighbour where one has to be known.
int KernelNextHops::ask_route(const IpAddress& address, Destination& d) {
  NetlinkRequest request(RTM_GETROUTE, 0);
  rtmsg question{};
  question.rtm_family = family_of(address);
  question.rtm_dst_len = static_cast<uint8_t>(address.size() * 8);
  request.fixed(question);
  request.attribute(RTA_DST, {address.bytes, address.size()});
  // The way that IKE takes: rules lead what else the host sends to a peer into the gateway's TUN.
  request.attribute(RTA_IP_PROTO, std::array<uint8_t, 1>{IPPROTO_UDP});
  request.attribute(RTA_SPORT, kNatTraversalPort);

  d.neighbour = {};
  d.hop = {};
  return questions_.request(request, [&](const nlmsghdr& m) {
    if (m.nlmsg_type != RTM_NEWROUTE) return;
    const auto route = netlink_fixed<rtmsg>(m);
    const NetlinkAttributes a(netlink_body<rtmsg>(m));
    if (route.rtm_type == RTN_LOCAL) {
      d.hop.kind = NextHop::Kind::kLocal;
      return;
    }
    if (route.rtm_type != RTN_UNICAST) return;  // broadcast, multicast, blackhole, prohibit
    const auto* port = port_of(static_cast<int>(a.u32(RTA_OIF, 0)));
    if (port == nullptr) {
      d.hop.kind = NextHop::Kind::kElsewhere;
      return;
    }
    const NetlinkAttributes metrics(a[RTA_METRICS]);
    d.hop.kind = NextHop::Kind::kForward;
    d.hop.port = port->port;
    d.hop.port_mtu_bytes = port->mtu_bytes;
    d.hop.mtu_bytes = std::min(port->mtu_bytes, metrics.u32(RTAX_MTU, port->mtu_bytes));
    std::copy_n(port->mac, 6, d.hop.macs.source);
    d.neighbour = {port->ifindex, address};
    if (const auto gateway = a[RTA_GATEWAY]; !gateway.empty())
      d.neighbour.address = address_from(route.rtm_family, gateway);
    if (const auto via = a[RTA_VIA]; via.size() >= sizeof(rtvia)) {  // such as IPv4 via IPv6
      uint16_t family;
      std::memcpy(&family, via.data(), sizeof family);
      d.neighbour.address = address_from(family, via.subspan(sizeof family));
    }
  });
}

uint16_t KernelNextHops::ask_neighbour(const Neighbour& n, uint8_t* mac) {
  NetlinkRequest request(RTM_GETNEIGH, 0);
  ndmsg question{};
  question.ndm_family = family_of(n.address);
  question.ndm_ifindex = n.ifindex;
  request.fixed(question);
  request.attribute(NDA_DST, {n.address.bytes, n.address.size()});
  uint16_t state = 0;
  questions_.request(request, [&](const nlmsghdr& m) {
    if (m.nlmsg_type != RTM_NEWNEIGH) return;
    const NetlinkAttributes a(netlink_body<ndmsg>(m));
    const auto lladdr = a[NDA_LLADDR];
    if (lladdr.size() != 6) return;
    std::copy_n(lladdr.data(), 6, mac);
    state = netlink_fixed<ndmsg>(m).ndm_state;
  });
  return state;
}

/// Makes the kernel resolve a neighbour, or verify one that it has.
void KernelNextHops::probe(const Neighbour& n) {
  NetlinkRequest request(RTM_NEWNEIGH, NLM_F_CREATE);
  ndmsg wanted{};
  wanted.ndm_family = family_of(n.address);
  wanted.ndm_ifindex = n.ifindex;
  wanted.ndm_state = NUD_NONE;
  wanted.ndm_flags = NTF_USE;
  request.fixed(wanted);
  request.attribute(NDA_DST, {n.address.bytes, n.address.size()});
  questions_.request(request, [](const nlmsghdr&) {});
}

/// @param mac  null: the neighbour did not answer
void KernelNextHops::settle(const IpAddress& address, Destination& d, const uint8_t* mac) {
  if (d.waiting) waiting_--;
  d.waiting = false;
  d.hop.kind = mac != nullptr ? NextHop::Kind::kForward : NextHop::Kind::kUnresolved;
  if (mac != nullptr) std::copy_n(mac, 6, d.hop.macs.destination);
  answer(address, d);
}

void KernelNextHops::answer(const IpAddress& address, Destination& d) {
  const Answer a{
      .kind = Answer::Kind::kHop, .address = address, .hop = d.hop, .ports = adopted_version_};
  for (size_t worker = 0; worker < lines_.size(); worker++) {
    if ((d.workers >> worker & 1) == 0) continue;
    lines_[worker]->answers.push(a);  // a full ring: the worker asks again
    wake(lines_[worker]->worker_fd);
  }
}

/// Gives up on neighbours that did not answer, and forgets what nobody asks for any more.
void KernelNextHops::expire(uint32_t now_ms) {
  if (now_ms - last_expiry_ms_ < (waiting_ > 0 ? 50u : 5000u)) return;
  last_expiry_ms_ = now_ms;
  for (auto it = destinations_.begin(); it != destinations_.end();) {
    auto& [address, d] = *it;
    if (d.waiting && now_ms - d.waiting_since_ms >= kResolveMs) settle(address, d, nullptr);
    const auto next = std::next(it);
    if (now_ms - d.asked_ms >= kForgetMs) forget(it);
    it = next;
  }
}

void KernelNextHops::forget(Destinations::iterator it) {
  const auto [first, last] = by_neighbour_.equal_range(it->second.neighbour);
  const auto n = std::find_if(first, last, [&](const auto& e) { return e.second == it->first; });
  if (n != last) by_neighbour_.erase(n);
  destinations_.erase(it);
}

// --- notifications -------------------------------------------------------------------------

void KernelNextHops::on_notification(const nlmsghdr& message) {
  switch (message.nlmsg_type) {
    case RTM_NEWNEIGH:
    case RTM_DELNEIGH:
      on_neighbour(message);
      return;
    case RTM_NEWADDR:
    case RTM_DELADDR:
      everything_changed();
      if (address_changed_)
        address_changed_(static_cast<int>(netlink_fixed<ifaddrmsg>(message).ifa_index));
      return;
    case RTM_NEWLINK:
    case RTM_DELLINK:
      on_link(message);
      // An address can be bound to only while its link runs.
      if (address_changed_)
        address_changed_(static_cast<int>(netlink_fixed<ifinfomsg>(message).ifi_index));
      return;
    default:  // routes, rules, next-hop objects
      changed_ = true;
  }
}

void KernelNextHops::on_neighbour(const nlmsghdr& message) {
  const auto entry = netlink_fixed<ndmsg>(message);
  const NetlinkAttributes a(netlink_body<ndmsg>(message));
  const Neighbour n{entry.ndm_ifindex, address_from(entry.ndm_family, a[NDA_DST])};
  const auto [first, last] = by_neighbour_.equal_range(n);
  if (first == last) return;
  if (message.nlmsg_type == RTM_DELNEIGH) {
    changed_ = true;  // garbage-collected by the kernel: asking again brings it back if in use
    return;
  }
  const auto lladdr = a[NDA_LLADDR];
  const bool valid = (entry.ndm_state & kNeighbourValid) != 0 && lladdr.size() == 6;
  if (!valid && (entry.ndm_state & NUD_FAILED) == 0) return;  // still being probed
  if (!valid) return ask_failed_again(n);
  for (auto it = first; it != last; ++it) {
    auto& d = destinations_.at(it->second);
    const bool news = d.waiting || d.hop.kind != NextHop::Kind::kForward ||
                      !std::equal(lladdr.begin(), lladdr.end(), d.hop.macs.destination);
    if (news) settle(it->second, d, lladdr.data());
  }
}

/// A kernel that forwards asks again with the next packet for a neighbour that has failed. So do
/// we, at once: it may have been away just while the kernel verified it. Meanwhile the old answer
/// serves; if none comes the time of a new one is up.
void KernelNextHops::ask_failed_again(const Neighbour& n) {
  bool used = false;
  const auto [first, last] = by_neighbour_.equal_range(n);
  for (auto it = first; it != last; ++it) {
    auto& d = destinations_.at(it->second);
    if (d.waiting || d.hop.kind != NextHop::Kind::kForward) continue;
    wait(d, base::monotonic_ms());
    used = true;
  }
  if (used) probe(n);
}

void KernelNextHops::on_link(const nlmsghdr& message) {
  const auto link = netlink_fixed<ifinfomsg>(message);
  const NetlinkAttributes a(netlink_body<ifinfomsg>(message));
  for (auto& port : ports_) {
    if (port.ifindex != link.ifi_index) continue;
    changed_ = true;
    port.mtu_bytes = a.u32(IFLA_MTU, port.mtu_bytes);
    if (const auto mac = a[IFLA_ADDRESS]; mac.size() == 6) std::copy_n(mac.data(), 6, port.mac);
  }
}

// --- our own addresses ---------------------------------------------------------------------

/// Tells every worker the address of each port that ICMP errors come from: the first of global
/// scope, as the kernel's own choice is.
void KernelNextHops::read_port_addresses() {
  addresses_changed_ = false;
  std::vector<std::array<IpAddress, 2>> found(ports_.size());
  NetlinkRequest request(RTM_GETADDR, NLM_F_DUMP);
  request.fixed(ifaddrmsg{});
  questions_.request(request, [&](const nlmsghdr& m) {
    const auto entry = netlink_fixed<ifaddrmsg>(m);
    if (m.nlmsg_type != RTM_NEWADDR || entry.ifa_scope != RT_SCOPE_UNIVERSE) return;
    if ((entry.ifa_flags & (IFA_F_TENTATIVE | IFA_F_DEPRECATED)) != 0) return;
    const NetlinkAttributes a(netlink_body<ifaddrmsg>(m));
    // IPv4: the local end of a point-to-point address is IFA_LOCAL; IPv6 has IFA_ADDRESS only.
    const auto raw = a[IFA_LOCAL].empty() ? a[IFA_ADDRESS] : a[IFA_LOCAL];
    for (size_t i = 0; i < ports_.size(); i++) {
      if (ports_[i].ifindex != static_cast<int>(entry.ifa_index)) continue;
      IpAddress& slot = found[i][entry.ifa_family == AF_INET ? 0 : 1];
      if (slot.family == packet::Family::kNone) slot = address_from(entry.ifa_family, raw);
    }
  });
  for (size_t i = 0; i < ports_.size(); i++) {
    for (const bool is_v4 : {true, false}) {
      Answer a{.kind = Answer::Kind::kPortAddress,
               .is_v4 = is_v4,
               .address = found[i][is_v4 ? 0 : 1],
               .ports = adopted_version_};
      a.hop.port = ports_[i].port;
      for (auto& line : lines_) {
        line->answers.push(a);
        wake(line->worker_fd);
      }
    }
  }
}

const PortInterface* KernelNextHops::port_of(int ifindex) const {
  for (const auto& port : ports_) {
    if (port.ifindex == ifindex) return &port;
  }
  return nullptr;
}

}  // namespace esplane::net
