// Reclamation: nothing is destroyed that a reader may hold, everything is destroyed soon after.
#include <doctest/doctest.h>

#include <atomic>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include "base/epoch.h"

namespace esplane::base {
namespace {

struct Traced {
  explicit Traced(int& d) : destroyed(d) {}
  ~Traced() { destroyed++; }
  int& destroyed;
};

TEST_CASE("destroys at once where no reader is active") {
  int destroyed = 0;
  Epoch epoch;
  epoch.retire(std::make_unique<Traced>(destroyed));
  CHECK(destroyed == 1);

  Epoch::Reader reader(epoch);
  reader.idle();
  epoch.retire(std::make_unique<Traced>(destroyed));
  CHECK(destroyed == 2);
}

TEST_CASE("waits until every reader has been quiescent since") {
  int destroyed = 0;
  Epoch epoch;
  Epoch::Reader a(epoch);
  Epoch::Reader b(epoch);
  epoch.retire(std::make_unique<Traced>(destroyed));
  epoch.collect();
  CHECK(destroyed == 0);
  a.quiescent();
  a.quiescent();
  CHECK(destroyed == 0);
  SUBCASE("by a call") { b.quiescent(); }
  SUBCASE("by falling idle") { b.idle(); }
  CHECK(destroyed == 1);
  CHECK(epoch.waiting() == 0);
}

TEST_CASE("does not wait for a reader that has gone") {
  int destroyed = 0;
  Epoch epoch;
  std::optional<Epoch::Reader> reader(epoch);
  epoch.retire(std::make_unique<Traced>(destroyed));
  CHECK(destroyed == 0);
  reader.reset();
  CHECK(destroyed == 1);
}

TEST_CASE("a reader that resumes does not hold up what was retired while it was idle") {
  int destroyed = 0;
  Epoch epoch;
  Epoch::Reader busy(epoch);
  Epoch::Reader sleeper(epoch);
  sleeper.idle();
  epoch.retire(std::make_unique<Traced>(destroyed));
  sleeper.resume();
  CHECK(destroyed == 0);
  busy.quiescent();
  CHECK(destroyed == 1);
}

TEST_CASE("keeps apart what was retired before and after a reader was quiescent") {
  int first = 0;
  int second = 0;
  Epoch epoch;
  Epoch::Reader a(epoch);
  Epoch::Reader b(epoch);
  epoch.retire(std::make_unique<Traced>(first));
  a.quiescent();
  epoch.retire(std::make_unique<Traced>(second));
  b.quiescent();
  CHECK(first == 1);
  CHECK(second == 0);
  a.quiescent();
  CHECK(second == 1);
}

TEST_CASE("destroys what is left with the epoch itself, and ignores null") {
  int destroyed = 0;
  {
    Epoch epoch;
    auto reader = std::make_unique<Epoch::Reader>(epoch);
    epoch.retire(std::unique_ptr<Traced>());
    epoch.retire(std::make_unique<Traced>(destroyed));
    reader.reset();
  }
  CHECK(destroyed == 1);
}

TEST_CASE("a worker destroys a few at a time and leaves what is large to others") {
  int small = 0, large = 0;
  Epoch epoch;
  Epoch::Reader worker(epoch);
  for (int i = 0; i < 100; i++) epoch.retire(std::make_unique<Traced>(small));
  epoch.retire(std::make_unique<Traced>(large), Epoch::Size::kLarge);
  CHECK(epoch.waiting() == 101);
  worker.quiescent();
  CHECK(small == 32);
  for (int i = 0; i < 3; i++) worker.quiescent();
  CHECK(small == 100);
  CHECK(large == 0);
  SUBCASE("who retires something") { epoch.retire(std::make_unique<Traced>(small)); }
  SUBCASE("who collects") { epoch.collect(); }
  SUBCASE("the worker itself before it sleeps") { worker.idle(); }
  CHECK(large == 1);
}

TEST_CASE("readers never see a destroyed object while a writer replaces it") {
  struct Value {
    explicit Value(uint64_t v) : a(v), b(~v) {}
    ~Value() { a = b = 0; }
    uint64_t a, b;
  };
  Epoch epoch;
  std::atomic<Value*> shared{new Value(1)};
  std::atomic<bool> stop{false};
  std::atomic<uint64_t> torn{0};
  {
    std::vector<std::jthread> readers;
    for (int t = 0; t < 3; t++) {
      readers.emplace_back([&, t] {
        Epoch::Reader reader(epoch);
        for (uint32_t i = 0; !stop.load(std::memory_order_relaxed); i++) {
          const Value* v = shared.load(std::memory_order_acquire);
          if (v->a != ~v->b) torn++;
          if (t == 0 && i % 64 == 0) {
            reader.idle();
            std::this_thread::yield();
            reader.resume();
          } else {
            reader.quiescent();
          }
        }
      });
    }
    for (uint64_t i = 2; i < 2000; i++) {
      epoch.retire(std::unique_ptr<Value>(shared.exchange(new Value(i))));
    }
    stop = true;
  }
  CHECK(torn.load() == 0);
  epoch.collect();
  CHECK(epoch.waiting() == 0);
  delete shared.load();
}

}  // namespace
}  // namespace esplane::base
