// Workers that share the packets of one queue, in whole dataplanes: a host, a gateway, a wire that
// loses packets, a gateway, a host. What arrives is in order, and everything is counted.
#include <doctest/doctest.h>

#include <atomic>
#include <chrono>
#include <random>
#include <set>
#include <thread>

#include "test/pipeline/gateways.h"

namespace {

using namespace esplane;
using packet::Verdict;
using pipeline::Dataplane;
using test::ended;
using test::gateway;
using test::parameters;
using test::Rig;
using Clock = std::chrono::steady_clock;

constexpr uint32_t kFlows = 8;
constexpr uint32_t kFrames = 2048;

/// The far end of a memory link with all its queues, on the thread of the test.
struct FarEnd {
  port::Umem umem{kFrames, 2048};
  port::FramePool pool{umem, 0, kFrames};
  std::unique_ptr<port::Port> port;
  std::vector<std::unique_ptr<port::Queue>> queues;

  FarEnd(const std::string& link, uint32_t count)
      : port(port::open_memory_port(link, {.name = "far", .queues = count})) {
    for (uint32_t q = 0; q < count; q++) queues.push_back(port->open_queue(q, pool));
  }
  ~FarEnd() { queues.clear(); }

  bool send(uint32_t q, const uint8_t* frame, uint32_t bytes) {
    uint8_t* data = pool.get();
    if (data == nullptr) return false;
    data += port::FramePool::kHeadroom;
    std::memcpy(data, frame, bytes);
    if (queues[q]->tx(&data, &bytes, 1) == 1) return true;
    pool.put(data);
    return false;
  }
  /// Calls `each(data, length)` for every frame that waits on queue q.
  template <typename Each>
  void receive(uint32_t q, Each each) {
    packet::Batch batch;
    batch.chunk_bytes = 2048;
    while (batch.clear(), queues[q]->rx(batch, packet::Batch::kCapacity) > 0) {
      for (uint32_t i = 0; i < batch.size; i++) {
        each(batch.data[i], batch.length[i]);
        pool.put(batch.data[i]);
      }
    }
    queues[q]->flush();
  }
};

struct Scene {
  const uint32_t queues;
  const uint32_t percent_lost;
  std::shared_ptr<Dataplane> a, b;
  FarEnd host_a, wan_a, wan_b, host_b;
  std::mt19937 random{7};

  uint64_t sent = 0, lost = 0, crossed = 0, received = 0;
  uint32_t out_of_order = 0;        // within a flow, at the second host
  uint32_t esp_out_of_order = 0;    // within an SA, on the wire
  uint32_t next_of[kFlows] = {};    // number of the next packet that a flow sends
  uint32_t last_of[kFlows] = {};    // last that arrived
  uint32_t last_spi = 0, last_sequence = 0;

  Scene(const std::string& name, uint32_t workers, uint32_t with_queues, uint32_t losing = 0)
      : queues(with_queues),
        percent_lost(losing),
        a(gateway(1, name + "a", workers, queues, 4096)),
        b(gateway(2, name + "b", workers, queues, 4096)),
        host_a(name + "a10.1.0.0/16", queues),
        wan_a(name + "a", queues),
        wan_b(name + "b", queues),
        host_b(name + "b10.2.0.0/16", queues) {
    a->set_spd(test::policy(1));
    b->set_spd(test::policy(2));
    a->start();
    b->start();
  }

  /// A new pair of SAs at both gateways. @return inbound SPIs at a and b
  std::pair<uint32_t, uint32_t> install(uint32_t window, const spd::Part& part = {}) {
    const uint32_t at_a = a->allocate_spi(), at_b = b->allocate_spi();
    auto mine = parameters(1, at_a, at_b), theirs = parameters(2, at_b, at_a);
    mine.replay_window = theirs.replay_window = window;
    b->install(theirs, "tunnel", part);
    a->install(mine, "tunnel", part);
    return {at_a, at_b};
  }

  uint64_t under_way() const { return sent - lost - received; }

