// The kernel's view of an interface, by a plain packet socket: what a peer would send and see.
#pragma once

#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <chrono>

#include "port/system.h"
#include "test/port/frames.h"

namespace esplane::test {

class RawSocket {
 public:
  explicit RawSocket(const std::string& device)
      : fd_(socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, htons(ETH_P_ALL))) {
    const int bytes = 16 << 20;
    setsockopt(fd_.get(), SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes);
    const int one = 1;
    setsockopt(fd_.get(), SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof one);
    sockaddr_ll address{};
    address.sll_family = AF_PACKET;
    address.sll_protocol = htons(ETH_P_ALL);
    address.sll_ifindex = static_cast<int>(if_nametoindex(device.c_str()));
    if (bind(fd_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) < 0) {
      port::throw_errno(errno, "bind to " + device);
    }
  }

  void send(const Bytes& frame) {
    if (::send(fd_.get(), frame.data(), frame.size(), 0) < 0) port::throw_errno(errno, "send");
  }

  /// Frames that arrive until `count` have come, or none for `quiet`.
  std::vector<Bytes> receive(size_t count,
                             std::chrono::milliseconds quiet = std::chrono::milliseconds(500)) {
    std::vector<Bytes> frames;
    pollfd p{fd_.get(), POLLIN, 0};
    while (frames.size() < count && poll(&p, 1, static_cast<int>(quiet.count())) > 0) {
      Bytes frame(65536);
      const ssize_t n = recv(fd_.get(), frame.data(), frame.size(), 0);
      if (n < 0) break;
      frame.resize(static_cast<size_t>(n));
      frames.push_back(std::move(frame));
    }
    return frames;
  }

 private:
  port::Fd fd_;
};

}  // namespace esplane::test
