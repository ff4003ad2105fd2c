// Many sets of rule numbers that differ little from one another: what a sweep over addresses or
// ports passes through.
//
// A set is a tree of 64-bit masks, 64 rules in a leaf, and each set shares all subtrees that did
// not change with the one before: a change costs one path, however many rules there are. Several
// sets are intersected from the root down, so that what one of them lacks is skipped in steps of
// 64, 4096 and more.
#pragma once

#include <bit>
#include <cstdint>
#include <span>
#include <vector>

namespace esplane::spd {

class RuleSets {
 public:
  /// A set that was recorded.
  using Set = uint32_t;
  static constexpr Set kEmpty = 0;

  /// @param rules  numbers 0 .. rules - 1
  explicit RuleSets(uint32_t rules);

  /// Changes the working set, which is empty at first.
  void insert(uint32_t rule);
  void erase(uint32_t rule);
  void clear();
  /// Records the working set as it is now.
  Set record();
  /// No more sets: gives back what only building needs.
  void finish();

  /// Calls `visit(rule)` for the rules that are in all of `sets`, in ascending order, until it
  /// returns true. Any number of threads, after finish().
  /// @param sets  one at least, kMostSets at most
  template <typename Visit>
  bool visit_common(std::span<const Set> sets, Visit visit) const {
    const Node* nodes[kMostSets];
    for (size_t s = 0; s < sets.size(); s++) nodes[s] = &nodes_[sets[s]];
    return visit_below(nodes, sets.size(), depth_, 0, visit);
  }

  static constexpr size_t kMostSets = 5;

 private:
  static constexpr uint32_t kBits = 64;

  struct Node {
    uint64_t mask;   ///< which children are not empty
    uint32_t first;  ///< theirs, without gaps: in `leaves_` at level 1, in `children_` above
  };
  /// The working set at one level. Word w of level l has a bit for each word of level l - 1 that
  /// is not zero; at level 0, for each rule.
  struct Level {
    std::vector<uint64_t> mask;
    std::vector<uint32_t> node;    ///< as recorded last; from level 1
    std::vector<uint8_t> is_dirty;
    std::vector<uint32_t> dirty;   ///< words that changed since
  };

  void mark_dirty(uint32_t rule);
  uint32_t record_word(uint32_t level, uint32_t word);

  /// How many of the mask's bits stand before `bit`. Most masks have one.
  static uint32_t rank(uint64_t mask, uint32_t bit) {
    const uint64_t before = mask & ((uint64_t{1} << bit) - 1);
    return before == 0 ? 0 : static_cast<uint32_t>(std::popcount(before));
  }

  template <typename Visit>
  bool visit_below(const Node* const* nodes, size_t count, uint32_t level, uint32_t word,
                   Visit& visit) const {
    uint64_t common = ~uint64_t{0};
    for (size_t s = 0; s < count; s++) common &= nodes[s]->mask;
    for (; common != 0; common &= common - 1) {
      const auto bit = static_cast<uint32_t>(std::countr_zero(common));
      const uint32_t below = word * kBits + bit;
      if (level > 1) {
        const Node* children[kMostSets];
        for (size_t s = 0; s < count; s++)
          children[s] = &nodes_[children_[nodes[s]->first + rank(nodes[s]->mask, bit)]];
        if (visit_below(children, count, level - 1, below, visit)) return true;
      } else if (visit_leaf(nodes, count, bit, below, visit)) {
        return true;
      }
    }
    return false;
  }

  template <typename Visit>
  bool visit_leaf(const Node* const* nodes, size_t count, uint32_t bit, uint32_t word,
                  Visit& visit) const {
    uint64_t rules = ~uint64_t{0};
    for (size_t s = 0; s < count; s++)
      rules &= leaves_[nodes[s]->first + rank(nodes[s]->mask, bit)];
    for (; rules != 0; rules &= rules - 1) {
      if (visit(word * kBits + static_cast<uint32_t>(std::countr_zero(rules)))) return true;
    }
    return false;
  }

  uint32_t depth_ = 1;  ///< level of the root
  std::vector<Node> nodes_;
  std::vector<uint32_t> children_;
  std::vector<uint64_t> leaves_;
  std::vector<Level> working_;
};

}  // namespace esplane::spd
