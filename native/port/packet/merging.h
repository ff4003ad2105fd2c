// Receive offloads that merge packets of a flow into super-frames (GRO, LRO): off while we look.
#pragma once

#include <cstdint>
#include <string>

namespace esplane::port {

/// Switches the offloads of an interface off, and on again when destroyed where they were on. (A
/// killed process leaves them off; nothing but speed depends on it.)
class MergingOff {
 public:
  /// Never throws: super-frames that still come are cut in software.
  explicit MergingOff(const std::string& device);
  ~MergingOff();
  MergingOff(const MergingOff&) = delete;
  MergingOff& operator=(const MergingOff&) = delete;

 private:
  std::string device_;
  bool gro_was_on_ = false;
  bool lro_was_on_ = false;
};

}  // namespace esplane::port
