// The hand-over as a model, with threads of its own: bursts of numbered packets under SAs that come
// and go. Under ThreadSanitizer every missing order between two threads is a failure; without it,
// the same claims are checked by what came out.
#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <memory>
#include <random>
#include <thread>
#include <vector>

#include "base/epoch.h"
#include "pipeline/handover.h"
#include "replay/window.h"

namespace {

using namespace esplane;
using pipeline::Handover;
using replay::Outcome;
using replay::Window;

constexpr uint32_t kPackets = 16;  // in a burst
constexpr uint32_t kMostSequence = 1u << 20;

using Random = std::mt19937;

uint32_t below(uint32_t limit, Random& random) { return static_cast<uint32_t>(random() % limit); }

/// An SA that knows whether it is alive: reading a dead one is a failure, or a report of the
/// sanitizer.
struct ModelSa {
  static constexpr uint64_t kAlive = 0x600d600d600d600d;

  explicit ModelSa(uint32_t window_packets) : window(window_packets, false) {}
  ~ModelSa() { alive = 0; }

  uint64_t alive = kAlive;
  Window window;
  std::vector<bool> accepted = std::vector<bool>(kMostSequence);  // by sequence number
};

struct alignas(64) ModelBurst {
  uint32_t size = 0;
  uint64_t number = 0;                       // in order of arrival
  std::array<uint32_t, kPackets> frame;      // of the owner's pool
  std::array<uint32_t, kPackets> sequence;
  std::array<Outcome, kPackets> outcome;
  ModelSa* prepared = nullptr;               // looked up by the owner
  ModelSa* found = nullptr;                  // looked up by who did the heavy part
  uint64_t digest = 0;                       // "decrypted"
  uint32_t worked = 0;                       // how often
};

uint64_t digest_of(const ModelBurst& burst) {
  uint64_t sum = burst.number;
  for (uint32_t i = 0; i < burst.size; i++) sum = sum * 31 + burst.sequence[i];
  return sum;
}

struct Model {
  static constexpr uint32_t kFrames = 4096;

  Handover<ModelBurst> handover{8};
  base::Epoch epoch;
  std::atomic<ModelSa*> current{nullptr};  // as the SAD has it
  std::atomic<bool> stop_helpers{false};
  std::atomic<uint64_t> helped{0};

  /// The heavy part, by anyone: decrypts, and looks an SA up itself.
  void work(ModelBurst& burst, Random& random, bool slow) {
    burst.found = current.load(std::memory_order_acquire);
    if (slow && below(4, random) == 0) {
      if (below(64, random) == 0) {
        std::this_thread::sleep_for(std::chrono::microseconds(below(300, random)));
      } else {
        std::this_thread::yield();
      }
    }
    for (ModelSa* sa : {burst.prepared, burst.found}) {
      if (sa == nullptr) continue;
      // The pre-check may be made by anyone, at any time between.
      CHECK(sa->alive == ModelSa::kAlive);
      for (uint32_t i = 0; i < burst.size; i++) (void)sa->window.check(burst.sequence[i]);
    }
    burst.digest = digest_of(burst);
    burst.worked++;
  }

  void help(uint32_t seed, bool slow) {
    Random random(seed);
    while (!stop_helpers.load(std::memory_order_relaxed)) {
      const auto claim = handover.claim();
      if (claim.work == nullptr) {
        std::this_thread::yield();
        continue;
      }
      work(*claim.work, random, slow);
      handover.done(claim);
      helped.fetch_add(1, std::memory_order_relaxed);
    }
  }
};

/// The owner of the queue: bursts arrive in order, and everything is checked as it leaves.
struct Owner {
  Model& model;
  base::Epoch::Reader reader{model.epoch};
  Random random;
  std::vector<uint32_t> free;
  uint32_t next_sequence = 1;
  uint64_t arrived = 0, left = 0;        // bursts
  uint64_t packets_arrived = 0, packets_left = 0;
  uint64_t accepted = 0, duplicates = 0, old = 0;
  std::vector<bool> seen = std::vector<bool>(kMostSequence);
  uint64_t fresh = 0;                    // packets that arrived for the first time
  uint64_t epoch_now = 0;
  uint32_t wrong = 0;

