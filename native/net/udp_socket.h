// A UDP socket that is read in batches (recvmmsg(2)): one wake-up and one system call for up to 64
// datagrams.
//
// What is sent may be cut on the way, unless the sender says otherwise: an IKE_SA_INIT with large
// key exchanges has no other way over a narrow path, and ICMP may never come back.
//
// Left out: link-local addresses, which need an interface beside them.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <cstdint>
#include <memory>
#include <span>

#include "packet/address.h"

namespace esplane::net {

/// An end of UDP.
struct Endpoint {
  packet::IpAddress address;
  uint16_t port = 0;
  bool operator==(const Endpoint&) const = default;
};

/// A datagram to be sent.
struct Outgoing {
  Endpoint to;
  std::span<const uint8_t> data;
  /// Behind the non-ESP marker (RFC 3948 §2.2).
  bool marked = false;
  /// With DF, whatever is known of the path; over IPv6 the host does not cut it.
  bool whole = false;
};

/// Datagrams that were received; their octets are good until the next `receive`.
class DatagramBatch {
 public:
  static constexpr uint32_t kMost = 64;
  /// As long as UDP can be, so that nothing is cut.
  static constexpr size_t kDatagramBytes = 65'536;

  DatagramBatch();

  std::span<const uint8_t> data(uint32_t i) const {
    return {&memory_[i * kDatagramBytes], headers_[i].msg_len};
  }
  Endpoint source(uint32_t i) const;

 private:
  friend class UdpSocket;
  /// Its pages are the kernel's to give when a datagram reaches them.
  std::unique_ptr<uint8_t[]> memory_;
  std::array<mmsghdr, kMost> headers_{};
  std::array<iovec, kMost> vectors_{};
  std::array<sockaddr_in6, kMost> sources_{};
};

class UdpSocket {
 public:
  /// Binds; nobody else can have the same address and port.
  /// @param buffer_bytes  what the kernel may hold for us; less where we may not have so much
  /// @throws std::system_error with the errno of what failed
  UdpSocket(const Endpoint& local, int buffer_bytes);
  ~UdpSocket();
  UdpSocket(const UdpSocket&) = delete;
  UdpSocket& operator=(const UdpSocket&) = delete;

  int descriptor() const { return fd_; }
  /// The port that it is bound to.
  uint16_t port() const;
  /// Datagrams that came while there was no room for them (SO_MEMINFO), modulo 2^32.
  uint32_t drops() const;

  /// Takes what is there and does not wait.
  /// @return datagrams in the batch, none after an error
  uint32_t receive(DatagramBatch& batch);
  /// In any thread; what others send beside a whole datagram may have DF too.
  /// @return false where it could not be sent
  bool send(const Outgoing& datagram);

 private:
  /// @param discovery  IP_PMTUDISC_*, which IPv6 numbers in the same way
  /// @return 0, or -1 with errno set
  int discover_path_mtu(int discovery);

  int fd_;
  bool v6_;
};

}  // namespace esplane::net
