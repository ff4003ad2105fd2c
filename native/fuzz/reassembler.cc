// libFuzzer target: fragments from the wire (net/reassembler.h). The input is a list of packets,
// each behind its length in two bytes.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "test/net/reassembler_input.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t bytes) {
  if (!esplane::test::feed_reassembler(data, bytes)) std::abort();
  return 0;
}
