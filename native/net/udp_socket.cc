#include "net/udp_socket.h"

#include <linux/sock_diag.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <system_error>

namespace esplane::net {
namespace {

/// Room for an address of either family.
using SocketAddress = sockaddr_in6;

/// @return its length
socklen_t write(SocketAddress& out, const Endpoint& endpoint) {
  out = {};
  const in_port_t port = htons(endpoint.port);
  if (endpoint.address.is_v6()) {
    out.sin6_family = AF_INET6;
    out.sin6_port = port;
    std::memcpy(&out.sin6_addr, endpoint.address.bytes, 16);
    return sizeof(sockaddr_in6);
  }
  sockaddr_in v4{};
  v4.sin_family = AF_INET;
  v4.sin_port = port;
  std::memcpy(&v4.sin_addr, endpoint.address.bytes, 4);
  std::memcpy(&out, &v4, sizeof v4);
  return sizeof v4;
}

Endpoint read(const SocketAddress& from) {
  // The port is in the same place of both.
  Endpoint endpoint{.port = ntohs(from.sin6_port)};
  if (from.sin6_family == AF_INET6) {
    endpoint.address.set_v6(&from.sin6_addr);
  } else {
    sockaddr_in v4;
    std::memcpy(&v4, &from, sizeof v4);
    endpoint.address.set_v4(&v4.sin_addr);
  }
  return endpoint;
}

[[noreturn]] void fail(int fd) {
  const int error = errno;
  if (fd >= 0) close(fd);
  throw std::system_error(error, std::generic_category());
}

}  // namespace

DatagramBatch::DatagramBatch()
    : memory_(std::make_unique_for_overwrite<uint8_t[]>(kMost * kDatagramBytes)) {
  for (uint32_t i = 0; i < kMost; i++) {
    vectors_[i] = {.iov_base = memory_.get() + i * kDatagramBytes, .iov_len = kDatagramBytes};
    auto& header = headers_[i].msg_hdr;
    header.msg_iov = &vectors_[i];
    header.msg_iovlen = 1;
    header.msg_name = &sources_[i];
  }
}

Endpoint DatagramBatch::source(uint32_t i) const { return read(sources_[i]); }

UdpSocket::UdpSocket(const Endpoint& local, int buffer_bytes) : v6_(local.address.is_v6()) {
  fd_ = socket(v6_ ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd_ < 0) fail(fd_);
  const int yes = 1;
  if (v6_ && setsockopt(fd_, IPPROTO_IPV6, IPV6_V6ONLY, &yes, sizeof yes) < 0) fail(fd_);
  if (discover_path_mtu(IP_PMTUDISC_DONT) < 0) fail(fd_);
  // Beyond the system's limit with CAP_NET_ADMIN only.
  if (setsockopt(fd_, SOL_SOCKET, SO_RCVBUFFORCE, &buffer_bytes, sizeof buffer_bytes) < 0)
    setsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &buffer_bytes, sizeof buffer_bytes);
  SocketAddress address;
  const socklen_t length = write(address, local);
  if (bind(fd_, reinterpret_cast<const sockaddr*>(&address), length) < 0) fail(fd_);
}

UdpSocket::~UdpSocket() { close(fd_); }

uint16_t UdpSocket::port() const {
  SocketAddress address{};
  socklen_t length = sizeof address;
  getsockname(fd_, reinterpret_cast<sockaddr*>(&address), &length);
  return ntohs(address.sin6_port);
}

uint32_t UdpSocket::drops() const {
  uint32_t info[SK_MEMINFO_VARS] = {};
  socklen_t length = sizeof info;
  getsockopt(fd_, SOL_SOCKET, SO_MEMINFO, info, &length);
  return info[SK_MEMINFO_DROPS];
}

uint32_t UdpSocket::receive(DatagramBatch& batch) {
  for (auto& header : batch.headers_) header.msg_hdr.msg_namelen = sizeof(SocketAddress);
  const int count = recvmmsg(fd_, batch.headers_.data(), DatagramBatch::kMost, MSG_DONTWAIT, nullptr);
  return count > 0 ? static_cast<uint32_t>(count) : 0;
}

int UdpSocket::discover_path_mtu(int discovery) {
  static_assert(IP_PMTUDISC_DONT == IPV6_PMTUDISC_DONT && IP_PMTUDISC_PROBE == IPV6_PMTUDISC_PROBE);
  return setsockopt(fd_, v6_ ? IPPROTO_IPV6 : IPPROTO_IP, v6_ ? IPV6_MTU_DISCOVER : IP_MTU_DISCOVER,
                    &discovery, sizeof discovery);
}

bool UdpSocket::send(const Outgoing& datagram) {
  static constexpr uint8_t kMarker[4] = {};
  SocketAddress address;
  msghdr header{};
  header.msg_name = &address;
  header.msg_namelen = write(address, datagram.to);
  iovec parts[] = {{const_cast<uint8_t*>(kMarker), sizeof kMarker},
                   {const_cast<uint8_t*>(datagram.data.data()), datagram.data.size()}};
  header.msg_iov = datagram.marked ? &parts[0] : &parts[1];
  header.msg_iovlen = datagram.marked ? 2 : 1;
  // There is no such option of a single datagram (cmsg(3)).
  if (datagram.whole && discover_path_mtu(IP_PMTUDISC_PROBE) < 0) return false;
  const bool sent = sendmsg(fd_, &header, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0;
  if (datagram.whole) discover_path_mtu(IP_PMTUDISC_DONT);
  return sent;
}

}  // namespace esplane::net
