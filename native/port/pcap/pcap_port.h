// A port over capture files: receives the packets of one file, sends into another.
#pragma once

#include <memory>
#include <string>

#include "port/port.h"

namespace esplane::port {

/// Opens a port with one queue.
/// @param read_path   capture to receive from, checked as a whole here; empty: nothing arrives
/// @param write_path  capture to write what is sent to, nanosecond timestamps; empty: discarded
/// @throws std::runtime_error naming file, record and offset of what is malformed,
///         std::system_error where a file cannot be opened
std::unique_ptr<Port> open_pcap_port(const std::string& name, Role role,
                                     const std::string& read_path, const std::string& write_path);

}  // namespace esplane::port