  void send(uint32_t flow, uint32_t inner_bytes) {
    const std::string from = "10.1.0." + std::to_string(flow + 1);
    std::vector<uint8_t> frame(14);
    frame[12] = 8;
    const auto packet = Rig::ipv4(from.c_str(), "10.2.0.7", static_cast<uint8_t>(flow), inner_bytes);
    frame.insert(frame.end(), packet.begin(), packet.end());
    base::store_be32(&frame[14 + 24], next_of[flow] + 1);
    if (!host_a.send(flow % queues, frame.data(), static_cast<uint32_t>(frame.size()))) return;
    next_of[flow]++;
    sent++;
  }

  void carry() {
    for (uint32_t q = 0; q < queues; q++) {
      wan_a.receive(q, [&](const uint8_t* frame, uint32_t bytes) {
        const uint32_t spi = base::load_be32(frame + 34);
        const uint32_t sequence = base::load_be32(frame + 38);
        esp_out_of_order += spi == last_spi && sequence <= last_sequence;
        last_spi = spi;
        last_sequence = sequence;
        if (random() % 100 < percent_lost || !wan_b.send(q, frame, bytes)) {
          lost++;
        } else {
          crossed++;
        }
      });
      wan_b.queues[q]->flush();
    }
  }

  void take() {
    for (uint32_t q = 0; q < queues; q++) {
      host_b.receive(q, [&](const uint8_t* frame, uint32_t) {
        const uint32_t flow = frame[14 + 20], number = base::load_be32(frame + 14 + 24);
        out_of_order += flow >= kFlows || number <= last_of[flow % kFlows];
        last_of[flow % kFlows] = number;
        received++;
      });
    }
  }

  /// Sends until so many are under way, in one go so that bursts come full, and moves the rest on.
  void turn(uint32_t most = 512, uint32_t inner_bytes = 400) {
    if (under_way() + 256 <= most) {
      for (uint32_t i = 0; i < 256; i++) send(static_cast<uint32_t>(random() % kFlows), inner_bytes);
      for (auto& queue : host_a.queues) queue->flush();
    }
    carry();
    take();
  }

  /// Until nothing is under way. @return false if that takes too long
  bool settle() {
    const auto until = Clock::now() + std::chrono::seconds(20);
    while (under_way() > 0 && Clock::now() < until) {
      carry();
      take();
    }
    return under_way() == 0;
  }
};

uint64_t helped(const Dataplane& d) {
  uint64_t sum = 0;
  d.each_worker([&](const pipeline::Counters& c) { sum += c.helped_bursts.read(); });
  return sum;
}

uint64_t count(const Dataplane& d, Verdict v) {
  uint64_t sum = 0;
  d.each_worker([&](const pipeline::Counters& c) { sum += c.verdict[static_cast<int>(v)].read(); });
  return sum;
}

uint64_t total(const Dataplane& d, pipeline::Counter pipeline::Counters::*counter) {
  uint64_t sum = 0;
  d.each_worker([&](const pipeline::Counters& c) { sum += (c.*counter).read(); });
  return sum;
}

template <typename Condition>
bool soon(Condition condition) {
  const auto until = Clock::now() + std::chrono::seconds(20);
  while (!condition() && Clock::now() < until) std::this_thread::yield();
  return condition();
}

}  // namespace

TEST_SUITE_BEGIN("concurrency");

