#include "port/open.h"

#include <stdexcept>

#include "port/memory/memory_port.h"
#include "port/pcap/pcap_port.h"
#include "port/xdp/xdp_port.h"

namespace esplane::port {

OpenedPort open_port(const PortOptions& options, Resources& resources) {
  OpenedPort opened;
  switch (options.kind) {
    case Kind::kAuto:
    case Kind::kXdp:
      opened.port = open_xdp_port({options.name, options.role, options.device, options.queues},
                                  resources, opened.note);
      break;
    case Kind::kPacket:
      throw std::runtime_error("TPACKET_V3 ports are not there yet");
    case Kind::kMemory:
      opened.port = open_memory_port(options.link, {.name = options.name,
                                                    .role = options.role,
                                                    .queues = options.queues ? options.queues : 1});
      break;
    case Kind::kPcap: {
      const size_t comma = options.device.find(',');
      opened.port = open_pcap_port(
          options.name, options.role, options.device.substr(0, comma),
          comma == std::string::npos ? std::string() : options.device.substr(comma + 1));
    }
  }
  return opened;
}

Kind parse_kind(const std::string& text) {
  if (text == "auto") return Kind::kAuto;
  if (text == "xdp") return Kind::kXdp;
  if (text == "packet") return Kind::kPacket;
  if (text == "memory") return Kind::kMemory;
  if (text == "pcap") return Kind::kPcap;
  throw std::invalid_argument("no such kind of port: " + text);
}

}  // namespace esplane::port
