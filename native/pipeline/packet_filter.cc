#include "pipeline/packet_filter.h"

#include <algorithm>

#include "base/bytes.h"
#include "packet/ip.h"

namespace esplane::pipeline {
namespace {

constexpr uint16_t kNatTraversalPort = 4500;

struct Seen {
  packet::IpHeader header;
  bool has_spi = false;
  uint32_t spi = 0;
};

/// RFC 4303 §2, RFC 4302 §2, RFC 3948 §2.1: an SPI is never 0, where IKE has its marker.
void read_spi(const uint8_t* ip, uint32_t length, Seen& seen) {
  const auto& h = seen.header;
  if (h.is_fragment() && h.fragment_offset != 0) return;
  uint32_t at = h.header_bytes;
  if (h.protocol == packet::kAh) {
    at += 4;
  } else if (h.protocol == packet::kUdp && h.has_ports &&
             (h.source_port == kNatTraversalPort || h.destination_port == kNatTraversalPort)) {
    at += packet::kUdpHeaderBytes;
  } else if (h.protocol != packet::kEsp) {
    return;
  }
  if (at + 4 > length) return;
  seen.spi = base::load_be32(ip + at);
  seen.has_spi = seen.spi != 0;
}

bool lies_in(const FilterCondition& c, const packet::IpAddress& a) {
  return a.family == c.first.family && !(a < c.first) && !(c.last < a);
}

bool holds(const FilterCondition& c, const Seen& seen) {
  using Field = FilterCondition::Field;
  const auto& h = seen.header;
  switch (c.field) {
    case Field::kAddress:
      return lies_in(c, h.source) || lies_in(c, h.destination);
    case Field::kSource:
      return lies_in(c, h.source);
    case Field::kDestination:
      return lies_in(c, h.destination);
    case Field::kPort:
      return h.has_ports && (h.source_port == c.value || h.destination_port == c.value);
    case Field::kSourcePort:
      return h.has_ports && h.source_port == c.value;
    case Field::kDestinationPort:
      return h.has_ports && h.destination_port == c.value;
    case Field::kProtocol:
      return h.protocol == c.value;
    case Field::kFamily:
      return h.source.is_v4() == (c.value == 4);
    case Field::kSpi:
      return seen.has_spi && seen.spi == c.value;
  }
  __builtin_unreachable();
}

}  // namespace

bool PacketFilter::passes(const uint8_t* data, uint32_t length, uint32_t ip_at) const {
  if (any_.empty()) return true;
  if (length <= ip_at) return false;
  Seen seen;
  const uint8_t* ip = data + ip_at;
  if (packet::parse_ip(ip, length - ip_at, seen.header) != packet::Verdict::kPending) return false;
  read_spi(ip, length - ip_at, seen);
  return std::any_of(any_.begin(), any_.end(), [&](const All& all) {
    return std::all_of(all.begin(), all.end(), [&](const FilterCondition& c) {
      return holds(c, seen) != c.negated;
    });
  });
}

}  // namespace esplane::pipeline
