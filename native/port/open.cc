#include "port/open.h"

#include <algorithm>
#include <stdexcept>

#include "port/memory/memory_port.h"
#include "port/packet/packet_port.h"
#include "port/pcap/pcap_port.h"
#include "port/xdp/xdp_port.h"

namespace esplane::port {
namespace {

OpenedPort open_xdp(const PortOptions& o, Resources& resources) {
  OpenedPort opened;
  opened.port = open_xdp_port(
      {o.name, o.role, o.device, o.queues, o.ring_entries}, resources, opened.note);
  return opened;
}

OpenedPort open_packet(const PortOptions& o, Resources& resources) {
  OpenedPort opened;
  opened.port = open_packet_port({o.name, o.role, o.device, o.queues}, resources, opened.note);
  return opened;
}

OpenedPort open_best(const PortOptions& o, Resources& resources) {
  std::string reason;
  try {
    return open_xdp(o, resources);
  } catch (const std::runtime_error& error) {  // std::system_error is one
    reason = error.what();
  }
  try {
    OpenedPort opened = open_packet(o, resources);
    opened.note = reason + (opened.note.empty() ? "" : "; " + opened.note);
    return opened;
  } catch (const std::runtime_error& error) {
    if (reason == error.what()) throw;
    throw std::runtime_error(reason + "; " + error.what());
  }
}

OpenedPort open_pcap(const PortOptions& o) {
  const size_t comma = o.device.find(',');
  const std::string to = comma == std::string::npos ? "" : o.device.substr(comma + 1);
  return {open_pcap_port(o.name, o.role, o.device.substr(0, comma), to), ""};
}

OpenedPort open_memory(const PortOptions& o) {
  if (o.link.empty()) throw std::invalid_argument(o.name + ": a memory port needs a link");
  const MemoryPortOptions options{
      .name = o.name, .role = o.role, .queues = std::max(1u, o.queues)};
  return {open_memory_port(o.link, options), ""};
}

}  // namespace

OpenedPort open_port(const PortOptions& options, Resources& resources) {
  switch (options.kind) {
    case Kind::kAuto: return open_best(options, resources);
    case Kind::kXdp: return open_xdp(options, resources);
    case Kind::kPacket: return open_packet(options, resources);
    case Kind::kMemory: return open_memory(options);
    case Kind::kPcap: return open_pcap(options);
  }
  __builtin_unreachable();
}

Kind parse_kind(const std::string& text) {
  if (text == "auto") return Kind::kAuto;
  if (text == "xdp") return Kind::kXdp;
  if (text == "packet") return Kind::kPacket;
  if (text == "memory") return Kind::kMemory;
  if (text == "pcap") return Kind::kPcap;
  throw std::invalid_argument("\"" + text + "\" is no kind of port");
}

}  // namespace esplane::port