  Owner(Model& m, uint32_t seed) : model(m), random(seed) {
    for (uint32_t i = 0; i < Model::kFrames; i++) free.push_back(i);
  }

  void be_quiescent() {
    epoch_now = model.handover.empty() ? reader.quiescent()
                                       : reader.quiescent(model.handover.held_since());
  }

  /// A burst whose numbers grow, with holes where packets were lost and copies of earlier ones.
  bool receive() {
    ModelBurst* burst = model.handover.next();
    if (burst == nullptr) return false;
    burst->size = 1 + random() % kPackets;
    burst->number = arrived++;
    burst->worked = 0;
    burst->prepared = model.current.load(std::memory_order_acquire);
    for (uint32_t i = 0; i < burst->size; i++) {
      burst->frame[i] = free.back();
      free.pop_back();
      const bool again = next_sequence > 8 && below(16, random) == 0;
      if (below(20, random) == 0) next_sequence++;  // lost, or late
      const uint32_t n = again ? next_sequence - 1 - below(8, random) : next_sequence++;
      burst->sequence[i] = n;
      fresh += !seen[n];
      seen[n] = true;
    }
    packets_arrived += burst->size;
    model.handover.publish(epoch_now);
    return true;
  }

  bool work_on_own() {
    const auto claim = model.handover.claim();
    if (claim.work == nullptr) return false;
    model.work(*claim.work, random, false);
    model.handover.done(claim);
    return true;
  }

  void finish_all_done() {
    while (ModelBurst* burst = model.handover.oldest()) {
      wrong += burst->number != left++;  // order of arrival
      wrong += burst->worked != 1;       // once
      wrong += burst->digest != digest_of(*burst);
      if (ModelSa* sa = burst->prepared) {
        wrong += sa->alive != ModelSa::kAlive;
        advance(*burst, *sa);
      }
      for (uint32_t i = 0; i < burst->size; i++) free.push_back(burst->frame[i]);
      packets_left += burst->size;
      model.handover.release();
    }
  }

  void advance(ModelBurst& burst, ModelSa& sa) {
    uint64_t sequences[kPackets];
    for (uint32_t i = 0; i < burst.size; i++) sequences[i] = burst.sequence[i];
    sa.window.advance({sequences, burst.size}, burst.outcome.data());
    for (uint32_t i = 0; i < burst.size; i++) {
      accepted += burst.outcome[i] == Outcome::kNew;
      duplicates += burst.outcome[i] == Outcome::kDuplicate;
      old += burst.outcome[i] == Outcome::kOld;
      if (burst.outcome[i] != Outcome::kNew) continue;
      wrong += sa.accepted[burst.sequence[i]];  // each number once
      sa.accepted[burst.sequence[i]] = true;
    }
  }

  void run(uint64_t bursts) {
    while (arrived < bursts) {
      be_quiescent();
      const uint64_t wanted = std::min<uint64_t>(below(6, random), bursts - arrived);
      for (uint64_t i = 0; i < wanted && receive(); i++) {
      }
      if (below(3, random) == 0) work_on_own();
      if (below(8, random) == 0) std::this_thread::yield();
      finish_all_done();
    }
  }

  /// What a worker does at its end.
  void drain() {
    while (!model.handover.empty()) {
      work_on_own();
      finish_all_done();
    }
  }
};

}  // namespace

TEST_SUITE_BEGIN("concurrency");

TEST_CASE("a hand-over without helpers is a queue") {
  Handover<ModelBurst> handover(4);
  CHECK(handover.empty());
  CHECK(handover.claim().work == nullptr);
  for (uint64_t i = 0; i < 4; i++) {
    handover.next()->number = i;
    handover.publish(i + 7);
  }
  CHECK(handover.next() == nullptr);  // full
  CHECK(handover.in_flight() == 4);
  CHECK(handover.held_since() == 7);

  // Done out of order; taken in order.
  const auto first = handover.claim(), second = handover.claim();
  CHECK(handover.unclaimed() == 2);
  handover.done(second);
  CHECK(handover.oldest() == nullptr);
  handover.done(first);
  for (uint64_t i = 0; i < 2; i++) {
    REQUIRE(handover.oldest() != nullptr);
    CHECK(handover.oldest()->number == i);
    handover.release();
  }
  CHECK(handover.oldest() == nullptr);
  CHECK(handover.held_since() == 9);
  CHECK(handover.next() != nullptr);
  CHECK_FALSE(handover.empty());
}

