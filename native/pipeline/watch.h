// What is watched of the packets of a dataplane: a capture, a trace, or nothing at all, which costs
// a lane one branch a burst. Immutable; swapped as a whole, and retired through the epoch.
#pragma once

#include <memory>

#include "pipeline/capture.h"
#include "pipeline/trace.h"

namespace esplane::pipeline {

struct Watch {
  std::shared_ptr<Capture> capture;
  std::shared_ptr<Trace> trace;
};

}  // namespace esplane::pipeline
