#include "port/tun/tun.h"

#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <bit>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <span>
#include <stdexcept>
#include <utility>

#include "port/tun/super_frames.h"

namespace esplane::port {
namespace {

/// 192.0.0.8, IPv4 dummy address (RFC 7600 §4.8): on no network, and free for use on any host.
constexpr uint32_t kDummyAddress = 0xc0000008;

/// TUN_F_USO4 | TUN_F_USO6, which older headers lack (linux/if_tun.h).
constexpr unsigned kUdpSegments = 0x20 | 0x40;

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

Tun::Tun(const TunOptions& options) {
  if (options.name.empty() || options.name.size() >= IFNAMSIZ) {
    throw std::invalid_argument("\"" + options.name + "\" is no interface name");
  }
  fd_ = attach(options.name);
  if (ioctl(fd_.get(), TUNSETPERSIST, options.outlives_process ? 1 : 0) < 0) {
    throw_errno(errno, "cannot say how long the TUN " + name_ + " lasts");
  }
  // Nobody reads this one: the kernel is to put no packets there.
  ifreq request{};
  request.ifr_flags = IFF_DETACH_QUEUE;
  if (ioctl(fd_.get(), TUNSETQUEUE, &request) < 0) {
    throw_errno(errno, "cannot detach a queue of the TUN " + name_);
  }
  set_up(options);
}

Tun::~Tun() = default;

Fd Tun::attach(const std::string& name) {
  Fd fd{open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC)};
  if (!fd) throw_errno(errno, "cannot open /dev/net/tun");
  ifreq request{};
  name.copy(request.ifr_name, IFNAMSIZ - 1);
  request.ifr_flags = IFF_TUN | IFF_NO_PI | IFF_VNET_HDR | IFF_MULTI_QUEUE;
  if (ioctl(fd.get(), TUNSETIFF, &request) < 0) {
    const bool is_other = errno == EINVAL && if_nametoindex(name.c_str()) != 0;
    throw_errno(errno, is_other ? "there is an interface " + name + " already, which is no TUN of ours"
                                : "cannot make the TUN " + name);
  }
  name_ = request.ifr_name;
  // UDP super-frames since Linux 6.2.
  constexpr unsigned kTcp = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN;
  if (ioctl(fd.get(), TUNSETOFFLOAD, kTcp | kUdpSegments) < 0 &&
      ioctl(fd.get(), TUNSETOFFLOAD, kTcp) < 0) {
    throw_errno(errno, "cannot set the offloads of the TUN " + name_);
  }
  return fd;
}

void Tun::set_up(const TunOptions& options) {
  Fd control{socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
  if (!control) throw_errno(errno, "cannot open a socket to set up " + name_);
  ifreq request{};
  name_.copy(request.ifr_name, IFNAMSIZ - 1);
  const auto set = [&](unsigned long what, const char* step) {
    if (ioctl(control.get(), what, &request) < 0) {
      throw_errno(errno, "cannot " + std::string(step) + " the TUN " + name_);
    }
  };
  set(SIOCGIFINDEX, "find");
  ifindex_ = request.ifr_ifindex;
  set(SIOCGIFMTU, "read the MTU of");
  mtu_bytes_ = static_cast<uint32_t>(request.ifr_mtu);
  if (options.mtu_bytes != 0) set_mtu(options.mtu_bytes);
  if (options.from_anywhere && !open_reverse_path(name_, note_)) {
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

void Tun::set_mtu(uint32_t bytes) {
  if (bytes == mtu_bytes_) return;
  Fd control{socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
  if (!control) throw_errno(errno, "cannot open a socket to set up " + name_);
  ifreq request{};
  name_.copy(request.ifr_name, IFNAMSIZ - 1);
  request.ifr_mtu = static_cast<int>(bytes);
  if (ioctl(control.get(), SIOCSIFMTU, &request) < 0) {
    throw_errno(errno, "cannot set the MTU of the TUN " + name_);
  }
  mtu_bytes_ = bytes;
}

std::unique_ptr<TunQueue> Tun::open_queue(FramePool& pool) {
  return std::make_unique<TunQueue>(attach(name_), pool);
}

void Tun::remove() { ioctl(fd_.get(), TUNSETPERSIST, 0); }

// --- a queue -------------------------------------------------------------------------------

TunQueue::TunQueue(Fd fd, FramePool& pool)
    : fd_(std::move(fd)),
      pool_(pool),
      buffer_(std::make_unique_for_overwrite<std::array<uint8_t, kMostBytes>>()) {}

/// Goes on to the next frame that can be received. @return false where none waits
bool TunQueue::next_frame() {
  const uint32_t room = pool_.umem().chunk_bytes() - FramePool::kHeadroom;
  for (;;) {
    OffloadHeader offload;
    const iovec parts[] = {{&offload, sizeof offload}, {buffer_->data(), buffer_->size()}};
    const ssize_t got = readv(fd_.get(), parts, 2);
    if (got < static_cast<ssize_t>(sizeof offload)) break;
    const std::span<const uint8_t> packet{buffer_->data(), static_cast<size_t>(got) - sizeof offload};
    if (segments_.start(packet, offload, Segments::Begin::kIp) &&
        segments_.next_bytes() <= room) {
      return true;
    }
    counters_.rx_dropped.add(1);
  }
  segments_ = Segments{};
  return false;
}

uint32_t TunQueue::rx(packet::Batch& batch, uint32_t max) {
  return receive_segments(segments_, pool_, counters_, batch, max, [this] { return next_frame(); });
}

uint32_t TunQueue::tx(uint8_t* const* data, const uint32_t* length, uint32_t count) {
  uint32_t accepted = 0;
  while (accepted < count && write(&data[accepted], &length[accepted], 1) != 0)
    pool_.put(data[accepted++]);
  return accepted;
}

uint64_t TunQueue::write(uint8_t* const* packets, const uint32_t* bytes, uint32_t count) {
  SuperFrames frames;
  for (uint32_t i = 0; i < count; i++) frames.add(packets[i], bytes[i]);
  uint64_t taken = 0;
  OffloadHeader offload;
  iovec parts[1 + SuperFrames::kMostPackets] = {{&offload, sizeof offload}};
  for (uint32_t n = 0; n < frames.count(); n++) {
    const uint32_t used = 1 + frames.finish(n, offload, parts + 1);
    // The kernel takes all of a frame or nothing; what has no IP header it refuses.
    if (writev(fd_.get(), parts, static_cast<int>(used)) > 0) taken |= frames.packets(n);
  }
  counters_.tx.add(static_cast<uint64_t>(std::popcount(taken)));
  counters_.tx_full.add(count - static_cast<uint64_t>(std::popcount(taken)));
  return taken;
}

}  // namespace esplane::port
