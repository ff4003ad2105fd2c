#include "net/static_next_hops.h"

#include <algorithm>
#include <utility>

namespace esplane::net {
namespace {

std::vector<StaticRoute> longest_first(std::vector<StaticRoute> routes) {
  std::stable_sort(routes.begin(), routes.end(), [](const auto& a, const auto& b) {
    return a.prefix.bits > b.prefix.bits;
  });
  return routes;
}

}  // namespace

class StaticNextHops::Client final : public NextHopClient {
 public:
  explicit Client(const StaticNextHops& source) : source_(source) {}

  Asked ask(const IpAddress& destination, NextHop& now) override {
    now = {};
    for (const auto& route : source_.routes_) {
      if (!route.prefix.contains(destination)) continue;
      now = route.hop;
      break;
    }
    return Asked::kNow;
  }
  bool take(Answer& out) override {
    if (generation_ != source_.generation_) told_ = 0;
    generation_ = source_.generation_;
    if (told_ == source_.port_addresses_.size()) return false;
    out = source_.port_addresses_[told_++];
    return true;
  }
  uint32_t generation() const override { return source_.generation_; }

 private:
  const StaticNextHops& source_;
  uint32_t generation_ = 0;
  size_t told_ = 0;
};

StaticNextHops::StaticNextHops(std::vector<StaticRoute> routes, std::vector<Answer> port_addresses)
    : routes_(longest_first(std::move(routes))), port_addresses_(std::move(port_addresses)) {}

void StaticNextHops::replace(std::vector<StaticRoute> routes, std::vector<Answer> port_addresses) {
  routes_ = longest_first(std::move(routes));
  port_addresses_ = std::move(port_addresses);
  generation_++;
}

std::unique_ptr<NextHopClient> StaticNextHops::connect(int) {
  return std::make_unique<Client>(*this);
}

}  // namespace esplane::net
