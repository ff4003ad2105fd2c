// The classifier behind the SPD against one entry after the other: random policies, random packets.
#include <doctest/doctest.h>

#include <algorithm>
#include <memory>
#include <set>
#include <vector>

#include "base/epoch.h"
#include "spd/rule_sets.h"
#include "spd/spd.h"
#include "test/spd/naive.h"

namespace esplane::spd {
namespace {

using test::NaiveSpd;
using test::RandomTraffic;

std::vector<Entry> random_entries(RandomTraffic& random, uint32_t count) {
  std::vector<Entry> entries;
  for (uint32_t i = 0; i < count; i++) {
    Entry e;
    e.action = static_cast<Action>(random.below(3));
    e.direction = random.one_in(3) ? Direction::kInbound : Direction::kOutbound;
    if (e.action == Action::kProtect) e.policy = std::to_string(random.below(count / 2 + 1));
    // Few of many catch all: else the last would never be reached.
    const bool narrow = count > 50 && !random.one_in(50);
    e.local = random.side(narrow);
    e.remote = random.side(narrow);
    entries.push_back(std::move(e));
  }
  return entries;
}

/// @return how many packets reached an entry
uint32_t compare(uint32_t seed, uint32_t count, uint32_t packets) {
  RandomTraffic random(seed);
  NaiveSpd naive{.entries = random_entries(random, count)};
  base::Epoch epoch;
  Spd spd(epoch);
  spd.set(naive.entries);
  uint32_t matched = 0;
  for (uint32_t i = 0; i < packets; i++) {
    const packet::IpHeader p = random.packet();
    const auto expected = naive.outbound(p);
    CAPTURE(seed);
    CAPTURE(p.source.text());
    CAPTURE(p.destination.text());
    CAPTURE(p.protocol);
    REQUIRE((test::answer_of(spd.lookup_outbound(p)) == expected));
    REQUIRE(spd.lookup_inbound_clear(p) == naive.inbound_clear(p));
    matched += expected.verdict != packet::Verdict::kPolicyNoMatch;
  }
  return matched;
}

TEST_CASE("agrees with one entry after the other on random policies and packets") {
  for (uint32_t seed = 1; seed <= 120; seed++) {
    static constexpr uint32_t kCounts[] = {0, 1, 2, 3, 7, 20, 63, 64, 65, 130, 300, 1000};
    compare(seed, kCounts[seed % 12], 300);
  }
}

TEST_CASE("agrees with one entry after the other where sets have three levels") {
  CHECK(compare(4301, 9000, 1500) > 500);
}

TEST_CASE("rules beyond 64, 4096 and 262144 are visited in ascending order, and only common ones") {
  for (const uint32_t count : {1u, 64u, 65u, 4096u, 4097u, 300000u}) {
    CAPTURE(count);
    RuleSets sets(count);
    std::mt19937 random(count);
    std::set<uint32_t> expected[2];
    RuleSets::Set recorded[2];
    for (int s = 0; s < 2; s++) {
      sets.clear();
      for (uint32_t i = 0; i < std::min(count, 200u); i++) {
        const auto rule = static_cast<uint32_t>(random() % count);
        sets.insert(rule);
        expected[s].insert(rule);
      }
      sets.insert(count - 1);
      expected[s].insert(count - 1);
      (void)sets.record();
      for (uint32_t i = 0; i < 50; i++) {  // what goes again, with and without a record between
        const auto rule = static_cast<uint32_t>(random() % count);
        if (rule == count - 1) continue;
        sets.erase(rule);
        expected[s].erase(rule);
        if (i % 2) (void)sets.record();
      }
      recorded[s] = sets.record();
    }
    sets.finish();
    std::vector<uint32_t> common, seen;
    std::set_intersection(expected[0].begin(), expected[0].end(), expected[1].begin(),
                          expected[1].end(), std::back_inserter(common));
    CHECK_FALSE(sets.visit_common(recorded, [&](uint32_t rule) {
      seen.push_back(rule);
      return false;
    }));
    CHECK(seen == common);
    CHECK(seen.back() == count - 1);
    CHECK(sets.visit_common(recorded, [](uint32_t) { return true; }));
    const RuleSets::Set with_empty[] = {recorded[0], RuleSets::kEmpty};
    CHECK_FALSE(sets.visit_common(with_empty, [](uint32_t) { return true; }));
  }
}

}  // namespace
}  // namespace esplane::spd
