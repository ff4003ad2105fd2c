// The replay window: every case of RFC 4303 Appendix A, and a naive model beside it.
#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <random>
#include <set>
#include <stdexcept>
#include <thread>
#include <vector>

#include "replay/window.h"

namespace esplane::replay {
namespace {

constexpr uint64_t k2to32 = uint64_t{1} << 32;

Outcome advance(Window& window, uint64_t sequence) {
  Outcome outcome;
  window.advance({&sequence, 1}, &outcome);
  return outcome;
}

/// A packet as it arrives, with an ICV that holds for `truth` only.
Outcome receive(Window& window, uint64_t truth) {
  const Window::Check check = window.check(static_cast<uint32_t>(truth));
  if (check.outcome != Outcome::kNew) return check.outcome;
  REQUIRE(check.sequence == truth);
  return advance(window, truth);
}

// RFC 4303 Appendix A2.2, with T the highest sequence number authenticated and W the window.

TEST_CASE("A2.2 case A, within the window: Seqh = Th") {
  Window w(64, true, 5 * k2to32 + 1000);
  const Window::Check left_edge = w.check(1000 - 63);
  CHECK(left_edge.sequence == 5 * k2to32 + 1000 - 63);
  CHECK(left_edge.outcome == Outcome::kDuplicate);
  CHECK(w.check(1000).sequence == 5 * k2to32 + 1000);
  CHECK(w.check(1000).outcome == Outcome::kDuplicate);
}

TEST_CASE("A2.2 case A, right of the window: Seqh = Th") {
  Window w(64, true, 5 * k2to32 + 1000);
  CHECK(w.check(1001).sequence == 5 * k2to32 + 1001);
  CHECK(w.check(0xffffffff).sequence == 5 * k2to32 + 0xffffffff);
  CHECK(receive(w, 5 * k2to32 + 1001) == Outcome::kNew);
  CHECK(w.highest() == 5 * k2to32 + 1001);
}

TEST_CASE("A2.2 case A, left of the window: Seqh = Th + 1") {
  Window w(64, true, 5 * k2to32 + 1000);
  const Window::Check check = w.check(1000 - 64);
  CHECK(check.sequence == 6 * k2to32 + 1000 - 64);
  CHECK(check.outcome == Outcome::kNew);
  CHECK(w.check(0).sequence == 6 * k2to32);
}

TEST_CASE("A2.2 case A begins where Tl = W - 1") {
  CHECK(Window(64, true, 5 * k2to32 + 63).check(0).sequence == 5 * k2to32);
  CHECK(Window(64, true, 5 * k2to32 + 63).check(0xffffffff).sequence == 5 * k2to32 + 0xffffffff);
  CHECK(Window(64, true, 5 * k2to32 + 62).check(0xffffffff).sequence == 4 * k2to32 + 0xffffffff);
}

TEST_CASE("A2.2 case B, in the part of the window before the border: Seqh = Th - 1") {
  Window w(64, true, 5 * k2to32 + 10);
  const auto left_edge = static_cast<uint32_t>(10 - 63);
  CHECK(w.check(left_edge).sequence == 4 * k2to32 + left_edge);
  CHECK(w.check(left_edge).outcome == Outcome::kDuplicate);
  CHECK(w.check(0xffffffff).sequence == 4 * k2to32 + 0xffffffff);
}

TEST_CASE("A2.2 case B, in the part of the window behind the border: Seqh = Th") {
  Window w(64, true, 5 * k2to32 + 10);
  CHECK(w.check(0).sequence == 5 * k2to32);
  CHECK(w.check(10).sequence == 5 * k2to32 + 10);
  CHECK(w.check(10).outcome == Outcome::kDuplicate);
}

TEST_CASE("A2.2 case B, right of the window: Seqh = Th") {
  Window w(64, true, 5 * k2to32 + 10);
  const auto left_edge = static_cast<uint32_t>(10 - 63);
  CHECK(w.check(11).sequence == 5 * k2to32 + 11);
  CHECK(w.check(left_edge - 1).sequence == 5 * k2to32 + left_edge - 1);
  CHECK(w.check(left_edge - 1).outcome == Outcome::kNew);
}

TEST_CASE("A2.2 case B in the first subspace: there is nothing before it") {
  Window w(64, true);
  CHECK(w.check(0xffffffff).outcome == Outcome::kOld);
  CHECK(receive(w, 1) == Outcome::kNew);
  CHECK(w.check(0xffffffff).outcome == Outcome::kOld);
  CHECK(receive(w, 62) == Outcome::kNew);
  CHECK(w.check(0xffffffff).outcome == Outcome::kOld);
  CHECK(receive(w, 63) == Outcome::kNew);
  CHECK(w.check(0xffffffff).sequence == 0xffffffff);
}

TEST_CASE("A2.2 case A in the last subspace: there is nothing behind it") {
  Window w(64, true, ~uint64_t{0} - 10);
  CHECK(w.check(5).outcome == Outcome::kOld);
  CHECK(receive(w, ~uint64_t{0}) == Outcome::kNew);
  CHECK(receive(w, ~uint64_t{0}) == Outcome::kDuplicate);
  CHECK(w.check(0).outcome == Outcome::kOld);
}

TEST_CASE("A2.3: a packet is counted only once its ICV held") {
  Window w(64, true, 1000);
  CHECK(w.check(1500).outcome == Outcome::kNew);
  CHECK(w.check(1500).outcome == Outcome::kNew);
  CHECK(w.highest() == 1000);
  CHECK(w.check(999).outcome == Outcome::kDuplicate);
  CHECK(advance(w, 1500) == Outcome::kNew);
  CHECK(w.check(1500).outcome == Outcome::kDuplicate);
}

TEST_CASE("crosses 2^32 with ESN, out of order and with late packets from before") {
  Window w(64, true, k2to32 - 3);
  CHECK(receive(w, k2to32 - 1) == Outcome::kNew);
  CHECK(receive(w, k2to32 + 1) == Outcome::kNew);
  CHECK(receive(w, k2to32) == Outcome::kNew);
  CHECK(receive(w, k2to32 - 2) == Outcome::kNew);
  CHECK(receive(w, k2to32 - 2) == Outcome::kDuplicate);
  CHECK(receive(w, k2to32) == Outcome::kDuplicate);
  CHECK(w.highest() == k2to32 + 1);
}

TEST_CASE("without ESN the numbers end at 2^32-1 and never wrap") {
  Window w(64, false, k2to32 - 3);
  CHECK(receive(w, k2to32 - 1) == Outcome::kNew);
  CHECK(receive(w, k2to32 - 2) == Outcome::kNew);
  CHECK(w.check(0).outcome == Outcome::kOld);
  CHECK(w.check(1).outcome == Outcome::kOld);
  CHECK(w.check(0xffffffff).outcome == Outcome::kDuplicate);
}

TEST_CASE("number 0 is never valid in a fresh SA") {
  CHECK(Window(64, false).check(0).outcome == Outcome::kOld);
  CHECK(Window(64, true).check(0).outcome == Outcome::kOld);
  Window w(64, false);
  CHECK(receive(w, 1) == Outcome::kNew);
  CHECK(w.check(0).outcome == Outcome::kOld);
}

TEST_CASE("of duplicates in one group the first passes") {
  Window w(64, false);
  const uint64_t group[] = {5, 5, 7, 5, 6, 7, 6, 8};
  Outcome outcome[8];
  w.advance(group, outcome);
  const Outcome expected[] = {Outcome::kNew,       Outcome::kDuplicate, Outcome::kNew,
                              Outcome::kDuplicate, Outcome::kNew,       Outcome::kDuplicate,
                              Outcome::kDuplicate, Outcome::kNew};
  for (int i = 0; i < 8; i++) CHECK(outcome[i] == expected[i]);
}

TEST_CASE("a number may be left of the window that an earlier one of its group moved") {
  Window w(32, false);
  const uint64_t group[] = {1, 100, 68, 69};
  Outcome outcome[4];
  w.advance(group, outcome);
  CHECK(outcome[2] == Outcome::kOld);
  CHECK(outcome[3] == Outcome::kNew);
}

TEST_CASE("a group moves the window as its numbers do one by one") {
  std::mt19937_64 random(1);
  for (const uint32_t width : {0u, 32u, 64u, 100u, 4096u}) {
    for (const uint64_t start : {uint64_t{0}, k2to32 - 70, ~uint64_t{0} - 5000}) {
      CAPTURE(width);
      CAPTURE(start);
      Window groups(width, true, start), alone(width, true, start);
      uint64_t next = start + 1;
      for (int n = 0; n < 300; n++) {
        uint64_t group[64];
        Outcome outcome[64];
        const size_t size = 1 + random() % 64;
        for (size_t i = 0; i < size; i++) {  // in order, but for a loss, a straggler or a duplicate
          const uint64_t kind = random() % 64;
          if (kind == 0) next += random() % 80;
          group[i] = kind == 1 ? next - random() % 150 : next++;
        }
        groups.advance({group, size}, outcome);
        for (size_t i = 0; i < size; i++) REQUIRE(advance(alone, group[i]) == outcome[i]);
        REQUIRE(groups.highest() == alone.highest());
        REQUIRE(groups.lost() == alone.lost());
      }
    }
  }
}

TEST_CASE("is exactly as wide as asked for") {
  for (const uint32_t width : {32u, 33u, 63u, 64u, 65u, 127u, 128u, 129u, 1000u, 4096u, 131072u}) {
    CAPTURE(width);
    Window w(width, false);
    CHECK(receive(w, 200000) == Outcome::kNew);
    CHECK(receive(w, 200000 - width + 1) == Outcome::kNew);
    CHECK(receive(w, 200000 - width + 1) == Outcome::kDuplicate);
    CHECK(receive(w, 200000 - width) == Outcome::kOld);
  }
}

TEST_CASE("takes no other sizes than 0 and 32 to 131072") {
  for (const uint32_t width : {1u, 31u, 131073u, 0xffffffffu}) {
    CHECK_THROWS_AS(Window(width, false), std::invalid_argument);
  }
}

TEST_CASE("of size 0 lets everything pass, and still infers the high half") {
  Window plain(0, false);
  CHECK(receive(plain, 7) == Outcome::kNew);
  CHECK(receive(plain, 7) == Outcome::kNew);
  CHECK(receive(plain, 1) == Outcome::kNew);
  CHECK(plain.highest() == 7);

  Window extended(0, true, 3 * k2to32 - 5);
  CHECK(receive(extended, 3 * k2to32 + 5) == Outcome::kNew);
  CHECK(receive(extended, 3 * k2to32 - 1000000) == Outcome::kNew);
  CHECK(extended.highest() == 3 * k2to32 + 5);
  CHECK(Window(0, true, ~uint64_t{0} - 10).check(5).outcome == Outcome::kOld);
}

TEST_CASE("a loss counts when its hole leaves the window, not before") {
  Window w(64, false);
  for (uint64_t s = 1; s <= 100; s++) {
    if (s != 10 && s != 50) CHECK(receive(w, s) == Outcome::kNew);
  }
  // 10 is left of 37..100; 50 may still come.
  CHECK(w.lost() == 1);
  CHECK(receive(w, 113) == Outcome::kNew);
  CHECK(w.lost() == 1);
  CHECK(receive(w, 50) == Outcome::kNew);
  CHECK(receive(w, 10) == Outcome::kOld);
  CHECK(receive(w, 165) == Outcome::kNew);  // 102 to 165: 101 is lost
  CHECK(w.lost() == 2);
  CHECK(receive(w, 114) == Outcome::kNew);
  CHECK(receive(w, 229) == Outcome::kNew);  // 166 to 229: of 102..165 came 113, 114 and 165
  CHECK(w.lost() == 2 + 64 - 3);
}

TEST_CASE("losses are exact where the window jumps, by a packet or by 2^63") {
  for (const uint32_t width : {32u, 64u, 100u, 131072u}) {
    CAPTURE(width);
    Window w(width, true);
    CHECK(w.lost() == 0);
    CHECK(advance(w, width) == Outcome::kNew);
    CHECK(w.lost() == 0);
    CHECK(advance(w, width + 1) == Outcome::kNew);
    CHECK(w.lost() == 1);
    CHECK(advance(w, 10 * uint64_t{width}) == Outcome::kNew);
    CHECK(w.lost() == 9 * uint64_t{width} - 2);
    CHECK(advance(w, uint64_t{1} << 63) == Outcome::kNew);
    CHECK(w.lost() == (uint64_t{1} << 63) - width - 3);
    CHECK(advance(w, ~uint64_t{0}) == Outcome::kNew);
    CHECK(w.lost() == ~uint64_t{0} - width - 4);
  }
}

TEST_CASE("what an SA takes over counts as received, and without a check nothing is lost") {
  Window w(64, true, k2to32);
  CHECK(advance(w, k2to32 + 64) == Outcome::kNew);
  CHECK(w.lost() == 0);
  CHECK(advance(w, k2to32 + 65) == Outcome::kNew);
  CHECK(w.lost() == 1);
  Window off(0, true);
  CHECK(advance(off, 1000000) == Outcome::kNew);
  CHECK(off.lost() == 0);
}

/// What RFC 4303 §3.4.3 asks for, as plainly as it can be said: a set of the numbers received, and
/// a packet's number is the one within 2^32 from the window's left edge that has its low half.
class Model {
 public:
  Model(uint32_t width, bool esn, uint64_t highest)
      : width_(width), esn_(esn), start_(highest), highest_(highest) {
    for (uint64_t s = highest; s != 0 && highest - s < width; s--) received_.insert(s);
  }

