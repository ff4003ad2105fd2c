#include "port/system.h"

#include <linux/capability.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <stdexcept>
#include <system_error>

namespace esplane::port {

void Fd::reset() {
  if (fd_ >= 0) close(fd_);
  fd_ = -1;
}

std::string missing_capabilities(uint64_t among) {
  constexpr std::pair<int, const char*> kNeeded[] = {{CAP_NET_RAW, "CAP_NET_RAW"},
                                                     {CAP_NET_ADMIN, "CAP_NET_ADMIN"},
                                                     {CAP_BPF, "CAP_BPF"},
                                                     {CAP_PERFMON, "CAP_PERFMON"},
                                                     {CAP_IPC_LOCK, "CAP_IPC_LOCK"}};
  std::ifstream status("/proc/thread-self/status");
  uint64_t effective = 0;
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("CapEff:")) effective = std::stoull(line.substr(7), nullptr, 16);
  }
  std::string missing;
  for (const auto& [bit, name] : kNeeded) {
    // CAP_SYS_ADMIN includes what was a part of it before Linux 5.8.
    const bool was_admin = bit == CAP_BPF || bit == CAP_PERFMON;
    const bool had = effective >> bit & 1 || (was_admin && effective >> CAP_SYS_ADMIN & 1);
    if (!had && (among >> bit & 1)) missing += (missing.empty() ? "" : ", ") + std::string(name);
  }
  return missing;
}

void throw_errno(int error, const std::string& what) {
  std::string text = what;
  // AF_XDP reports exhausted locked memory as ENOBUFS or ENOMEM.
  constexpr uint64_t kMemory = uint64_t{1} << CAP_IPC_LOCK;
  const bool is_memory = error == ENOBUFS || error == ENOMEM;
  if (is_memory || error == EPERM || error == EACCES) {
    const std::string missing = missing_capabilities(is_memory ? kMemory : ~kMemory);
    if (!missing.empty()) text += " (missing " + missing + ")";
  }
  throw std::system_error(error, std::generic_category(), text);
}

namespace {

/// Queues that receive. Drivers that do not tell by ethtool (most have one queue) show them in
/// sysfs, if it is mounted for our namespace.
uint32_t receive_queues(int socket, ifreq& request) {
  ethtool_channels channels{};
  channels.cmd = ETHTOOL_GCHANNELS;
  request.ifr_data = reinterpret_cast<char*>(&channels);
  uint32_t count = 0;
  if (ioctl(socket, SIOCETHTOOL, &request) == 0) {
    count = channels.combined_count + channels.rx_count;
  } else {
    const std::string queues = "/sys/class/net/" + std::string(request.ifr_name) + "/queues/rx-";
    while (access((queues + std::to_string(count)).c_str(), F_OK) == 0) count++;
  }
  return std::max(1u, count);
}

}  // namespace

InterfaceInfo query_interface(const std::string& device) {
  Fd socket_fd{::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
  if (!socket_fd) throw_errno(errno, "cannot open a socket to ask for interface " + device);
  if (device.empty() || device.size() >= IFNAMSIZ) {
    throw std::invalid_argument("\"" + device + "\" is no interface name");
  }
  ifreq request{};
  device.copy(request.ifr_name, IFNAMSIZ - 1);
  const auto ask = [&](unsigned long what, const char* name) {
    if (ioctl(socket_fd.get(), what, &request) < 0) {
      throw_errno(errno, std::string("cannot read the ") + name + " of interface " + device);
    }
  };

  InterfaceInfo info{};
  ask(SIOCGIFINDEX, "index");
  info.index = request.ifr_ifindex;
  ask(SIOCGIFFLAGS, "flags");
  info.up = request.ifr_flags & IFF_UP;
  ask(SIOCGIFMTU, "MTU");
  info.mtu_bytes = static_cast<uint32_t>(request.ifr_mtu);
  ask(SIOCGIFHWADDR, "address");
  if (request.ifr_hwaddr.sa_family != ARPHRD_ETHER) {
    throw std::runtime_error("interface " + device + " is not an Ethernet interface");
  }
  std::memcpy(info.mac.data(), request.ifr_hwaddr.sa_data, info.mac.size());
  info.rx_queues = receive_queues(socket_fd.get(), request);
  return info;
}

void InterfaceInfo::refresh(const std::string& device) {
  const InterfaceInfo now = query_interface(device);
  if (now.index != index) throw_errno(ENODEV, "interface " + device + " is another one now");
  mac = now.mac;
  mtu_bytes = now.mtu_bytes;
  up = now.up;
}

}  // namespace esplane::port
