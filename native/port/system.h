// Descriptors, error texts and interface ioctls that the ports share.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <utility>

namespace esplane::port {

/// A file descriptor that is closed with its owner.
class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) {}
  ~Fd() { reset(); }
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    if (this != &other) {
      reset();
      fd_ = std::exchange(other.fd_, -1);
    }
    return *this;
  }
  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }
  void reset();

 private:
  int fd_ = -1;
};

/// The capabilities that port set-up needs and this thread lacks, such as
/// "CAP_NET_RAW, CAP_BPF"; empty where none is missing.
/// @param among  looked at are only those of this mask of 1 << CAP_...
std::string missing_capabilities(uint64_t among = ~uint64_t{0});

/// Throws a std::system_error for `error` (an errno) that says what was tried and, where the
/// kernel denied it, which capabilities are missing that would have allowed it.
[[noreturn]] void throw_errno(int error, const std::string& what);

/// What a port knows of its interface.
struct InterfaceInfo {
  int index;
  std::array<uint8_t, 6> mac;
  uint32_t mtu_bytes;
  uint32_t rx_queues;  ///< channels that receive: combined and rx only
  bool up;

  /// Reads anew what may change while a port has the interface: all but its index and queues.
  /// @throws std::system_error where it is not there any more
  void refresh(const std::string& device);
};

/// @throws std::system_error where there is no such interface, std::runtime_error where it is no
///         Ethernet interface
InterfaceInfo query_interface(const std::string& device);

}  // namespace esplane::port
