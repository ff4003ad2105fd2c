// What fuzz targets that open packets share.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <vector>

#include "packet/selector.h"

namespace esplane::fuzz {

/// One packet in a frame of its own, at whose end it ends: the sanitizer sees a read behind it.
class Frame {
 public:
  static constexpr uint32_t kChunk = 2048;

  explicit Frame(const std::vector<uint8_t>& packet)
      : memory_(static_cast<uint8_t*>(std::aligned_alloc(kChunk, kChunk))),
        data(memory_.get() + kChunk - packet.size()) {
    std::memcpy(data, packet.data(), packet.size());
  }

 private:
  struct Free {
    void operator()(uint8_t* memory) const { std::free(memory); }
  };
  std::unique_ptr<uint8_t, Free> memory_;

 public:
  uint8_t* data;
};

/// A selector that lets a whole family pass.
inline packet::Selector any_address(bool v4) {
  const char* first = v4 ? "0.0.0.0" : "::";
  const char* last = v4 ? "255.255.255.255" : "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff";
  return {.start = *packet::IpAddress::parse(first),
          .end = *packet::IpAddress::parse(last),
          .protocol = 0,
          .start_port = 0,
          .end_port = 65535};
}

}  // namespace esplane::fuzz
