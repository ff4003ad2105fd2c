// What the ports of one dataplane share.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>

#include "port/umem.h"
#include "port/xdp/selection.h"

namespace esplane::port {

/// Handed to every port that is opened; must outlive them all.
struct Resources {
  Umem& umem;
  xdp::Selection& selection;
  /// Entries of each ring of a queue, a power of two. The kernel side of a queue holds up to this
  /// many of its worker's frames for receiving, and as many again while sending.
  uint32_t ring_entries = 1024;
  /// Microseconds for which a call may look for packets at the device itself, in place of
  /// interrupts; 0: interrupts. AF_XDP only.
  uint32_t busy_poll_us = 0;

  /// A ring size that leaves frames over in a pool: a lane serves one LAN and one WAN queue as a
  /// rule, and each may hold a ring of frames on its receive and on its transmit side.
  static uint32_t ring_entries_for(uint32_t frames, uint32_t queues = 2) {
    const uint32_t share = std::max(64u, frames / (2 * queues + 1));
    return std::clamp(std::bit_floor(share), 64u, 2048u);
  }
};

}  // namespace esplane::port
