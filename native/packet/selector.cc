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

}  // namespace

Match match_pair(const IpHeader& packet, std::span<const Selector> source_side,
                 std::span<const Selector> destination_side) {
  const Match source = best(packet, source_side, packet.source, packet.source_port);
  if (source == Match::kNo) return Match::kNo;
  return std::min(source,
                  best(packet, destination_side, packet.destination, packet.destination_port));
}

}  // namespace esplane::packet