  Window::Check check(uint32_t low) const {
    if (!esn_) return {look_up(low), low};
    const auto left = static_cast<__int128>(highest_) - width_ + 1;
    __int128 s = (left & ~static_cast<__int128>(0xffffffff)) | low;
    if (s < left) s += k2to32;
    if (s < 0 || s > static_cast<__int128>(~uint64_t{0})) return {Outcome::kOld, 0};
    return {look_up(static_cast<uint64_t>(s)), static_cast<uint64_t>(s)};
  }

  Outcome advance(uint64_t s) {
    const Outcome outcome = look_up(s);
    if (outcome != Outcome::kNew) return outcome;
    received_.insert(s);
    highest_ = std::max(highest_, s);
    for (; highest_ - *received_.begin() >= width_; left_++) received_.erase(received_.begin());
    return outcome;
  }

  /// What has left the window since the start, without what of it was received.
  uint64_t lost() const { return left_of_window(highest_) - left_of_window(start_) - left_; }

  uint64_t highest() const { return highest_; }

 private:
  uint64_t left_of_window(uint64_t s) const { return s > width_ ? s - width_ : 0; }

  Outcome look_up(uint64_t s) const {
    if (s == 0 || (s <= highest_ && highest_ - s >= width_)) return Outcome::kOld;
    return received_.count(s) ? Outcome::kDuplicate : Outcome::kNew;
  }

