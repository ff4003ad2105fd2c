// Which packets a capture or a trace is about: those of some places, under conditions on the headers
// of an IP packet, as any of several lists that hold as a whole. The language that people write,
// src/watch/filter.ts brings into this form.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "packet/address.h"
#include "spd/spd.h"

namespace esplane::pipeline {

struct FilterCondition {
  enum class Field : uint8_t {
    kAddress,          ///< either address lies from `first` to `last`
    kSource,
    kDestination,
    kPort,             ///< either port is `value`
    kSourcePort,
    kDestinationPort,
    kProtocol,         ///< of the upper layer, behind IPv6 extension headers
    kFamily,           ///< 4 or 6
    kSpi,              ///< of ESP, ESP in UDP, and AH
  };
  Field field;
  bool negated = false;
  packet::IpAddress first, last;
  uint32_t value = 0;
};

class PacketFilter {
 public:
  using All = std::vector<FilterCondition>;

  /// @param any  a packet passes where every condition of one of them holds; none: every packet
  explicit PacketFilter(std::vector<All> any) : any_(std::move(any)) {}

  static constexpr uint32_t kEthernetBytes = 14;

  /// @param ip_at  bytes before its IP header: an Ethernet header, or none
  /// What is no IP packet, or a malformed one, passes an empty filter only.
  bool passes(const uint8_t* data, uint32_t length, uint32_t ip_at = kEthernetBytes) const;

 private:
  std::vector<All> any_;
};

/// At ports, and at the TUNs by which tunnels and the host are joined: packets there have no
/// Ethernet header.
struct WatchedPackets {
  PacketFilter filter{{}};      ///< at ports
  PacketFilter tun_filter{{}};  ///< at TUNs
  std::optional<std::vector<spd::Scope>> scopes;  ///< TUNs of these only; none: of every scope

  bool covers_tun(spd::Scope scope) const {
    return !scopes || std::find(scopes->begin(), scopes->end(), scope) != scopes->end();
  }
};

}  // namespace esplane::pipeline
