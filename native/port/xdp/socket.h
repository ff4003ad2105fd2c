// An AF_XDP socket, bound to one queue of one interface, with rings of its own.
#pragma once

#include <cstdint>

#include "port/system.h"
#include "port/umem.h"
#include "port/xdp/ring.h"

namespace esplane::port::xdp {

class Socket {
 public:
  struct Options {
    int ifindex;
    uint32_t queue;
    uint32_t ring_entries;  ///< of each of the four rings
    /// A bound socket of the same interface whose registration of the Umem is shared; null: this
    /// one registers it. Not shared between interfaces: the kernel would force the first one's
    /// choice of copying or not on the others, so each interface registers the same memory.
    const Socket* sharing;
    uint32_t busy_poll_us = 0;  ///< SO_BUSY_POLL, preferred to interrupts; 0: off
  };

  /// Asks for neither copying nor zero copy, so that the kernel gives what the driver can do. A
  /// queue whose former owner is just going (EBUSY) is waited for, up to a second.
  /// @throws std::system_error naming the step that failed
  Socket(Umem& umem, const Options& options);

  int fd() const { return fd_.get(); }
  bool zero_copy() const { return zero_copy_; }
  /// Counters that the kernel keeps. @throws std::system_error
  xdp_statistics statistics() const;

 private:
  // Before the rings: they are unmapped first, then the socket is closed.
  Fd fd_;

 public:
  ProducerRing<uint64_t> fill;        ///< frames for the kernel to receive into
  ConsumerRing<xdp_desc> receive;     ///< packets
  ProducerRing<xdp_desc> transmit;    ///< packets to send
  ConsumerRing<uint64_t> completion;  ///< frames whose packets have left

 private:
  void register_memory(const Umem& umem);
  void make_rings(uint32_t entries);
  void prefer_busy_polling(uint32_t microseconds);
  void bind_to(const Options& options);

  bool zero_copy_ = false;
};

}  // namespace esplane::port::xdp
