// rtnetlink in the little that next hops need: build a request, send it, read answers and
// notifications with every length checked.
#pragma once

#include <linux/netlink.h>
#include <linux/rtnetlink.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <span>

namespace esplane::net {

/// A request under construction. Attributes never exceed the buffer: what we send is small.
class NetlinkRequest {
 public:
  NetlinkRequest(uint16_t type, uint16_t flags) {
    header()->nlmsg_type = type;
    header()->nlmsg_flags = static_cast<uint16_t>(NLM_F_REQUEST | flags);
    header()->nlmsg_len = NLMSG_LENGTH(0);
  }

  /// Appends the fixed header of the message family, such as rtmsg or ndmsg.
  template <typename T>
  void fixed(const T& value) {
    std::memcpy(buffer_ + header()->nlmsg_len, &value, sizeof value);
    header()->nlmsg_len = static_cast<uint32_t>(header()->nlmsg_len + NLMSG_ALIGN(sizeof value));
  }
  void attribute(uint16_t type, std::span<const uint8_t> value) {
    rtattr a{.rta_len = static_cast<uint16_t>(RTA_LENGTH(value.size())), .rta_type = type};
    uint8_t* at = buffer_ + header()->nlmsg_len;
    std::memcpy(at, &a, sizeof a);
    std::memcpy(at + RTA_LENGTH(0), value.data(), value.size());
    header()->nlmsg_len = static_cast<uint32_t>(header()->nlmsg_len + RTA_SPACE(value.size()));
  }
  nlmsghdr* header() { return reinterpret_cast<nlmsghdr*>(buffer_); }

 private:
  alignas(NLMSG_ALIGNTO) uint8_t buffer_[256] = {};
};

/// The attributes of a message by type; empty where absent.
class NetlinkAttributes {
 public:
  /// @param body  what follows the fixed header
  explicit NetlinkAttributes(std::span<const uint8_t> body);
  std::span<const uint8_t> operator[](uint16_t type) const {
    return type < kTypes ? attribute_[type] : std::span<const uint8_t>{};
  }
  /// A 32-bit value in host order, or `otherwise`.
  uint32_t u32(uint16_t type, uint32_t otherwise) const;

 private:
  static constexpr uint16_t kTypes = 64;
  std::span<const uint8_t> attribute_[kTypes];
};

/// What follows the fixed header T of a message; empty if it is too short for one.
template <typename T>
std::span<const uint8_t> netlink_body(const nlmsghdr& message) {
  const size_t skip = NLMSG_ALIGN(sizeof(nlmsghdr)) + NLMSG_ALIGN(sizeof(T));
  if (message.nlmsg_len < skip) return {};
  return {reinterpret_cast<const uint8_t*>(&message) + skip, message.nlmsg_len - skip};
}

/// The fixed header of a message, zeros if it is too short for one.
template <typename T>
T netlink_fixed(const nlmsghdr& message) {
  T value{};
  if (message.nlmsg_len >= NLMSG_LENGTH(sizeof value)) std::memcpy(&value, NLMSG_DATA(&message), sizeof value);
  return value;
}

class NetlinkSocket {
 public:
  /// @param groups  RTNLGRP_* to hear notifications of
  /// @throws std::system_error
  explicit NetlinkSocket(std::span<const int> groups = {});
  ~NetlinkSocket();
  NetlinkSocket(const NetlinkSocket&) = delete;
  NetlinkSocket& operator=(const NetlinkSocket&) = delete;

  using Handler = std::function<void(const nlmsghdr&)>;

  /// Sends and reads until the acknowledgement, an error, or the end of a dump.
  /// @return 0 or a negative errno, the kernel's or our own
  int request(NetlinkRequest& message, const Handler& each);

  /// Reads what waits, without blocking.
  /// @return false if the kernel dropped notifications (ENOBUFS): all that was known may be stale
  bool drain(const Handler& each);

  int fd() const { return fd_; }

 private:
  int fd_;
  uint32_t sequence_ = 0;
};

}  // namespace esplane::net
