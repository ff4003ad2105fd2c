// What a benchmark measures: a stopwatch, and medians over its repetitions.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/clock.h"

namespace esplane::addon {

/// Of one repetition, per packet.
struct Sample {
  double ns, ticks;
};

/// Medians over the repetitions, per packet, and the fastest repetition. Ticks are base::ticks().
struct Cost {
  double ns, ticks, best_ns;
};

/// Per packet, of what runs between start() and stop().
class Stopwatch {
 public:
  void start() {
    from_ns_ = base::monotonic_ns();
    from_ = base::ticks();
  }
  void stop() {
    ticks_ += base::ticks() - from_;
    ns_ += base::monotonic_ns() - from_ns_;
  }
  Sample take(uint64_t packets) {
    const auto n = static_cast<double>(packets);
    const Sample s{static_cast<double>(ns_) / n, static_cast<double>(ticks_) / n};
    ns_ = ticks_ = 0;
    return s;
  }

 private:
  uint64_t from_ns_ = 0, from_ = 0, ns_ = 0, ticks_ = 0;
};

/// @param values  not empty; their order is lost
inline double median(std::vector<double>& values) {
  const auto middle = values.begin() + static_cast<ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

/// @param samples  not empty
inline Cost cost_of(const std::vector<Sample>& samples) {
  std::vector<double> ns, ticks;
  for (const Sample& s : samples) {
    ns.push_back(s.ns);
    ticks.push_back(s.ticks);
  }
  const double best = *std::min_element(ns.begin(), ns.end());
  return {.ns = median(ns), .ticks = median(ticks), .best_ns = best};
}

}  // namespace esplane::addon