  uint32_t width_;
  bool esn_;
  uint64_t start_;
  uint64_t highest_;
  uint64_t left_ = 0;  ///< received, and left of the window by now
  std::set<uint64_t> received_;
};

/// Somewhere near the highest number, mostly; sometimes far away.
uint64_t next_number(std::mt19937_64& random, uint64_t highest, uint32_t width) {
  switch (random() % 8) {
    case 0:
    case 1:
    case 2:
      return highest + 1 + random() % 3;
    case 3:
    case 4:
      return highest - random() % width;
    case 5:
      return highest - width + 2 - random() % 4;  // around the left edge
    case 6:
      return highest + random() % (2 * width + 128);
    default:
      return random();
  }
}

void compare(uint32_t width, bool esn, uint64_t start, uint64_t seed, int steps) {
  CAPTURE(width);
  CAPTURE(esn);
  CAPTURE(start);
  CAPTURE(seed);
  std::mt19937_64 random(seed);
  Window window(width, esn, start);
  Model model(width, esn, start);
  for (int step = 0; step < steps; step++) {
    CAPTURE(step);
    // A number from anywhere shows what is inferred; only its neighbours are then received, or
    // the window would run off to the end of the number space at once.
    const uint64_t number = next_number(random, model.highest(), width);
    const auto low = static_cast<uint32_t>(number);
    const Window::Check expected = model.check(low);
    const Window::Check got = window.check(low);
    REQUIRE(got.outcome == expected.outcome);
    if (expected.outcome != Outcome::kNew) continue;
    REQUIRE(got.sequence == expected.sequence);
    const uint64_t jump = expected.sequence - model.highest();
    const bool is_far = expected.sequence > model.highest() && jump > 4 * uint64_t{width} + 256;
    if (is_far && random() % 64 != 0) continue;
    REQUIRE(advance(window, expected.sequence) == model.advance(expected.sequence));
    REQUIRE(window.highest() == model.highest());
    REQUIRE(window.lost() == model.lost());
  }
}

TEST_CASE("agrees with a naive model on random sequences") {
  std::random_device device;
  const uint64_t seed = uint64_t{device()} << 32 | device();
  MESSAGE("seed " << seed);
  const uint64_t starts[] = {0,          1,          40,           k2to32 - 70, k2to32 - 2,
                             k2to32 + 5, 7 * k2to32, ~uint64_t{0} - 5000};
  for (const uint32_t width : {32u, 40u, 64u, 65u, 100u, 128u, 1000u, 4096u}) {
    for (const uint64_t start : starts) {
      compare(width, true, start, seed ^ start, 3000);
      compare(width, false, start & 0xffffffff, seed ^ start, 3000);
    }
  }
  compare(131072, true, k2to32 - 100000, seed, 20000);
  compare(131072, false, k2to32 - 400000, seed, 20000);
}

/// Lets two threads go on at the same moment, nearly: they spin for it.
class StartingLine {
 public:
  void wait(uint32_t round) {
    arrived_++;
    for (int spins = 0; arrived_.load() < 2 * (round + 1); spins++) {
      if (spins > 2000) std::this_thread::yield();
    }
  }