TEST_CASE("helpers that come, dawdle and go keep order, numbers and frames") {
  Model model;
  model.current = new ModelSa(64);
  Owner owner(model, 1);
  {
    std::vector<std::thread> helpers;
    for (uint32_t i = 0; i < 3; i++) {
      helpers.emplace_back([&model, i] { model.help(100 + i, i > 0); });
    }
    owner.run(3000);
    model.stop_helpers = true;  // with bursts in flight
    owner.drain();
    for (auto& helper : helpers) helper.join();
  }
  CHECK(owner.wrong == 0);
  CHECK(owner.left == 3000);
  CHECK(owner.packets_left == owner.packets_arrived);
  CHECK(owner.free.size() == Model::kFrames);
  CHECK(model.helped > 0);
  // The window saw the packets in order of arrival: it refused the copies and nothing else, though
  // it is smaller than what was in flight.
  CHECK(owner.accepted == owner.fresh);
  CHECK(owner.old == 0);
  CHECK(owner.duplicates == owner.packets_arrived - owner.fresh);
  delete model.current.load();
}

TEST_CASE("an SA that is removed while bursts are in flight lives until they have left") {
  Model model;
  model.current = new ModelSa(4096);
  Owner owner(model, 2);
  std::atomic<bool> over{false};
  std::atomic<uint64_t> removed{0};
  std::thread control([&] {
    Random random(3);
    while (!over.load(std::memory_order_relaxed)) {
      ModelSa* fresh = below(4, random) == 0 ? nullptr : new ModelSa(4096);
      model.epoch.retire(std::unique_ptr<ModelSa>(model.current.exchange(fresh)));
      removed++;
      std::this_thread::sleep_for(std::chrono::microseconds(below(200, random)));
    }
  });
  std::thread first([&] { model.help(4, true); }), second([&] { model.help(5, true); });

  // The ring is hardly ever empty meanwhile, and yet what was removed goes.
  uint64_t least_waiting = ~uint64_t{0};
  for (uint32_t i = 0; i < 30 || (removed < 100 && i < 1000); i++) {
    owner.run((i + 1) * 100);
    if (removed > 50) least_waiting = std::min(least_waiting, model.epoch.waiting());
  }
  over = true;
  control.join();
  model.stop_helpers = true;
  owner.drain();
  first.join();
  second.join();
  owner.be_quiescent();
  CHECK(owner.wrong == 0);
  CHECK(owner.free.size() == Model::kFrames);
  CHECK(removed >= 100);
  CHECK(least_waiting < 20);
  CHECK(model.epoch.waiting() == 0);
  delete model.current.load();
}

TEST_CASE("two owners help each other and each keeps its order") {
  Model models[2];
  std::atomic<uint32_t> running{2};
  std::array<std::unique_ptr<Owner>, 2> owners;
  std::vector<std::thread> threads;
  for (uint32_t me = 0; me < 2; me++) {
    models[me].current = new ModelSa(32);
    threads.emplace_back([&, me] {
      owners[me] = std::make_unique<Owner>(models[me], 20 + me);
      Random random(30 + me);
      Model& other = models[1 - me];
      for (uint32_t i = 0; i < 100; i++) {
        owners[me]->run((i + 1) * 10);
        const auto claim = other.handover.claim();
        if (claim.work == nullptr) continue;
        other.work(*claim.work, random, true);
        other.handover.done(claim);
        other.helped++;
      }
      owners[me]->drain();
      running--;
      while (running != 0) std::this_thread::yield();
    });
  }
  for (auto& thread : threads) thread.join();
  for (uint32_t me = 0; me < 2; me++) {
    CHECK(owners[me]->wrong == 0);
    CHECK(owners[me]->accepted == owners[me]->fresh);
    CHECK(owners[me]->free.size() == Model::kFrames);
    owners[me].reset();
    delete models[me].current.load();
  }
}

TEST_SUITE_END();
