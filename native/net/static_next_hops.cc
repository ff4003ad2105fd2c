#include "net/static_next_hops.h"

#include <algorithm>
#include <utility>

namespace esplane::net {
namespace {

class StaticClient final : public NextHopClient {
 public:
  StaticClient(const std::vector<StaticRoute>& routes, const std::vector<Answer>& port_addresses)
      : routes_(routes), port_addresses_(port_addresses) {}

  Asked ask(const IpAddress& destination, NextHop& now) override {
    now = {};
    for (const auto& route : routes_) {
      if (!route.prefix.contains(destination)) continue;
      now = route.hop;
      break;
    }
    return Asked::kNow;
  }
  bool take(Answer& out) override {
    if (told_ == port_addresses_.size()) return false;
    out = port_addresses_[told_++];
    return true;
  }
  uint32_t generation() const override { return 0; }

 private:
  const std::vector<StaticRoute>& routes_;
  const std::vector<Answer>& port_addresses_;
  size_t told_ = 0;
};

std::vector<StaticRoute> longest_first(std::vector<StaticRoute> routes) {
  std::stable_sort(routes.begin(), routes.end(), [](const auto& a, const auto& b) {
    return a.prefix.bits > b.prefix.bits;
  });
  return routes;
}

}  // namespace

StaticNextHops::StaticNextHops(std::vector<StaticRoute> routes, std::vector<Answer> port_addresses)
    : routes_(longest_first(std::move(routes))), port_addresses_(std::move(port_addresses)) {}

std::unique_ptr<NextHopClient> StaticNextHops::connect(int) {
  return std::make_unique<StaticClient>(routes_, port_addresses_);
}

}  // namespace esplane::net
