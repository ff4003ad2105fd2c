// Times in classes whose width is a 64th of their value: percentiles to within 1.6 %, in bounded
// memory.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <vector>

namespace esplane::base {

class LatencyHistogram {
 public:
  void add(uint64_t ns) {
    counts_[class_of(ns)]++;
    total_++;
    if (ns > most_) most_ = ns;
  }
  uint64_t total() const { return total_; }
  uint64_t most() const { return most_; }

  /// The middle of the class of the value that so large a part does not exceed, or the most.
  double percentile(double part) const {
    const auto rank = static_cast<uint64_t>(part * static_cast<double>(total_));
    uint64_t seen = 0;
    for (uint32_t c = 0; c < counts_.size(); c++) {
      seen += counts_[c];
      if (seen > rank) return std::min(middle_of(c), static_cast<double>(most_));
    }
    return static_cast<double>(most_);
  }

 private:
  static constexpr uint32_t kBits = 6, kSteps = 1 << kBits;

  static uint32_t class_of(uint64_t ns) {
    if (ns < kSteps) return static_cast<uint32_t>(ns);
    const auto shift = static_cast<uint32_t>(std::bit_width(ns)) - kBits - 1;
    return (shift + 1) * kSteps + static_cast<uint32_t>((ns >> shift) - kSteps);
  }
  static double middle_of(uint32_t c) {
    if (c < kSteps) return c;
    const uint32_t shift = c / kSteps - 1;
    const uint64_t low = uint64_t{kSteps + c % kSteps} << shift;
    return static_cast<double>(low) + static_cast<double>(uint64_t{1} << shift) / 2;
  }

  std::vector<uint64_t> counts_ = std::vector<uint64_t>((64 - kBits + 1) * kSteps);
  uint64_t total_ = 0, most_ = 0;
};

}  // namespace esplane::base
