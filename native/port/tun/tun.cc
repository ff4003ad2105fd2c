#include "port/tun/tun.h"

#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <stdexcept>

namespace esplane::port {
namespace {

/// 192.0.0.8, IPv4 dummy address (RFC 7600 §4.8): on no network, and free for use on any host.
constexpr uint32_t kDummyAddress = 0xc0000008;

/// @return the number in a /proc/sys file, or -1 where there is none
int read_setting(const std::string& path) {
  std::ifstream file("/proc/sys/net/" + path);
  int value = -1;
  file >> value;
  return file ? value : -1;
}

bool write_setting(const std::string& path, int value) {
  std::ofstream file("/proc/sys/net/" + path);
  file << value << std::flush;
  return file.good();
}

/// Switches the reverse path filter of `device` off, as far as the one for all devices allows:
/// the greater of both holds, where loose is 2 and strict 1 (Linux: ip-sysctl, rp_filter).
/// @return whether the filter is off
bool open_reverse_path(const std::string& device, std::string& note) {
  const int for_all = read_setting("ipv4/conf/all/rp_filter");
  if (!write_setting("ipv4/conf/" + device + "/rp_filter", for_all == 1 ? 2 : 0)) {
    note = "cannot set rp_filter of " + device + ": the kernel may drop what is re-injected";
    return false;
  }
  if (for_all <= 0) return true;
  note = "net.ipv4.conf.all.rp_filter is " + std::to_string(for_all) +
         ": the kernel drops re-injected packets from sources without a route";
  return false;
}

}  // namespace

Tun::Tun(const std::string& name, uint32_t mtu_bytes)
    : fd_(open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC)) {
  if (!fd_) throw_errno(errno, "cannot open /dev/net/tun");
  if (name.empty() || name.size() >= IFNAMSIZ) {
    throw std::invalid_argument("\"" + name + "\" is no interface name");
  }
  ifreq request{};
  name.copy(request.ifr_name, IFNAMSIZ - 1);
  request.ifr_flags = IFF_TUN | IFF_NO_PI;
  if (ioctl(fd_.get(), TUNSETIFF, &request) < 0) throw_errno(errno, "cannot make the TUN " + name);
  name_ = request.ifr_name;

  Fd control{socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
  if (!control) throw_errno(errno, "cannot open a socket to set up " + name_);
  const auto set = [&](unsigned long what, const char* step) {
    if (ioctl(control.get(), what, &request) < 0) {
      throw_errno(errno, "cannot " + std::string(step) + " the TUN " + name_);
    }
  };
  set(SIOCGIFINDEX, "find");
  ifindex_ = request.ifr_ifindex;
  request.ifr_mtu = static_cast<int>(mtu_bytes);
  set(SIOCSIFMTU, "set the MTU of");
  if (!open_reverse_path(name_, note_)) {
    // The loose filter drops everything on an interface without an address.
    auto& address = reinterpret_cast<sockaddr_in&>(request.ifr_addr);
    address = {};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(kDummyAddress);
    set(SIOCSIFADDR, "set an address of");
  }
  // No link-local address: nothing is to be sent here by itself.
  write_setting("ipv6/conf/" + name_ + "/addr_gen_mode", 1);
  set(SIOCGIFFLAGS, "read the flags of");
  request.ifr_flags |= IFF_UP;
  set(SIOCSIFFLAGS, "bring up");
}

Tun::~Tun() = default;

bool Tun::write(const uint8_t* packet, uint32_t bytes) {
  return ::write(fd_.get(), packet, bytes) == static_cast<ssize_t>(bytes);
}

uint32_t Tun::read(uint8_t* packet, uint32_t capacity) {
  const ssize_t n = ::read(fd_.get(), packet, capacity);
  return n > 0 ? static_cast<uint32_t>(n) : 0;
}

}  // namespace esplane::port
