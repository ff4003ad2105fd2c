#include "packet/selector.h"

#include <algorithm>

namespace esplane::packet {
namespace {

Match best(const IpHeader& packet, std::span<const Selector> side, const IpAddress& address,
           uint16_t port) {
  Match found = Match::kNo;
  for (const Selector& selector : side) {
    found = std::max(found, selector.matches(packet, address, port));
    if (found == Match::kYes) break;
  }
  return found;
}

bool is_v4_network(const Selector& s) {
  return s.start.is_v4() && s.protocol == 0 && s.any_port() && !(s.end < s.start);
}

}  // namespace

Ipv4Networks::Ipv4Networks(std::span<const Selector> source_side,
                           std::span<const Selector> destination_side) {
  if (source_side.size() != 1 || destination_side.size() != 1) return;
  const Selector& source = source_side[0];
  const Selector& destination = destination_side[0];
  if (!is_v4_network(source) || !is_v4_network(destination)) return;
  source_start_ = base::load_be32(source.start.bytes);
  source_span_ = base::load_be32(source.end.bytes) - source_start_;
  destination_start_ = base::load_be32(destination.start.bytes);
  destination_span_ = base::load_be32(destination.end.bytes) - destination_start_;
  usable_ = true;
}

Match match_pair(const IpHeader& packet, std::span<const Selector> source_side,
                 std::span<const Selector> destination_side) {
  const Match source = best(packet, source_side, packet.source, packet.source_port);
  if (source == Match::kNo) return Match::kNo;
  return std::min(source,
                  best(packet, destination_side, packet.destination, packet.destination_port));
}

}  // namespace esplane::packet
