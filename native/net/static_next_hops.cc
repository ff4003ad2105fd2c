#include "net/static_next_hops.h"

#include <algorithm>
#include <utility>

#include "base/spsc_ring.h"

namespace esplane::net {
namespace {

class StaticClient final : public NextHopClient {
 public:
  StaticClient(const std::vector<StaticRoute>& routes, const std::vector<Answer>& port_addresses)
      : routes_(routes) {
    for (const auto& a : port_addresses) answers_.push(a);
  }

  bool ask(const Address& destination) override {
    Answer answer{.address = destination};
    for (const auto& route : routes_) {
      if (!route.prefix.contains(destination)) continue;
      answer.hop = route.hop;
      break;
    }
    return answers_.push(answer);
  }
  bool take(Answer& out) override { return answers_.pop(out); }
  uint32_t generation() const override { return 0; }

 private:
  const std::vector<StaticRoute>& routes_;
  base::SpscRing<Answer> answers_{1024};
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