TEST_CASE("two workers on one queue: small windows refuse nothing though packets are lost") {
  for (const uint32_t window : {32u, 64u}) {
    CAPTURE(window);
    Scene scene("share" + std::to_string(window), 2, 1, 5);
    const auto [at_a, at_b] = scene.install(window);
    const auto until = Clock::now() + std::chrono::seconds(20);
    while (Clock::now() < until &&
           (scene.sent < 20'000 || helped(*scene.a) < 20 || helped(*scene.b) < 20)) {
      scene.turn();
    }
    REQUIRE(scene.settle());
    CHECK(helped(*scene.a) >= 20);
    CHECK(helped(*scene.b) >= 20);
    CHECK(scene.lost > 0);
    CHECK(scene.out_of_order == 0);
    CHECK(scene.esp_out_of_order == 0);
    CHECK(scene.received == scene.sent - scene.lost);

    CHECK(soon([&] { return ended(*scene.b) == scene.crossed; }));
    CHECK(count(*scene.a, Verdict::kSent) == scene.sent);
    CHECK(count(*scene.b, Verdict::kSent) == scene.crossed);
    const auto sender = *scene.a->counters(at_a), receiver = *scene.b->counters(at_b);
    CHECK(sender.out_packets == scene.sent);
    CHECK(sender.out_bytes == scene.sent * 400);
    CHECK(sender.out_sequence == scene.sent + 1);
    CHECK(receiver.in_packets == scene.crossed);
    CHECK(receiver.in_bytes == scene.crossed * 400);
    for (const uint64_t refused : receiver.refused) CHECK(refused == 0);
    CHECK(total(*scene.a, &pipeline::Counters::esp_out_packets) == scene.sent);
    CHECK(total(*scene.b, &pipeline::Counters::esp_in_packets) == scene.crossed);
  }
}

TEST_CASE("three workers, two of them with queues, send and receive on one SA") {
  Scene scene("three", 3, 2);
  const auto [at_a, at_b] = scene.install(4096);
  while (scene.sent < 20'000) scene.turn();
  REQUIRE(scene.settle());
  CHECK(scene.lost == 0);
  CHECK(scene.out_of_order == 0);
  CHECK(soon([&] { return ended(*scene.b) == scene.sent; }));
  CHECK(scene.a->counters(at_a)->out_sequence == scene.sent + 1);
  CHECK(scene.b->counters(at_b)->in_packets == scene.sent);
  CHECK(count(*scene.b, Verdict::kSent) == scene.sent);
}

TEST_CASE("each lane sends on its own SA, asks for one while it has none, and loses nothing") {
  Scene scene("own", 2, 2);
  const auto sent_on = [&](uint32_t spi) { return scene.a->counters(spi)->out_packets; };
  const auto traffic = [&](uint32_t packets) {
    const uint64_t until = scene.sent + packets;
    while (scene.sent < until) scene.turn(1024);
    REQUIRE(scene.settle());
  };
  REQUIRE(scene.a->resources() == 2);
  const auto [for_all, for_all_b] = scene.install(4096, {.asks = true});
  traffic(4000);
  CHECK(sent_on(for_all) == scene.sent);
  std::set<uint16_t> asked;
  pipeline::Event event;
  while (scene.a->events().pop(event)) {
    CHECK(event.kind == pipeline::Event::Kind::kAcquire);
    CHECK(std::string(event.policy) == "tunnel");
    CHECK(asked.insert(event.resource).second);  // once in a while, not for each packet
  }
  CHECK(asked == std::set<uint16_t>{0, 1});

  const uint32_t lane0 = scene.install(4096, {.resource = 0}).first;
  const uint32_t lane1 = scene.install(4096, {.resource = 1}).first;
  const uint64_t before = scene.sent;
  traffic(4000);
  // Threads come and go, the lanes with their SAs stay.
  for (const auto& plan : {pipeline::WorkerPlan{.workers = 1}, {.workers = 3},
                           {.workers = 2, .owners = {1, 0}}}) {
    for (uint32_t n = 0; n < 10; n++) scene.turn(1024);
    scene.a->set_workers(plan);
    traffic(4000);
  }
  CHECK(sent_on(for_all) == before);
  CHECK(sent_on(lane0) + sent_on(lane1) == scene.sent - before);
  // Odd flows are on queue 1.
  uint64_t odd = 0;
  for (uint32_t flow = 1; flow < kFlows; flow += 2) odd += scene.next_of[flow];
  CHECK(sent_on(lane1) <= odd);
  CHECK(sent_on(lane1) > 4000);
  CHECK(sent_on(lane0) > 4000);

  const uint64_t until_then = sent_on(lane0);
  CHECK(scene.a->remove(lane1));
  traffic(4000);
  CHECK(sent_on(for_all) > before);
  CHECK(sent_on(for_all) - before + sent_on(lane0) - until_then >= 4000);
  CHECK(scene.lost == 0);
  CHECK(scene.out_of_order == 0);
  CHECK(soon([&] { return ended(*scene.b) == scene.sent; }));
  CHECK(count(*scene.b, Verdict::kSent) == scene.sent);
}

TEST_CASE("SAs are replaced in the middle of shared traffic, and nothing is lost or reordered") {
  Scene scene("rekey", 3, 1);
  auto old = scene.install(64);
  for (uint32_t i = 0; i < 40; i++) {
    for (uint32_t n = 0; n < 20; n++) scene.turn();
    const auto fresh = scene.install(64);
    CHECK(scene.a->remove(old.first));  // bursts under it are in flight
    const uint64_t sent_by_then = scene.sent;
    const auto until = Clock::now() + std::chrono::seconds(20);
    while (scene.received < sent_by_then && Clock::now() < until) scene.turn();
    REQUIRE(scene.received >= sent_by_then);
    CHECK(scene.b->remove(old.second));
    old = fresh;
  }
  REQUIRE(scene.settle());
  CHECK(scene.lost == 0);
  CHECK(scene.out_of_order == 0);
  CHECK(scene.esp_out_of_order == 0);
  CHECK(soon([&] { return ended(*scene.b) == scene.sent; }));
  CHECK(count(*scene.a, Verdict::kSent) == scene.sent);
  CHECK(count(*scene.b, Verdict::kSent) == scene.sent);
}

TEST_CASE("workers come and go under traffic: no SA, no packet and no count is lost") {
  const pipeline::WorkerPlan plans[] = {
      {.workers = 2},
      {.workers = 1},
      {.workers = 3},
      {.workers = 2, .owners = {1, 1}},  // the first one only helps
      {.workers = 2, .owners = {1, 0}},
      {.workers = 1},
  };
  Scene scene("move", 1, 2);
  const auto [at_a, at_b] = scene.install(4096);
  for (uint32_t i = 0; i < 24; i++) {
    for (uint32_t n = 0; n < 20; n++) scene.turn(1024);
    const auto& plan = plans[i % std::size(plans)];
    scene.a->set_workers(plan);  // packets are on the rings, and in the hands of helpers
    for (uint32_t n = 0; n < 5; n++) scene.turn(1024);
    scene.b->set_workers(plan);
    CHECK(scene.b->each_worker([](const auto&) {}) == plan.workers);
  }
  REQUIRE(scene.settle());
  CHECK(scene.lost == 0);
  CHECK(scene.out_of_order == 0);
  CHECK(soon([&] { return ended(*scene.b) == scene.sent; }));
  CHECK(count(*scene.a, Verdict::kSent) == scene.sent);
  CHECK(count(*scene.b, Verdict::kSent) == scene.sent);
  CHECK(scene.a->counters(at_a)->out_sequence == scene.sent + 1);
  CHECK(scene.b->counters(at_b)->in_packets == scene.sent);
  CHECK_THROWS_AS(scene.a->set_workers({.workers = 1, .owners = {1}}), std::invalid_argument);
  CHECK_THROWS_AS(scene.a->set_workers({.workers = 0}), std::invalid_argument);
  CHECK_FALSE(scene.a->stopped());
}

TEST_CASE("a dataplane that stops while workers share finishes what it has received") {
  for (uint32_t i = 0; i < 10; i++) {
    Scene scene("halt" + std::to_string(i), 3, 1);
    scene.install(64);
    for (uint32_t n = 0; n < 10 + 7 * i; n++) scene.turn(1024);
    std::thread other([&] { scene.b->stop(); });
    scene.a->stop();
    other.join();
    for (const auto& d : {scene.a, scene.b})
      CHECK(ended(*d) == total(*d, &pipeline::Counters::rx_packets));
  }
}

TEST_SUITE_END();