 private:
  std::atomic<uint32_t> arrived_{0};
};

TEST_CASE("accepts every number once when two workers receive the same packets") {
  constexpr uint32_t kRounds = 1000;
  constexpr uint32_t kGroup = 512;  // takes longer than the two starts are apart
  constexpr uint64_t kStart = k2to32 - 10000;
  Window window(1024, true, kStart);
  StartingLine line;
  std::vector<uint64_t> accepted[2];
  {
    std::vector<std::jthread> workers;
    for (auto& mine : accepted) {
      workers.emplace_back([&window, &line, &mine] {
        for (uint32_t round = 0; round < kRounds; round++) {
          const uint64_t next = kStart + 1 + round * kGroup;
          uint64_t group[kGroup];
          Outcome outcome[kGroup];
          for (uint32_t k = 0; k < kGroup; k++) group[k] = next + k;
          line.wait(round);
          const Window::Check check = window.check(static_cast<uint32_t>(next));
          if (check.outcome == Outcome::kNew) CHECK(check.sequence == next);
          window.advance(group, outcome);
          for (uint32_t k = 0; k < kGroup; k++) {
            if (outcome[k] == Outcome::kNew) mine.push_back(group[k]);
          }
        }
      });
    }
  }
  std::vector<uint64_t> all;
  for (const auto& mine : accepted) all.insert(all.end(), mine.begin(), mine.end());
  std::sort(all.begin(), all.end());
  REQUIRE(all.size() == kRounds * kGroup);
  for (size_t i = 0; i < all.size(); i++) REQUIRE(all[i] == kStart + 1 + i);
  CHECK(window.highest() == kStart + kRounds * kGroup);
}

}  // namespace
}  // namespace esplane::replay
