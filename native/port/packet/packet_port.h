// The fallback port over AF_PACKET (TPACKET_V3), for devices and kernels without AF_XDP.
//
// AF_PACKET is only a tap: the kernel goes on to handle each packet that it shows us. So a tcx
// program with the classification of the XDP one drops on ingress, behind the tap, what we take
// (Linux 6.6 and later). Where that cannot be had the port refuses to open: a packet would be
// handled twice, or leave in clear.
#pragma once

#include <memory>
#include <string>

#include "port/port.h"
#include "port/resources.h"

namespace esplane::port {

struct PacketPortOptions {
  std::string name;
  Role role = Role::kLan;
  std::string device;
  uint32_t queues = 0;  ///< sockets that share the traffic by flow; 0: 1
};

/// @param note  set to what the administrator should know
/// @throws std::system_error, std::runtime_error with what could not be had
std::unique_ptr<Port> open_packet_port(const PacketPortOptions& options, Resources& resources,
                                       std::string& note);

}  // namespace esplane::port
