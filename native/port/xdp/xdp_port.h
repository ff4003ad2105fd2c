// A port over AF_XDP: an XDP program that takes what is ours, and one socket per hardware queue.
#pragma once

#include <memory>
#include <string>

#include "port/port.h"
#include "port/resources.h"

namespace esplane::port {

struct XdpPortOptions {
  std::string name;
  Role role = Role::kLan;
  std::string device;
  uint32_t queues = 0;  ///< 0: all; otherwise the device must have exactly as many
  uint32_t ring_entries = 0;  ///< of each ring of a queue, a power of two; 0: as Resources have it
};

/// Attaches the role's program (native mode, else SKB mode) and binds a socket to every queue.
/// From here on the program takes what is ours; until open_queue() of its queue, what must not
/// leave in clear is dropped and the rest goes to the kernel.
/// @param note  set to why nothing better was had
/// @throws std::system_error, std::runtime_error with what could not be had in either mode
std::unique_ptr<Port> open_xdp_port(const XdpPortOptions& options, Resources& resources,
                                    std::string& note);

}  // namespace esplane::port
