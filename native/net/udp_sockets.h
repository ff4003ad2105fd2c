// The UDP sockets of one owner, by which every thread of the process sends.
//
// The owner opens, reads and closes them in its own thread. Others find the set by its number; what
// they send from an end that has no socket, not yet or not any more, is counted.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "net/udp_socket.h"

namespace esplane::net {

class UdpSockets {
 public:
  struct Counters {
    uint64_t sent = 0;
    uint64_t errors = 0;     ///< the kernel did not take it
    uint64_t no_socket = 0;  ///< nothing to send from
  };

  static std::shared_ptr<UdpSockets> create();
  /// @return none where the owner has let go of it, and so has everybody else
  static std::shared_ptr<UdpSockets> find(uint32_t id);

  uint32_t id() const { return id_; }

  /// Binds.
  /// @param buffer_bytes  what the kernel may hold for us
  /// @return valid until it is closed
  /// @throws std::system_error with the errno of what failed
  UdpSocket& open(const Endpoint& local, int buffer_bytes);
  /// Waits for who is sending by `send`. In the owner's thread, so that the owner may use a socket
  /// without the lock.
  void close(const UdpSocket& socket);

  /// In any thread; does not wait for the network.
  /// @return false where it could not be sent, which is counted
  bool send(const Endpoint& local, const Outgoing& datagram);

  /// What was sent by `send`, in all threads.
  Counters counters() const;

 private:
  struct Bound {
    Endpoint local;
    std::unique_ptr<UdpSocket> socket;
  };

  explicit UdpSockets(uint32_t id) : id_(id) {}
  UdpSocket* find_socket(const Endpoint& local) const;

  const uint32_t id_;
  /// One sends at a time: it takes microseconds, and may change the socket's options for a moment.
  mutable std::mutex mutex_;
  /// Two of each address.
  std::vector<Bound> bound_;
  Counters counters_;
};

}  // namespace esplane::net
