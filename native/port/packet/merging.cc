#include "port/packet/merging.h"

#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "port/system.h"

namespace esplane::port {
namespace {

/// One ethtool command with a number. @return false where the driver knows nothing of it
bool ethtool(const std::string& device, uint32_t command, uint32_t& value) {
  Fd fd{socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
  ethtool_value request{command, value};
  ifreq interface{};
  device.copy(interface.ifr_name, IFNAMSIZ - 1);
  interface.ifr_data = reinterpret_cast<char*>(&request);
  const bool done = ioctl(fd.get(), SIOCETHTOOL, &interface) == 0;
  value = request.data;
  return done;
}

void set_gro(const std::string& device, bool on) {
  uint32_t value = on;
  ethtool(device, ETHTOOL_SGRO, value);
}

void set_lro(const std::string& device, bool on) {
  uint32_t flags = 0;
  if (!ethtool(device, ETHTOOL_GFLAGS, flags)) return;
  flags = on ? flags | ETH_FLAG_LRO : flags & ~uint32_t{ETH_FLAG_LRO};
  ethtool(device, ETHTOOL_SFLAGS, flags);
}

}  // namespace

MergingOff::MergingOff(const std::string& device) : device_(device) {
  uint32_t gro = 0, flags = 0;
  gro_was_on_ = ethtool(device_, ETHTOOL_GGRO, gro) && gro != 0;
  lro_was_on_ = ethtool(device_, ETHTOOL_GFLAGS, flags) && (flags & ETH_FLAG_LRO);
  if (gro_was_on_) set_gro(device_, false);
  if (lro_was_on_) set_lro(device_, false);
}

MergingOff::~MergingOff() {
  if (gro_was_on_) set_gro(device_, true);
  if (lro_was_on_) set_lro(device_, true);
}

}  // namespace esplane::port
