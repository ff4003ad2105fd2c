// Opens a port of any kind, and says what was had and why nothing better.
#pragma once

#include <memory>
#include <string>

#include "port/port.h"
#include "port/resources.h"

namespace esplane::port {

enum class Kind : uint8_t { kAuto, kXdp, kPacket, kMemory, kPcap };

struct PortOptions {
  std::string name;
  Role role = Role::kLan;
  Kind kind = Kind::kAuto;
  std::string device;   ///< interface; for pcap the file to read and, behind a comma, to write
  uint32_t queues = 0;  ///< 0: all that the device has (memory and pcap: 1)
  std::string link;     ///< memory: the two ports with the same link are the ends of one wire
  /// AF_XDP: entries of each ring of a queue, a power of two; 0: as Resources have it.
  uint32_t ring_entries = 0;
};

struct OpenedPort {
  std::unique_ptr<Port> port;
  /// Why nothing better was had, or what the administrator should know; empty where nothing.
  std::string note;
};

/// Opens a port. `kAuto` tries AF_XDP in native mode, AF_XDP in SKB mode, then TPACKET_V3.
/// @throws std::system_error, std::runtime_error, std::invalid_argument with every reason
OpenedPort open_port(const PortOptions& options, Resources& resources);

/// "auto", "xdp", "packet", "memory", "pcap". @throws std::invalid_argument
Kind parse_kind(const std::string& text);

}  // namespace esplane::port
