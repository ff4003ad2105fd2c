#include "spd/rule_sets.h"

#include <algorithm>

namespace esplane::spd {

RuleSets::RuleSets(uint32_t rules) {
  nodes_.push_back({0, 0});  // kEmpty
  uint32_t words = std::max(1u, (rules + kBits - 1) / kBits);
  working_.push_back({.mask = std::vector<uint64_t>(words)});
  do {
    words = (words + kBits - 1) / kBits;
    working_.push_back({.mask = std::vector<uint64_t>(words),
                        .node = std::vector<uint32_t>(words, kEmpty),
                        .is_dirty = std::vector<uint8_t>(words)});
  } while (words > 1);
  depth_ = static_cast<uint32_t>(working_.size() - 1);
}

void RuleSets::insert(uint32_t rule) {
  for (uint32_t number = rule, level = 0; level <= depth_; level++, number /= kBits)
    working_[level].mask[number / kBits] |= uint64_t{1} << number % kBits;
  mark_dirty(rule);
}

void RuleSets::erase(uint32_t rule) {
  for (uint32_t number = rule, level = 0; level <= depth_; level++, number /= kBits) {
    uint64_t& mask = working_[level].mask[number / kBits];
    mask &= ~(uint64_t{1} << number % kBits);
    if (mask != 0) break;
  }
  mark_dirty(rule);
}

void RuleSets::clear() {
  for (Level& level : working_) {
    std::fill(level.mask.begin(), level.mask.end(), 0);
    std::fill(level.node.begin(), level.node.end(), kEmpty);
    std::fill(level.is_dirty.begin(), level.is_dirty.end(), uint8_t{0});
    level.dirty.clear();
  }
}

void RuleSets::mark_dirty(uint32_t rule) {
  uint32_t word = rule / kBits;
  for (uint32_t l = 1; l <= depth_; l++) {
    word /= kBits;
    Level& level = working_[l];
    if (level.is_dirty[word]) return;  // and so is all above
    level.is_dirty[word] = 1;
    level.dirty.push_back(word);
  }
}

RuleSets::Set RuleSets::record() {
  for (uint32_t l = 1; l <= depth_; l++) {
    Level& level = working_[l];
    for (const uint32_t word : level.dirty) {
      level.node[word] = record_word(l, word);
      level.is_dirty[word] = 0;
    }
    level.dirty.clear();
  }
  return working_[depth_].node[0];
}

uint32_t RuleSets::record_word(uint32_t level, uint32_t word) {
  const uint64_t mask = working_[level].mask[word];
  if (mask == 0) return kEmpty;
  const Level& below = working_[level - 1];
  const Node node{mask, static_cast<uint32_t>(level == 1 ? leaves_.size() : children_.size())};
  for (uint64_t left = mask; left != 0; left &= left - 1) {
    const uint32_t child = word * kBits + static_cast<uint32_t>(std::countr_zero(left));
    if (level == 1) {
      leaves_.push_back(below.mask[child]);
    } else {
      children_.push_back(below.node[child]);
    }
  }
  nodes_.push_back(node);
  return static_cast<uint32_t>(nodes_.size() - 1);
}

void RuleSets::finish() {
  working_ = {};
  nodes_.shrink_to_fit();
  children_.shrink_to_fit();
  leaves_.shrink_to_fit();
}

}  // namespace esplane::spd
