// Every suite for ESP or AH, with a pair of SAs that has its keys.
#pragma once

#include <vector>

#include "crypto/engine.h"
#include "test/sad/parameters.h"

namespace esplane::test {

inline std::vector<const crypto::Suite*> suites_of(sad::Protocol protocol) {
  std::vector<const crypto::Suite*> all;
  for (const crypto::Suite& suite : crypto::suites()) {
    const bool is_ah = suite.encryption == crypto::kNone;
    if (crypto::engines(suite).empty()) continue;  // of a build that lacks one
    if (is_ah == (protocol == sad::Protocol::kAh)) all.push_back(&suite);
  }
  return all;
}

/// Keys that differ in each byte, the same both ways, so that one end opens what the other sealed.
struct SuitePair : Pair {
  SuitePair(const crypto::Suite& suite, bool esn = false) : Pair(0x1000, 0x1000) {
    keymat.resize(suite.keymat_bytes());
    for (size_t i = 0; i < keymat.size(); i++) keymat[i] = static_cast<uint8_t>(i * 37 + 11);
    p.protocol = suite.encryption == crypto::kNone ? sad::Protocol::kAh : sad::Protocol::kEsp;
    p.encryption = suite.encryption;
    p.key_bits = suite.key_bits;
    p.integrity = suite.integrity;
    p.inbound_key = p.outbound_key = keymat;
    p.esn = esn;
  }
};

}  // namespace esplane::test
