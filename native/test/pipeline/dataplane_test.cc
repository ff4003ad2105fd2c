// Whole dataplanes with their threads: changes from other threads while packets flow. For the
// sanitizers as much as for the checks.
#include <doctest/doctest.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <thread>

#include "test/pipeline/gateways.h"
#include "test/pipeline/memory_host.h"

namespace {

using namespace esplane;
using pipeline::Dataplane;
using test::ended;
using test::gateway;
using test::Host;
using test::parameters;
using test::policy;
using test::Rig;

/// A few packets out, and what has come in.
void turn(Host& host) {
  host.send(16);
  host.receive();
}

}  // namespace

TEST_CASE("SAs, policies and networks change from several threads while packets flow") {
  auto a = gateway(1, "stress"), b = gateway(2, "stress");
  Host from("stress10.1.0.0/16"), to("stress10.2.0.0/16");
  a->set_spd(policy(1));
  b->set_spd(policy(2));
  a->start();
  b->start();

  std::atomic<bool> over{false};
  const auto install_and_remove = [&] {
    for (int i = 0; i < 150; i++) {
      const uint32_t at_a = a->allocate_spi(), at_b = b->allocate_spi();
      b->install(parameters(2, at_b, at_a), "tunnel");
      a->install(parameters(1, at_a, at_b), "tunnel");
      std::this_thread::sleep_for(std::chrono::microseconds(300));
      CHECK(a->counters(at_a).has_value());
      CHECK(a->remove(at_a));
      CHECK(b->remove(at_b));
      CHECK_FALSE(a->counters(at_a).has_value());
    }
  };
  std::thread first(install_and_remove), second(install_and_remove);
  std::thread policies([&] {
    for (int i = 0; !over; i++) {
      a->set_spd(i % 4 == 0 ? std::vector<spd::Entry>{} : policy(1));
      a->set_networks({port::Prefix::parse("192.0.2.1")}, {port::Prefix::parse("10.1.0.0/16")},
                      {port::Prefix::parse("10.2.0.0/16")});
      (void)a->ports();
      (void)ended(*a);
      std::this_thread::sleep_for(std::chrono::microseconds(500));
    }
  });
  std::thread traffic([&] {
    while (!over) {
      turn(from);
      to.receive();
    }
  });
  first.join();
  second.join();
  over = true;
  policies.join();
  traffic.join();

  // Afterwards the tunnel works, and every packet has ended under one name.
  const uint32_t at_a = a->allocate_spi(), at_b = b->allocate_spi();
  a->set_spd(policy(1));
  b->install(parameters(2, at_b, at_a), "tunnel");
  a->install(parameters(1, at_a, at_b), "tunnel");
  to.receive();
  to.received = 0;
  const auto soon = [](auto condition) {
    for (int i = 0; i < 5000 && !condition(); i++)
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    return condition();
  };
  CHECK(soon([&] {
    turn(from);
    to.receive();
    return to.received > 0;
  }));
  CHECK(soon([&] { return ended(*a) == from.sent; }));
  a->stop();
  b->stop();
}

TEST_CASE("a dataplane stops with packets in it, from any thread, and once") {
  auto a = gateway(1, "stop");
  Host from("stop10.1.0.0/16");
  a->set_spd(policy(1));
  a->start();
  const uint32_t spi = a->allocate_spi();
  a->install(parameters(1, spi, 0x2000), "tunnel");
  for (int i = 0; i < 20; i++) turn(from);
  std::thread other([&] { a->stop(); });
  a->stop();
  other.join();
  CHECK(a->stopped());
  CHECK_FALSE(a->counters(spi).has_value());  // its keys went with it
  CHECK_THROWS(a->allocate_spi());
  CHECK_THROWS(a->set_spd({}));
  CHECK(Dataplane::find(a->id()) == a);
  const uint32_t id = a->id();
  a.reset();
  CHECK(Dataplane::find(id) == nullptr);
}
