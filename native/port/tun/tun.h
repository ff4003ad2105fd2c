// The re-injection TUN: IP packets that we took and that are the kernel's after all enter it here.
//
// Not persistent: the interface goes away with the process.
#pragma once

#include <cstdint>
#include <string>

#include "port/system.h"

namespace esplane::port {

class Tun {
 public:
  /// Makes the interface and brings it up, its reverse path filter off: what is re-injected
  /// arrives with sources that are reached elsewhere. Where the host filters on all interfaces
  /// the TUN filters loosely, which needs the dummy address 192.0.0.8 on it; it has none else.
  /// @param name  interface name of at most 15 characters; "%d" in it is numbered by the kernel
  /// @throws std::system_error naming the step that failed
  explicit Tun(const std::string& name, uint32_t mtu_bytes = 1500);
  ~Tun();
  Tun(const Tun&) = delete;
  Tun& operator=(const Tun&) = delete;

  const std::string& name() const { return name_; }
  int ifindex() const { return ifindex_; }
  /// What the administrator should know, such as a reverse path filter that could not be switched
  /// off; empty where nothing.
  const std::string& note() const { return note_; }

  /// Hands one IP packet to the kernel. Any thread; never blocks.
  /// @return false where the kernel refused it
  bool write(const uint8_t* packet, uint32_t bytes);

  /// Takes one IP packet that the kernel routed into the TUN.
  /// @return its length, 0 where none waits
  uint32_t read(uint8_t* packet, uint32_t capacity);

  /// Readable when read() has a packet.
  int poll_fd() const { return fd_.get(); }

 private:
  Fd fd_;
  std::string name_;
  std::string note_;
  int ifindex_ = 0;
};

}  // namespace esplane::port
