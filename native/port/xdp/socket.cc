#include "port/xdp/socket.h"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <thread>

namespace esplane::port::xdp {
namespace {

/// Linux 6.18: packets that one sendto() may send in copy mode; 32 without. Not in older headers.
constexpr int kMaxTxBudgetOption = 9;
constexpr uint32_t kTxBudget = 256;
constexpr int kPreferBusyPollOption = 69, kBusyPollBudgetOption = 70;  // not in older headers
constexpr int kBusyPollBudget = 64;  // packets in one look

void set_option(int fd, int option, const void* value, size_t bytes, const char* step) {
  if (setsockopt(fd, SOL_XDP, option, value, static_cast<socklen_t>(bytes)) < 0) {
    throw_errno(errno, std::string("cannot ") + step);
  }
}

}  // namespace

Socket::Socket(Umem& umem, const Options& options)
    : fd_(::socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0)) {
  if (!fd_) throw_errno(errno, "cannot open an AF_XDP socket");
  if (!options.sharing) register_memory(umem);
  make_rings(options.ring_entries);
  if (options.busy_poll_us > 0) prefer_busy_polling(options.busy_poll_us);
  bind_to(options);

  xdp_options got{};
  socklen_t bytes = sizeof got;
  if (getsockopt(fd(), SOL_XDP, XDP_OPTIONS, &got, &bytes) == 0) {
    zero_copy_ = got.flags & XDP_OPTIONS_ZEROCOPY;
  }
  const uint32_t budget = std::min(kTxBudget, options.ring_entries);
  setsockopt(fd(), SOL_XDP, kMaxTxBudgetOption, &budget, sizeof budget);
}

/// Linux 5.11.
void Socket::prefer_busy_polling(uint32_t microseconds) {
  const int on = 1, most = static_cast<int>(microseconds), budget = kBusyPollBudget;
  const auto set = [&](int option, const int& value) {
    if (setsockopt(fd(), SOL_SOCKET, option, &value, sizeof value) < 0)
      throw_errno(errno, "cannot have an AF_XDP socket poll its device");
  };
  set(kPreferBusyPollOption, on);
  set(SO_BUSY_POLL, most);
  set(kBusyPollBudgetOption, budget);
}

void Socket::register_memory(const Umem& umem) {
  xdp_umem_reg registration{};
  registration.addr = reinterpret_cast<uintptr_t>(umem.base());
  registration.len = umem.bytes();
  registration.chunk_size = umem.chunk_bytes();
  // The kernel leaves XDP_PACKET_HEADROOM, 256 bytes, of itself: FramePool::kHeadroom.
  registration.headroom = 0;
  set_option(fd(), XDP_UMEM_REG, &registration, sizeof registration,
             "register packet memory with an AF_XDP socket");
}

void Socket::make_rings(uint32_t entries) {
  set_option(fd(), XDP_UMEM_FILL_RING, &entries, sizeof entries, "make an AF_XDP fill ring");
  set_option(fd(), XDP_UMEM_COMPLETION_RING, &entries, sizeof entries,
             "make an AF_XDP completion ring");
  set_option(fd(), XDP_RX_RING, &entries, sizeof entries, "make an AF_XDP receive ring");
  set_option(fd(), XDP_TX_RING, &entries, sizeof entries, "make an AF_XDP transmit ring");

  xdp_mmap_offsets offsets{};
  socklen_t bytes = sizeof offsets;
  if (getsockopt(fd(), SOL_XDP, XDP_MMAP_OFFSETS, &offsets, &bytes) < 0) {
    throw_errno(errno, "cannot read the offsets of AF_XDP rings");
  }
  fill.map(fd(), offsets.fr, entries, static_cast<off_t>(XDP_UMEM_PGOFF_FILL_RING));
  completion.map(fd(), offsets.cr, entries, static_cast<off_t>(XDP_UMEM_PGOFF_COMPLETION_RING));
  receive.map(fd(), offsets.rx, entries, XDP_PGOFF_RX_RING);
  transmit.map(fd(), offsets.tx, entries, static_cast<off_t>(XDP_PGOFF_TX_RING));
}

void Socket::bind_to(const Options& options) {
  sockaddr_xdp address{};
  address.sxdp_family = AF_XDP;
  address.sxdp_ifindex = static_cast<uint32_t>(options.ifindex);
  address.sxdp_queue_id = options.queue;
  if (options.sharing) {
    // Takes over the flags of the socket that it shares with.
    address.sxdp_flags = XDP_SHARED_UMEM;
    address.sxdp_shared_umem_fd = static_cast<uint32_t>(options.sharing->fd());
  } else {
    address.sxdp_flags = XDP_USE_NEED_WAKEUP;
  }
  const auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds(1);
  while (::bind(fd(), reinterpret_cast<sockaddr*>(&address), sizeof address) < 0) {
    if (errno != EBUSY || std::chrono::steady_clock::now() > give_up) {
      throw_errno(errno, "cannot bind an AF_XDP socket to queue " + std::to_string(options.queue));
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
}

xdp_statistics Socket::statistics() const {
  xdp_statistics statistics{};
  socklen_t bytes = sizeof statistics;
  if (getsockopt(fd(), SOL_XDP, XDP_STATISTICS, &statistics, &bytes) < 0) {
    throw_errno(errno, "cannot read AF_XDP statistics");
  }
  return statistics;
}

}  // namespace esplane::port::xdp
