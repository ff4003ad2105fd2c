#include "net/netlink.h"

#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

namespace esplane::net {
namespace {

constexpr size_t kReceiveBytes = 32768;

/// Calls `each` for every whole message in a datagram until it returns false.
template <typename Each>
void each_message(const uint8_t* data, size_t bytes, Each each) {
  while (bytes >= sizeof(nlmsghdr)) {
    const auto* message = reinterpret_cast<const nlmsghdr*>(data);
    if (message->nlmsg_len < sizeof(nlmsghdr) || message->nlmsg_len > bytes) return;
    if (!each(*message)) return;
    const size_t step = NLMSG_ALIGN(message->nlmsg_len);
    if (step >= bytes) return;
    data += step;
    bytes -= step;
  }
}

}  // namespace

NetlinkAttributes::NetlinkAttributes(std::span<const uint8_t> body) {
  while (body.size() >= sizeof(rtattr)) {
    rtattr a;
    std::memcpy(&a, body.data(), sizeof a);
    if (a.rta_len < sizeof a || a.rta_len > body.size()) return;
    const uint16_t type = a.rta_type & NLA_TYPE_MASK;
    if (type < kTypes) attribute_[type] = body.subspan(RTA_LENGTH(0), a.rta_len - RTA_LENGTH(0));
    const size_t step = RTA_ALIGN(a.rta_len);
    if (step >= body.size()) return;
    body = body.subspan(step);
  }
}

uint32_t NetlinkAttributes::u32(uint16_t type, uint32_t otherwise) const {
  const auto value = (*this)[type];
  if (value.size() < sizeof otherwise) return otherwise;
  std::memcpy(&otherwise, value.data(), sizeof otherwise);
  return otherwise;
}

NetlinkSocket::NetlinkSocket(std::span<const int> groups)
    : fd_(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE)) {
  const auto fail = [this](const char* what) {
    const int error = errno;
    if (fd_ >= 0) close(fd_);
    throw std::system_error(error, std::generic_category(), what);
  };
  if (fd_ < 0) fail("cannot open an rtnetlink socket");
  sockaddr_nl address{};
  address.nl_family = AF_NETLINK;
  if (bind(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address) < 0) fail("netlink bind");
  for (const int group : groups) {
    if (setsockopt(fd_, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof group) < 0)
      fail("cannot join an rtnetlink group");
  }
  const timeval patience{.tv_sec = 0, .tv_usec = 500'000};
  setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  const int receive_bytes = 1 << 20;
  setsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &receive_bytes, sizeof receive_bytes);
}

NetlinkSocket::~NetlinkSocket() { close(fd_); }

int NetlinkSocket::request(NetlinkRequest& message, const Handler& each) {
  nlmsghdr* header = message.header();
  const bool dump = (header->nlmsg_flags & NLM_F_DUMP) == NLM_F_DUMP;
  if (!dump) header->nlmsg_flags |= NLM_F_ACK;
  header->nlmsg_seq = ++sequence_;
  if (send(fd_, header, header->nlmsg_len, 0) < 0) return -errno;

  alignas(NLMSG_ALIGNTO) uint8_t buffer[kReceiveBytes];
  for (;;) {
    const ssize_t got = recv(fd_, buffer, sizeof buffer, 0);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return -errno;
    int result = 1;  // 1: more to read
    each_message(buffer, static_cast<size_t>(got), [&](const nlmsghdr& m) {
      if (m.nlmsg_seq != sequence_) return true;  // an answer that came after our patience
      if (m.nlmsg_type == NLMSG_DONE) {
        result = 0;
      } else if (m.nlmsg_type == NLMSG_ERROR) {
        result = netlink_fixed<nlmsgerr>(m).error;
      } else {
        each(m);
        return true;
      }
      return false;
    });
    if (result <= 0) return result;
  }
}

bool NetlinkSocket::drain(const Handler& each) {
  alignas(NLMSG_ALIGNTO) uint8_t buffer[kReceiveBytes];
  bool complete = true;
  for (;;) {
    const ssize_t got = recv(fd_, buffer, sizeof buffer, MSG_DONTWAIT);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno == ENOBUFS) {
      complete = false;
      continue;
    }
    if (got <= 0) return complete;
    each_message(buffer, static_cast<size_t>(got), [&](const nlmsghdr& m) {
      each(m);
      return true;
    });
  }
}

}  // namespace esplane::net
