// Ports that come and go while packets flow, in whole dataplanes over memory links.
#include <doctest/doctest.h>

#include <chrono>
#include <memory>
#include <string>
#include <thread>

#include "net/static_next_hops.h"
#include "pipeline/lane.h"
#include "test/pipeline/gateways.h"
#include "test/pipeline/memory_host.h"

namespace {

using namespace esplane;
using packet::Verdict;
using pipeline::Dataplane;
using test::address;
using test::gateway;
using test::Host;
using test::parameters;
using test::policy;
using test::Rig;
using Clock = std::chrono::steady_clock;

port::PortOptions wan(const std::string& link, uint32_t queues = 1) {
  return {.name = link, .role = port::Role::kWan, .kind = port::Kind::kMemory, .queues = queues,
          .link = link};
}

/// Leads to the peer, before all ports whose networks are wider.
pipeline::StaticPort leading_to(const char* network) {
  return {.networks = {*net::Prefix::parse(network)}};
}

/// Two gateways with a tunnel, and packets that go through it one way, a few at a time.
struct Traffic {
  std::shared_ptr<Dataplane> a = gateway(1, "ports"), b = gateway(2, "ports");
  Host from{"ports10.1.0.0/16"}, to{"ports10.2.0.0/16"};
  uint32_t spi;

  Traffic() {
    a->set_spd(policy(1));
    b->set_spd(policy(2));
    a->start();
    b->start();
    const uint32_t at_b = b->allocate_spi();
    spi = a->allocate_spi();
    b->install(parameters(2, at_b, spi), "tunnel");
    a->install(parameters(1, spi, at_b), "tunnel");
  }
  ~Traffic() {
    a->stop();
    b->stop();
  }

  void turn() {
    if (from.sent - to.received < 32) from.send();
    from.receive();
    to.receive();
  }
  template <typename Condition>
  bool until(Condition condition) {
    const auto end = Clock::now() + std::chrono::seconds(20);
    while (!condition() && Clock::now() < end) turn();
    return condition();
  }
  bool flows(uint64_t packets = 500) {
    return until([this, wanted = to.received + packets] { return to.received >= wanted; });
  }
  bool all_arrive() {
    const auto end = Clock::now() + std::chrono::seconds(5);
    while (to.received < from.sent && Clock::now() < end) {
      from.receive();
      to.receive();
    }
    return to.received == from.sent;
  }
  static uint64_t sent_by(const Dataplane& d, const std::string& port) {
    for (const auto& status : d.ports()) {
      if (status.name == port) return status.stats.tx;
    }
    return 0;
  }
};

}  // namespace

TEST_SUITE_BEGIN("concurrency");

TEST_CASE("ports come and go under traffic: no packet is lost, and no SA") {
  Traffic traffic;
  auto &a = traffic.a, &b = traffic.b;
  REQUIRE(traffic.flows());
  std::string before = "wan";
  for (int round = 0; round < 10; round++) {
    const std::string fresh = "ports-wan" + std::to_string(round);
    // The change is made by another thread, as a control plane does it, while packets flow.
    // In every other round the port before leads there until it goes.
    const bool leads_at_once = round % 2 == 0;
    const char* network = leads_at_once ? "192.0.2.0/28" : "192.0.2.0/27";
    std::thread addition([&] {
      b->add_port(wan(fresh), leading_to(network));
      a->add_port(wan(fresh), leading_to(network));
    });
    CHECK(traffic.flows());
    addition.join();
    // What has left by the port before must have come, since it goes with what it holds.
    REQUIRE(traffic.all_arrive());
    std::thread removal([&] {
      CHECK(a->remove_port(before));
      CHECK(b->remove_port(before));
    });
    if (leads_at_once) CHECK(traffic.flows());
    removal.join();
    REQUIRE(traffic.flows());
    CHECK(Traffic::sent_by(*a, fresh) > 0);
    CHECK(a->ports().size() == 2);
    before = fresh;
  }
  CHECK(traffic.all_arrive());
  CHECK(a->counters(traffic.spi).has_value());
  CHECK(a->counters(traffic.spi)->out_packets == traffic.from.sent);
}

TEST_CASE("a port that is removed leaves its number to the next one, of whatever role") {
  Traffic traffic;
  auto& a = *traffic.a;
  CHECK(a.add_port(wan("ports-third"), {}).number == 2);
  CHECK(a.remove_port("ports-third"));
  CHECK_FALSE(a.remove_port("ports-third"));
  port::PortOptions lan = wan("ports-fourth");
  lan.role = port::Role::kLan;
  CHECK(a.add_port(lan, leading_to("10.9.0.0/16")).number == 2);
  CHECK(a.ports()[2].role == port::Role::kLan);
  CHECK(traffic.flows());
}

TEST_SUITE_END();

TEST_CASE("a port that cannot be had changes nothing") {
  Traffic traffic;
  auto& a = *traffic.a;
  CHECK_THROWS_WITH(a.add_port(wan("wan"), {}), "there is a port wan already");
  const auto other_end = port::open_memory_port("ports-wide", {.name = "far", .queues = 2});
  CHECK_THROWS_AS(a.add_port(wan("ports-wide"), {}), std::invalid_argument);
  CHECK(a.ports().size() == 2);
  CHECK(traffic.flows());
  CHECK(traffic.all_arrive());
}

TEST_CASE("a port with fewer queues than there are lanes, and no other way to send, is refused") {
  auto a = gateway(1, "lanes", 2, 2);
  a->start();
  CHECK_THROWS_WITH(a->add_port(wan("lanes-narrow"), {}),
                    "port lanes-narrow has 1 queue(s), and cannot send beside them");
  CHECK(a->ports().size() == 2);
  CHECK(a->add_port(wan("lanes-wide", 4), {}).queues == 4);
  a->stop();
}

TEST_CASE("what waits in a port that goes is counted under that name, and its frames come back") {
  Rig rig;
  net::StaticNextHops hops({}, {});
  auto pool = std::make_unique<port::FramePool>(rig.umem, 0, Rig::kFrames);
  auto [near_end, far_end] = port::make_memory_pair({.name = "near"}, {.name = "far"});
  pipeline::Counters counters;
  pipeline::Helpers nobody;
  pipeline::Lane lane(0, 1, rig.shared, std::move(pool), hops);  // counts until its end
  lane.give_to(counters, nobody);
  lane.add_queue(0, port::Role::kLan, near_end->open_queue(0, lane.pool()));
  const auto far = far_end->open_queue(0, rig.far_pool);
  for (uint8_t i = 0; i < 100; i++) {
    uint8_t* data = rig.far_pool.get() + port::FramePool::kHeadroom;
    const uint32_t length = 60;
    REQUIRE(far->tx(&data, &length, 1) == 1);
  }
  auto queues = lane.take_queues(0);
  CHECK(queues.size() == 1);
  CHECK(counters.verdict[static_cast<uint32_t>(Verdict::kPortRemoved)].read() == 100);
  queues.clear();
  CHECK(lane.pool().available() == Rig::kFrames);
}
