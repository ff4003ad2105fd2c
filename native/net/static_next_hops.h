// Next hops for ports that no kernel knows: a list of prefixes per port, the longest match wins.
#pragma once

#include <vector>

#include "net/next_hop.h"

namespace esplane::net {

struct StaticRoute {
  Prefix prefix;
  NextHop hop;
};

class StaticNextHops final : public NextHopSource {
 public:
  /// @param routes          networks and our own addresses (Kind::kLocal, full-length prefixes)
  /// @param port_addresses  kPortAddress answers that every worker gets first
  StaticNextHops(std::vector<StaticRoute> routes, std::vector<Answer> port_addresses);

  /// Others from now on. No client asks meanwhile.
  void replace(std::vector<StaticRoute> routes, std::vector<Answer> port_addresses);

  std::unique_ptr<NextHopClient> connect(int wake_fd) override;
  void start() override {}
  void stop() override {}

 private:
  class Client;

  std::vector<StaticRoute> routes_;
  std::vector<Answer> port_addresses_;
  uint32_t generation_ = 0;
};

}  // namespace esplane::net
